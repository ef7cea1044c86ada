use super::*;
use crate::definition::Checked;
use crate::scheduler::Pipeline;
use slipway_domain::PipelineName;
use slipway_domain::definition::{Definition, Triggers};
use slipway_domain::grant::{Capability, Grants, Interface};
use slipway_protocol::call::TestCase;

pub(super) fn context(phase: &str, grants: &[Capability]) -> CallContext {
    let definition =
        Definition { name: PipelineName::new("shop").unwrap(), triggers: Triggers::default(), stages: Vec::new() };
    CallContext {
        run: RunId::new("0".repeat(26)).unwrap(),
        pipeline_name: "shop".into(),
        pipeline: Arc::new(Pipeline {
            digest: String::new(),
            text: String::new(),
            checked: Checked { definition, stages: Default::default() },
            table: Vec::new(),
        }),
        stage: StageName::new("deploy").unwrap(),
        phase: phase.into(),
        epoch: 1,
        seq: 1,
        grants: grants.iter().cloned().collect::<Grants>(),
        left: Arc::default(),
        revision: "a".repeat(40),
        version: None,
        tier: "protected".into(),
        upload_size: None,
    }
}

fn code(result: Result<(), Failure>) -> String {
    result.map_or_else(|failure| failure.code, |()| "granted".into())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only a refusal has a code")]
fn reply_code(done: &Done) -> &str {
    match &done.reply {
        Reply::Refused(failure) => &failure.code,
        _ => "done",
    }
}

#[test]
fn a_tool_is_started_only_with_its_grant() {
    let call = Call::StartTool {
        tool: "rust".into(),
        program: "cargo".into(),
        args: vec![],
        directory: String::new(),
        env: vec![],
        secrets: vec![],
    };
    let rust = Capability::Tool(ToolName::new("rust").unwrap());
    let node = Capability::Tool(ToolName::new("node").unwrap());
    assert_eq!(code(check_grant(&context("build", &[rust]), &call)), "granted");
    assert_eq!(code(check_grant(&context("build", &[node]), &call)), "not-granted");
    assert_eq!(code(check_grant(&context("build", &[]), &call)), "not-granted");
}

#[test]
fn a_secret_is_opened_only_with_its_grant() {
    let call = Call::OpenSecret { name: "db".into() };
    let secret = |text: &str| [Capability::parse(Interface::Secrets, text).unwrap()];
    assert_eq!(code(check_grant(&context("build", &secret("db in tool rust")), &call)), "granted");
    assert_eq!(code(check_grant(&context("build", &secret("other in tool rust")), &call)), "not-granted");
    assert_eq!(code(check_grant(&context("build", &[]), &call)), "not-granted");
}

#[test]
fn an_app_is_touched_only_with_its_grant() {
    let shop = Capability::App(AppName::new("shop").unwrap());
    for call in [
        Call::CurrentRelease { app: "shop".into() },
        Call::Release { app: "shop".into(), digest: String::new() },
        Call::Restore { app: "shop".into() },
        Call::Address { app: "shop".into() },
    ] {
        assert_eq!(code(check_grant(&context("apply", std::slice::from_ref(&shop)), &call)), "granted", "{call:?}");
        assert_eq!(code(check_grant(&context("apply", &[]), &call)), "not-granted", "{call:?}");
    }
    let hostile = Call::CurrentRelease { app: "../shop".into() };
    assert_eq!(code(check_grant(&context("apply", &[shop]), &hostile)), "not-granted");
}

#[test]
fn a_plan_changes_nothing() {
    let shop = Capability::App(AppName::new("shop").unwrap());
    for call in [
        Call::Release { app: "shop".into(), digest: String::new() },
        Call::Restore { app: "shop".into() },
        Call::Switch { release: String::new() },
    ] {
        assert_eq!(
            code(check_grant(&context("plan", std::slice::from_ref(&shop)), &call)),
            "not-in-this-phase",
            "{call:?}"
        );
        assert_eq!(code(check_grant(&context("apply", std::slice::from_ref(&shop)), &call)), "granted", "{call:?}");
    }
    assert_eq!(reply_code(&reports::change(&context("plan", &[]), "create", "x", None, None)), "done");
    assert_eq!(reply_code(&reports::change(&context("apply", &[]), "create", "x", None, None)), "not-in-this-phase");
}

#[test]
fn outputs_have_names_and_limits() {
    let context = context("build", &[]);
    assert_eq!(reply_code(&run::set_output(&context, "image.digest", "x")), "done");
    for bad in ["", ".hidden", "a/b", "a b", "ä", &"x".repeat(129)] {
        assert_eq!(reply_code(&run::set_output(&context, bad, "x")), "invalid-name", "{bad}");
    }
    assert_eq!(reply_code(&run::set_output(&context, "a", &"x".repeat(65_537))), "too-large");
    let mut full = context;
    let outputs = (0..256).map(|number| (number.to_string(), (1, String::new()))).collect();
    full.left = Arc::new(Left { outputs, ..Left::default() });
    assert_eq!(reply_code(&run::set_output(&full, "a", "x")), "too-many");
    assert_eq!(reply_code(&run::set_output(&full, "0", "x")), "done", "one that is there can change");
}

#[test]
fn test_cases_have_outcomes_and_limits() {
    let case = |outcome: &str| TestCase {
        suite: "s".into(),
        name: "n".into(),
        outcome: outcome.into(),
        time_us: None,
        message: None,
        details: Vec::new(),
    };
    let mut context = context("test", &[]);
    let done = reports::test_cases(&context, &[case("passed"), case("failed"), case("skipped")]);
    assert_eq!((reply_code(&done), done.writes.len()), ("done", 3));
    assert_eq!(reply_code(&reports::test_cases(&context, &[case("great")])), "invalid-outcome");
    let reports = [(7, Reports { count: 100_000, bytes: 0 })].into();
    context.left = Arc::new(Left { reports, ..Left::default() });
    assert_eq!(reply_code(&reports::test_cases(&context, &[case("passed")])), "too-many");
}

#[test]
fn the_reports_of_a_stage_have_a_limit_of_bytes() {
    let case = TestCase {
        suite: "s".into(),
        name: "n".into(),
        outcome: "failed".into(),
        time_us: None,
        message: Some("x".repeat(60 << 10)),
        details: Vec::new(),
    };
    let mut context = context("test", &[]);
    let mut taken = 0;
    loop {
        let done = reports::test_cases(&context, std::slice::from_ref(&case));
        if reply_code(&done) == "too-large" {
            break;
        }
        done.keep.apply(Arc::make_mut(&mut context.left));
        taken += 1;
    }
    assert!((260..280).contains(&taken), "{taken} of 60 KiB in 16 MiB");
    assert_eq!(reply_code(&reports::test_cases(&context, &[])), "done", "nothing more is still taken");
}
