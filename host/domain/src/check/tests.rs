use super::*;
use crate::definition::{TIMEOUT_DEFAULT, Triggers, When};
use crate::grant::{Capability, Interface, Refusal, Request};
use crate::name::{AppName, PipelineName, ToolName};
use crate::plugin::Kind;

fn name(text: &str) -> StageName {
    StageName::new(text).unwrap()
}

fn tool(text: &str) -> Capability {
    Capability::Tool(ToolName::new(text).unwrap())
}

fn stage(stage: &str, uses: &str, needs: &[&str], grants: &[Capability]) -> StageDefinition {
    StageDefinition {
        name: name(stage),
        uses: Uses::parse(uses).unwrap(),
        with: "{}".into(),
        needs: needs.iter().map(|need| name(need)).collect(),
        grants: grants.iter().cloned().collect(),
        environment: None,
        when: When::default(),
        timeout: TIMEOUT_DEFAULT,
        memory_bytes_max: None,
    }
}

fn pipeline(stages: Vec<StageDefinition>) -> Definition {
    Definition { name: PipelineName::new("shop").unwrap(), triggers: Triggers::default(), stages }
}

fn plugins() -> BTreeMap<Uses, Resolution> {
    let plugin = |name: &str, kind, interface, names: &[&str]| {
        Resolution::Known(Plugin {
            name: name.into(),
            version: "1.0.0".into(),
            kind,
            imports: [Interface::Log, interface].into(),
            requests: vec![Request::new(interface, names, "it needs it")],
        })
    };
    [
        (Uses::parse("cargo@1").unwrap(), plugin("cargo", Kind::Build, Interface::Tools, &["rust"])),
        (Uses::parse("app@1").unwrap(), plugin("app", Kind::Deploy, Interface::Apps, &[])),
        (
            Uses::parse("crago@1").unwrap(),
            Resolution::Unknown { available: vec!["app@1.0.0".into(), "cargo@1".into()] },
        ),
        (Uses::parse("./x.wasm").unwrap(), Resolution::Unusable { reason: "it is not WebAssembly".into() }),
    ]
    .into()
}

fn operator() -> Operator {
    Operator {
        tools: [ToolName::new("rust").unwrap()].into(),
        networks: Operator::known_networks(),
        ..Operator::default()
    }
}

fn checked(stages: Vec<StageDefinition>, operator: &Operator, tier: Tier) -> Result<Checked, Vec<Problem>> {
    let situation = Situation { operator, tier, reference: None, secrets: None };
    check(&pipeline(stages), &plugins(), &situation)
}

fn problems(stages: Vec<StageDefinition>) -> Vec<Problem> {
    checked(stages, &operator(), Tier::Protected).expect_err("should be refused")
}

