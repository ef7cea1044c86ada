use super::*;
use crate::name::{AppName, SecretName, ToolName};
use crate::plugin::Kind;
use proptest::prelude::*;

fn capability(interface: Interface, text: &str) -> Capability {
    Capability::parse(interface, text).unwrap()
}

fn rust() -> Capability {
    capability(Interface::Tools, "rust")
}

fn plugin(requests: Vec<Request>) -> Plugin {
    Plugin {
        name: "cargo".into(),
        version: "1.0.0".into(),
        kind: Kind::Build,
        imports: requests.iter().map(|request| request.interface).collect(),
        requests,
    }
}

fn asks(interface: Interface, names: &[&str]) -> Request {
    Request::new(interface, names, "")
}

fn operator() -> Operator {
    Operator {
        tools: [ToolName::new("rust").unwrap()].into(),
        networks: Operator::known_networks(),
        ..Operator::default()
    }
}

fn outcome(plugin: &Plugin, grants: &[Capability], operator: &Operator, tier: Tier) -> (Grants, Vec<Refusal>) {
    let pipeline = PipelineName::new("shop").unwrap();
    let grants = grants.iter().cloned().collect();
    let (granted, refused) = intersect(&Asked { pipeline: &pipeline, plugin, grants: &grants, operator, tier });
    (granted, refused.into_iter().map(|refused| refused.refusal).collect())
}

#[test]
fn what_all_five_agree_on_is_granted() {
    let (granted, refused) =
        outcome(&plugin(vec![asks(Interface::Tools, &["rust"])]), &[rust()], &operator(), Tier::Untrusted);
    assert!(granted.holds(&rust()));
    assert_eq!(refused, []);
}

#[test]
fn each_of_the_five_can_refuse() {
    let sound = plugin(vec![asks(Interface::Tools, &["rust"])]);
    let mut deaf = sound.clone();
    deaf.imports.clear();
    let mut modest = sound.clone();
    modest.requests.clear();
    let bare = Operator { tools: BTreeSet::new(), ..operator() };
    let strict = Operator { policy: Policy::nothing(), ..operator() };
    for (plugin, operator, refusal) in [
        (&deaf, operator(), Refusal::NotImported),
        (&modest, operator(), Refusal::NotRequested),
        (&sound, bare, Refusal::NotConfigured),
        (&sound, strict, Refusal::Policy(Tier::Protected)),
    ] {
        let (granted, refused) = outcome(plugin, &[rust()], &operator, Tier::Protected);
        assert!(granted.is_empty());
        assert_eq!(refused, [refusal]);
    }
    // What the pipeline does not name is not there to be refused; the plugin is told what it lacks.
    assert!(outcome(&sound, &[], &operator(), Tier::Protected).0.is_empty());
    let app = Capability::App(AppName::new("shop").unwrap());
    let deployer = plugin(vec![asks(Interface::Apps, &[])]);
    let (granted, refused) = outcome(&deployer, std::slice::from_ref(&app), &operator(), Tier::Trusted);
    assert!(granted.is_empty());
    assert_eq!(refused, [Refusal::Tier(Tier::Protected)]);
}

#[test]
fn a_list_of_hosts_is_granted_as_the_hosts_in_it() {
    let request = Request { network: vec![HostRule::parse("*:*").unwrap()], ..asks(Interface::Tools, &["rust"]) };
    let named = |name: &str| capability(Interface::Tools, &format!("rust to {name}"));
    let (granted, refused) =
        outcome(&plugin(vec![request.clone()]), &[rust(), named("crates")], &operator(), Tier::Trusted);
    assert_eq!(refused, []);
    assert!(granted.holds(&named("index.crates.io")) && granted.holds(&named("static.crates.io")));
    let (_, refused) = outcome(&plugin(vec![request.clone()]), &[rust(), named("cratse")], &operator(), Tier::Trusted);
    assert_eq!(refused, [Refusal::NotConfigured]);
    let (granted, refused) = outcome(&plugin(vec![request]), &[rust(), named("crates")], &operator(), Tier::Untrusted);
    assert!(!granted.holds(&named("index.crates.io")), "a fork's run has no network");
    assert_eq!(refused, [Refusal::Policy(Tier::Untrusted); 2]);
    let without = plugin(vec![asks(Interface::Tools, &["rust"])]);
    assert_eq!(outcome(&without, &[rust(), named("a.test")], &operator(), Tier::Trusted).1, [Refusal::NotRequested]);
}

