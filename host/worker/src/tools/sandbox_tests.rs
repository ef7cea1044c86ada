use super::*;
use proptest::prelude::*;
use slipway_protocol::call::{Bind, ToolPlan};
use slipway_protocol::secret::Confidential;

fn settings() -> Settings {
    Settings { folder: "/w".into(), shown: Vec::new(), init: "/init".into() }
}

fn order(plan: ToolPlan, words: Words) -> Order {
    let caches = vec![("/w/caches/1".into(), "/cache/cargo".to_owned())];
    Order { scratch: "/w/s".into(), work: "/w/work/1".into(), inputs: "/w/i".into(), caches, plan, words }
}

fn with<T>(order: &Order, layers: &[Layer], look: impl FnOnce(&Layout<'_>) -> T) -> T {
    let (settings, layers) = (settings(), layers.iter().copied().collect());
    look(&Layout { order, settings: &settings, same: Vec::new(), layers: &layers, group: None })
}

#[test]
fn what_a_tool_gets_stands_in_no_argument_and_means_nothing_to_bubblewrap() {
    let secret = |place| ToolSecret { secret: Confidential::new(b"hunter2-hunter2".to_vec()), place };
    let plan = ToolPlan {
        env: vec![("LD_LIBRARY_PATH".into(), "/tools/x/lib".into())],
        secrets: vec![secret(Place::Env("TOKEN".into())), secret(Place::File("key.pem".into())), secret(Place::Stdin)],
        ..ToolPlan::default()
    };
    let words = Words { env: vec![("A".into(), "visible-to-nobody".into())], ..Words::default() };
    let order = order(plan, words);
    with(&order, &Layer::ALL, |layout| {
        let shown = format!("{:?}", arguments(layout).unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains("visible-to-nobody"), "{shown}");
        let names: Vec<String> = environment(layout).into_iter().map(|(name, _)| name.into_string().unwrap()).collect();
        assert_eq!(
            names,
            [
                "SLIPWAY_TOOL_ENV_LD_LIBRARY_PATH",
                "SLIPWAY_TOOL_ENV_A",
                "SLIPWAY_TOOL_ENV_TOKEN",
                "SLIPWAY_TOOL_FILE_key.pem"
            ]
        );
    });
}

#[test]
fn without_namespaces_words_name_the_machines_paths() {
    let binds = vec![Bind { from: "/opt/rust".into(), to: "/tools/rust".into() }];
    let plan = ToolPlan { program: "/tools/rust/bin/cargo".into(), binds, ..ToolPlan::default() };
    let args = ["--manifest-path=/work/Cargo.toml", "/workshop", "a:/work/b", "/cache/cargo"].map(str::to_owned);
    let order = order(plan, Words { args: args.into(), ..Words::default() });
    let words = with(&order, &[Layer::SystemCalls], |layout| bare::arguments(layout).unwrap());
    let words: Vec<&str> = words.iter().skip(3).map(|word| word.to_str().unwrap()).collect();
    assert_eq!(
        words,
        ["/opt/rust/bin/cargo", "--manifest-path=/w/work/1/Cargo.toml", "/workshop", "a:/w/work/1/b", "/w/caches/1"]
    );
}

proptest! {
    /// Threat T54.
    ///
    /// Whatever a guest asks for, the policy is the same, and its words come last as they are.
    #[test]
    fn a_guest_never_changes_the_policy(
        args in proptest::collection::vec(".{0,20}", 0..6),
        values in proptest::collection::vec(".{0,20}", 0..4),
    ) {
        let plan = ToolPlan { program: "/tools/rust/bin/cargo".into(), ..ToolPlan::default() };
        let laid_out = |args: Vec<String>, env: Vec<(String, String)>| {
            let order = order(plan.clone(), Words { args, env, directory: String::new() });
            with(&order, &Layer::ALL, |layout| arguments(layout).unwrap())
        };
        let plain = laid_out(vec![], vec![]);
        let env: Vec<(String, String)> = values.iter().map(|value| ("NAME".to_owned(), value.clone())).collect();
        let asked = laid_out(args.clone(), env);
        let tail: Vec<OsString> = args.iter().map(OsString::from).collect();
        prop_assert_eq!(&asked[..plain.len()], &plain[..]);
        prop_assert_eq!(&asked[plain.len()..], &tail[..]);
    }
}