fn only(stages: Vec<StageDefinition>) -> Problem {
    let mut problems = problems(stages);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn a_sound_pipeline_gets_its_grants() {
    let app = Capability::App(AppName::new("shop").unwrap());
    let stages = vec![
        stage("build", "cargo@1", &[], &[tool("rust")]),
        stage("deploy", "app@1", &["build"], std::slice::from_ref(&app)),
    ];
    let checked = checked(stages, &operator(), Tier::Protected).unwrap();
    assert!(checked.grants[&name("build")].holds(&tool("rust")));
    assert!(checked.grants[&name("deploy")].holds(&app));
}

#[test]
fn a_missing_grant_is_refused_with_the_line_to_write() {
    let problem = only(vec![stage("build", "cargo@1", &[], &[])]);
    assert_eq!(problem.code, "missing-grant");
    assert_eq!(problem.place, Place::of(&["stages", "build", "uses"]));
    assert_eq!(problem.hint.as_deref(), Some("add `grant.tools = [\"rust\"]` to `[stages.build]`"));
}

#[test]
fn a_grant_that_the_pipeline_has_to_name_is_asked_for() {
    let problem = only(vec![stage("deploy", "app@1", &[], &[])]);
    assert_eq!(
        (problem.code, problem.hint.as_deref()),
        ("missing-grant", Some("add `grant.apps = [\"…\"]` to `[stages.deploy]`"))
    );
}

#[test]
fn a_grant_in_vain_is_refused() {
    let app = Capability::App(AppName::new("shop").unwrap());
    assert_eq!(only(vec![stage("build", "cargo@1", &[], &[tool("rust"), app])]).code, "useless-grant");
}

#[test]
fn a_tool_that_the_server_lacks_is_named() {
    let problem = problems(vec![stage("build", "cargo@1", &[], &[tool("rust"), tool("rusty")])]);
    assert!(problem.iter().any(|problem| problem.code == "useless-grant"), "{problem:?}");
    let none = checked(vec![stage("build", "cargo@1", &[], &[tool("rust")])], &Operator::default(), Tier::Protected);
    assert_eq!(none.unwrap_err()[0].code, "not-configured");
}

#[test]
fn a_misspelled_plugin_or_stage_is_recognised() {
    let problem = only(vec![stage("build", "crago@1", &[], &[])]);
    assert_eq!((problem.code, problem.hint.as_deref()), ("unknown-plugin", Some("did you mean `cargo@1`?")));
    let stages =
        vec![stage("build", "cargo@1", &[], &[tool("rust")]), stage("test", "cargo@1", &["biuld"], &[tool("rust")])];
    let problem = only(stages);
    assert_eq!((problem.code, problem.hint.as_deref()), ("unknown-stage", Some("did you mean `build`?")));
}

#[test]
fn a_circle_is_shown_as_a_path() {
    let grants = [tool("rust")];
    let problem = only(vec![
        stage("a", "cargo@1", &["c"], &grants),
        stage("b", "cargo@1", &["a"], &grants),
        stage("c", "cargo@1", &["b"], &grants),
    ]);
    assert_eq!(problem.code, "cycle");
    assert_eq!(problem.message, "the stages need each other in a circle: `a` needs `c` needs `b` needs `a`");
}

#[test]
fn every_problem_is_reported_at_once() {
    let codes: Vec<&str> =
        problems(vec![stage("a", "crago@1", &["a"], &[]), stage("b", "./x.wasm", &["nowhere"], &[])])
            .iter()
            .map(|problem| problem.code)
            .collect();
    assert_eq!(codes, ["unknown-stage", "cycle", "unknown-plugin", "unusable-plugin"]);
}

#[test]
fn an_empty_pipeline_is_refused() {
    assert_eq!(only(vec![]).code, "no-stages");
}

#[test]
fn a_deploy_is_refused_below_its_tier() {
    let app = Capability::App(AppName::new("shop").unwrap());
    let stages = vec![stage("deploy", "app@1", &[], &[app])];
    assert!(checked(stages.clone(), &operator(), Tier::Protected).is_ok());
    assert_eq!(checked(stages, &operator(), Tier::Trusted).unwrap_err()[0].code, "tier");
}

#[test]
fn what_does_not_run_for_a_ref_is_in_nobodys_way_and_gets_nothing() {
    let app = Capability::App(AppName::new("shop").unwrap());
    let mut deploy = stage("deploy", "app@1", &[], std::slice::from_ref(&app));
    deploy.when = When { tag: Some(crate::definition::Pattern::new("v*")), branch: None };
    let definition = pipeline(vec![stage("build", "cargo@1", &[], &[tool("rust")]), deploy]);
    let found = |reference: &Reference, tier| {
        let operator = operator();
        let situation = Situation { operator: &operator, tier, reference: Some(reference), secrets: None };
        check(&definition, &plugins(), &situation)
    };
    let branch = found(&Reference::Branch("main".into()), Tier::Untrusted).unwrap();
    assert!(branch.grants[&name("deploy")].is_empty() && branch.grants[&name("build")].holds(&tool("rust")));
    let tag = Reference::Tag("v1.0.0".into());
    assert_eq!(found(&tag, Tier::Untrusted).unwrap_err()[0].code, "tier");
    assert!(found(&tag, Tier::Protected).unwrap().grants[&name("deploy")].holds(&app));
}

#[test]
fn what_the_policy_does_not_allow_is_told_with_the_operators_line() {
    let strict = Operator { policy: crate::grant::Policy::nothing(), ..operator() };
    let problem = checked(vec![stage("build", "cargo@1", &[], &[tool("rust")])], &strict, Tier::Trusted).unwrap_err();
    assert_eq!(problem[0].code, "policy");
    assert_eq!(
        problem[0].hint.as_deref(),
        Some("its operator allows it by `tools = [\"rust\"]` in `[trusted]` of the policy file")
    );
}

fn secret(text: &str) -> Capability {
    Capability::parse(Interface::Secrets, text).unwrap()
}

#[test]
fn a_secret_has_to_be_set_for_the_pipeline_or_the_environment() {
    let mut plugins = plugins();
    let Some(Resolution::Known(cargo)) = plugins.get_mut(&Uses::parse("cargo@1").unwrap()) else { panic!() };
    cargo.imports.insert(Interface::Secrets);
    cargo.requests.push(Request::new(Interface::Secrets, &[], ""));
    let mut build = stage("build", "cargo@1", &[], &[tool("rust"), secret("token in tool rust")]);
    build.environment = Some("staging".into());
    let definition = pipeline(vec![build]);
    let found = |set: &[(Option<&str>, &str)]| {
        let operator = operator();
        let set: SecretsSet = set
            .iter()
            .map(|(environment, name)| (environment.map(str::to_owned), SecretName::new(*name).unwrap()))
            .collect();
        let situation = Situation { operator: &operator, tier: Tier::Trusted, reference: None, secrets: Some(&set) };
        check(&definition, &plugins, &situation).map_err(|mut problems| problems.remove(0))
    };
    assert!(found(&[(None, "token")]).is_ok());
    assert!(found(&[(Some("staging"), "token")]).is_ok());
    let unset = found(&[(Some("production"), "token")]).unwrap_err();
    assert_eq!(unset.code, "unset-secret");
    let unset = found(&[]).unwrap_err();
    assert_eq!(unset.hint.as_deref(), Some("set it with `slipway secret set shop token`"));
    assert_eq!(found(&[(None, "tokens")]).unwrap_err().hint.as_deref(), Some("did you mean `tokens`?"));
}

#[test]
fn the_table_tells_each_capability_in_each_tier() {
    let app = Capability::App(AppName::new("shop").unwrap());
    let stages = vec![
        stage("build", "cargo@1", &[], &[tool("rust"), tool("node")]),
        stage("deploy", "app@1", &["build"], std::slice::from_ref(&app)),
    ];
    let rows = table(&pipeline(stages), &plugins(), &operator());
    let shown: Vec<String> = rows
        .iter()
        .map(|row| {
            let tiers = Tier::ALL.map(|tier| row.by_tier[&tier].map_or("yes", Refusal::as_str));
            format!("{} {} {}", row.stage, row.capability.text(), tiers.join(" "))
        })
        .collect();
    assert_eq!(
        shown,
        ["build node not-requested not-requested not-requested", "build rust yes yes yes", "deploy shop tier tier yes",]
    );
}

#[test]
fn every_circle_is_shown() {
    let grants = [tool("rust")];
    let problems = problems(vec![
        stage("a", "cargo@1", &["b"], &grants),
        stage("b", "cargo@1", &["a"], &grants),
        stage("c", "cargo@1", &["c", "a"], &grants),
    ]);
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.rsplit(": ").next().unwrap()).collect();
    assert_eq!(messages, ["`a` needs `b` needs `a`", "`c` needs `c`"]);
}

#[test]
fn a_word_stands_for_the_one_that_goes_on_with_its_unit() {
    let known = ["timeout_seconds", "memory_mib", "needs"];
    assert_eq!(nearest("timeout", &known), Some("timeout_seconds"));
    assert_eq!(nearest("need", &known), Some("needs"));
    assert_eq!(nearest("time", &known), None);
    assert_eq!(nearest("", &known), None);
}