#[test]
fn a_capability_that_needs_another_comes_with_it_or_not_at_all() {
    let all = plugin(vec![
        Request { network: vec![HostRule::parse("*:*").unwrap()], ..asks(Interface::Tools, &[]) },
        asks(Interface::Http, &[]),
        asks(Interface::Secrets, &[]),
    ]);
    let network = capability(Interface::Tools, "rust to a.test");
    let for_tool = capability(Interface::Secrets, "token in tool rust");
    let in_request = capability(Interface::Secrets, "token in https://a.test/v1/");
    let request = capability(Interface::Http, "GET https://a.test/");
    for (one, with) in [(&network, &rust()), (&for_tool, &rust()), (&in_request, &request)] {
        assert_eq!(outcome(&all, std::slice::from_ref(one), &operator(), Tier::Trusted).1, [Refusal::Alone], "{one}");
        let (granted, refused) = outcome(&all, &[one.clone(), with.clone()], &operator(), Tier::Trusted);
        assert!(granted.holds(one) && refused.is_empty(), "{one}");
    }
    let elsewhere = capability(Interface::Http, "GET https://b.test/");
    assert_eq!(outcome(&all, &[in_request, elsewhere], &operator(), Tier::Trusted).1, [Refusal::Alone]);
}

#[test]
fn seeing_a_secret_takes_the_word_of_plugin_pipeline_and_operator() {
    let read = Capability::Secret(SecretName::new("token").unwrap(), Use::Read);
    let uses = plugin(vec![asks(Interface::Secrets, &[])]);
    let reads = plugin(vec![Request { read: true, ..asks(Interface::Secrets, &["token"]) }]);
    let mut lenient = operator();
    let allowed = Allowed { read_secrets: vec![crate::definition::Pattern::new("to*")], ..Allowed::default() };
    lenient.policy.pipelines.push((crate::definition::Pattern::new("shop"), [(Tier::Untrusted, allowed)].into()));
    let refusals = |plugin, operator, tier| outcome(plugin, std::slice::from_ref(&read), operator, tier).1;
    assert_eq!(refusals(&reads, &lenient, Tier::Trusted), []);
    assert_eq!(refusals(&reads, &lenient, Tier::Untrusted), [Refusal::Tier(Tier::Trusted)]);
    assert_eq!(refusals(&uses, &lenient, Tier::Trusted), [Refusal::NotRequested]);
    assert_eq!(refusals(&reads, &operator(), Tier::Trusted), [Refusal::Policy(Tier::Trusted)]);
}

#[test]
fn what_a_plugin_asks_for_and_is_not_granted_is_missing() {
    let names = |plugin: &Plugin, grants: &[Capability]| {
        let found = missing(plugin, &grants.iter().cloned().collect());
        found.into_iter().map(|missing| missing.name.unwrap_or_else(|| "any".into())).collect::<Vec<_>>()
    };
    let two = plugin(vec![asks(Interface::Tools, &["rust", "node"])]);
    assert_eq!(names(&two, &[]), ["rust", "node"]);
    assert_eq!(names(&two, &[rust()]), ["node"]);
    let open = plugin(vec![asks(Interface::Secrets, &[])]);
    assert_eq!(names(&open, &[rust()]), ["any"]);
    assert_eq!(names(&open, &[capability(Interface::Secrets, "token read")]), Vec::<String>::new());
    let requests = plugin(vec![asks(Interface::Http, &["POST https://a.test/hooks/"])]);
    assert_eq!(names(&requests, &[capability(Interface::Http, "GET https://a.test/")]), ["POST https://a.test/hooks/"]);
    assert_eq!(names(&requests, &[capability(Interface::Http, "POST https://a.test/hooks/7")]), Vec::<String>::new());
    let mut deaf = two;
    deaf.imports.clear();
    assert_eq!(names(&deaf, &[]), Vec::<String>::new());
}

proptest! {
    /// Whatever is granted was granted by the pipeline, and a higher tier never takes away.
    #[test]
    fn granting_is_monotone(imports in 0usize..256, ask in any::<bool>(), grant in any::<bool>(), have in any::<bool>()) {
        let mut plugin = plugin(if ask { vec![asks(Interface::Tools, &["rust"])] } else { Vec::new() });
        plugin.imports =
            Interface::ALL.into_iter().enumerate().filter(|(bit, _)| imports >> bit & 1 == 1).map(|(_, i)| i).collect();
        let grants: Vec<Capability> = grant.then(rust).into_iter().collect();
        let operator = if have { operator() } else { Operator::default() };
        let low = outcome(&plugin, &grants, &operator, Tier::Untrusted).0;
        let high = outcome(&plugin, &grants, &operator, Tier::Protected).0;
        prop_assert!(low.iter().all(|capability| high.holds(capability)));
        prop_assert!(high.iter().all(|capability| grants.contains(capability)));
    }
}
