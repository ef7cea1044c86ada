use super::*;
use slipway_domain::ToolName;
use slipway_domain::grant::{Capability, Interface};

const GOOD: &str = r#"
name = "hello"

[on]
tag = ["v*"]

[stages.build]
uses = "cargo@1"
with = { target = "wasm32-wasip2", features = ["a", "b"], level = 3 }
grant.tools = ["rust"]

[stages.deploy]
needs = ["build"]
uses = "app@1"
with = { app = "hello" }
grant.apps = ["hello"]
when.tag = "v*"
timeout_seconds = 60
memory_mib = 64
environment = "production"
"#;

fn diagnostics(text: &str) -> Vec<Diagnostic> {
    read(text).1.expect_err("should be refused")
}

#[test]
fn a_sound_file_is_read_whole() {
    let definition = read(GOOD).1.unwrap();
    assert_eq!(definition.name.as_str(), "hello");
    let [build, deploy] = &definition.stages[..] else { panic!("{definition:?}") };
    assert!(build.grants.holds(&Capability::Tool(ToolName::new("rust").unwrap())));
    assert_eq!(build.with, r#"{"features":["a","b"],"level":3,"target":"wasm32-wasip2"}"#);
    assert_eq!(deploy.timeout, Duration::from_secs(60));
    assert_eq!(deploy.memory_bytes_max, Some(64 << 20));
    assert_eq!(deploy.needs, [StageName::new("build").unwrap()]);
}

/// What is wrong in a text, with the code, the line and the way out that are told.
const MISTAKES: &[(&str, &str, u32, Option<&str>)] = &[
    ("name = \"hello", "syntax", 1, None),
    ("name = \"hello\"\nnmae = 1", "unknown-key", 2, Some("did you mean `name`?")),
    ("[stages.build]\nuses = \"cargo@1\"", "missing-key", 1, Some("add `name = \"shop\"`")),
    ("name = \"Hello World\"", "invalid-name", 1, None),
    ("name = 3", "wrong-type", 1, None),
    (
        "name = \"a\"\n[stages.build]\nuses = \"cargo\"",
        "invalid-uses",
        3,
        Some("write `cargo@1`, or `./path/to/plugin.wasm`"),
    ),
    ("name = \"a\"\n[stages.build]\nneeds = []", "missing-key", 2, Some("add `uses = \"cargo@1\"`")),
    ("name = \"a\"\n[stages.Build]\nuses = \"cargo@1\"", "invalid-name", 2, None),
    ("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\nneeds = \"x\"", "wrong-type", 4, None),
    ("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\ngrant.tool = []", "unknown-key", 4, Some("did you mean `tools`?")),
    ("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\ntimeout_seconds = 0", "out-of-range", 4, None),
    ("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\nmemory_mib = 1", "out-of-range", 4, None),
    ("name = \"a\"\n[stages.b]\nuses = \"./../x.wasm\"", "invalid-uses", 3, None),
    ("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\nwith = 3", "wrong-type", 4, None),
    ("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\ngrant.tools = [\"Rust\"]", "invalid-grant", 4, None),
    ("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\ngrant.tools.rust.hosts = []", "unknown-key", 4, None),
    (
        "name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\n[stages.b.grant.tools.rust]\nnetwork = [\"a_b\"]",
        "invalid-grant",
        5,
        None,
    ),
    ("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\ngrant.http = [\"https://a.test/\"]", "invalid-grant", 4, None),
    ("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\ngrant.secrets = [\"token\"]", "wrong-type", 4, None),
    ("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\ngrant.secrets.token = {}", "useless-grant", 4, None),
    (
        "name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\ngrant.secrets.token = { http = [\"https://*.a.test/\"] }",
        "invalid-grant",
        4,
        None,
    ),
];

#[test]
fn grants_are_read_with_their_arguments() {
    let definition = read(
        "name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\n[stages.b.grant]\napps = [\"shop\"]\n\
         tools = { rust = { network = [\"crates\", \"*.a.test:8443\"] }, node = {} }\n\
         http = [\"GET,PUT https://a.test/v1/\"]\n\
         [stages.b.grant.secrets.token]\nhttp = [\"https://a.test\"]\ntools = [\"rust\"]\nread = true\n\
         [stages.b.grant.secrets.other]\nread = false\ntools = [\"node\"]\n",
    );
    let stage = definition.1.unwrap().stages.remove(0);
    let found: Vec<String> = stage.grants.iter().map(|one| format!("{}: {}", one.interface(), one.text())).collect();
    assert_eq!(
        found,
        [
            "tools: node",
            "tools: rust",
            "tools: rust to crates",
            "tools: rust to *.a.test:8443",
            "http: GET,PUT https://a.test/v1/",
            "secrets: other in tool node",
            "secrets: token in https://a.test/",
            "secrets: token in tool rust",
            "secrets: token read",
            "apps: shop",
        ]
    );
    assert!(stage.grants.iter().all(|one| Capability::parse(one.interface(), &one.text()).as_ref() == Some(one)));
    assert!(Interface::ALL.into_iter().filter(|interface| interface.needs_grant()).count() == 4, "one reader for each");
}

#[test]
fn each_mistake_is_shown_where_it_stands() {
    for &(broken, code, line, shown) in MISTAKES {
        let found = diagnostics(broken);
        assert_eq!(found.len(), 1, "{broken}: {found:?}");
        assert_eq!((found[0].code.as_str(), found[0].line), (code, line), "{broken}: {found:?}");
        if let Some(hint) = shown {
            assert_eq!(found[0].hint.as_deref(), Some(hint), "{broken}");
        }
    }
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let found = diagnostics("nam = 1\n[stages.b]\nuse = \"cargo@1\"\n[on]\ntags = []");
    let codes: Vec<&str> = found.iter().map(|diagnostic| diagnostic.code.as_str()).collect();
    assert_eq!(codes, ["unknown-key", "missing-key", "missing-key", "unknown-key", "unknown-key"], "as they stand");
}

#[test]
fn every_value_that_is_out_of_range_is_shown_at_once() {
    let found = diagnostics(
        "name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\ntimeout_seconds = 0\nmemory_mib = 1\n\
         [stages.c]\nuses = \"cargo@1\"\ntimeout_seconds = 99999999\nmemory_mib = 9999",
    );
    let shown: Vec<(&str, u32)> = found.iter().map(|found| (found.code.as_str(), found.line)).collect();
    assert_eq!(shown, [("out-of-range", 4), ("out-of-range", 5), ("out-of-range", 8), ("out-of-range", 9)]);
    // Numbers that TOML itself cannot hold.
    let huge = "9".repeat(30);
    let text = format!("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\ntimeout_seconds = {huge}\nmemory_mib = {huge}");
    let lines: Vec<u32> = diagnostics(&text).iter().map(|found| found.line).collect();
    assert_eq!(lines, [4, 5]);
}

#[test]
fn mistakes_in_the_syntax_are_shown_together_and_each_once() {
    let found = diagnostics("name = \n[on]\ntag = [\"v*\"]\n[stages.b]\nuses = cargo\n");
    let lines: Vec<u32> = found.iter().map(|found| found.line).collect();
    assert_eq!(lines, [1, 5], "{found:?}");
}

#[test]
fn a_key_that_is_given_twice_is_refused() {
    assert_eq!(diagnostics("name = \"a\"\nname = \"b\"")[0].code, "syntax");
}

#[test]
fn deep_nesting_is_refused_without_harm() {
    let deep =
        format!("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\nwith = {{ x = {}1{} }}", "[".repeat(60), "]".repeat(60));
    let found = diagnostics(&deep);
    assert_eq!((found[0].code.as_str(), found[0].line), ("too-deep", 4));
    assert!(found[0].column > 30, "{found:?}");
    for deeper in [
        format!("name = \"a\"\nx = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("name = \"a\"\nx = {}1{}", "{ a = ".repeat(200), " }".repeat(200)),
        format!("name = \"a\"\n{}a = 1", "a.".repeat(200)),
    ] {
        let found = diagnostics(&deeper);
        assert_eq!((found[0].code.as_str(), found[0].line), ("syntax", 2), "{found:?}");
        assert!(found[0].column > 1 && found[0].message.contains("nested too deep"), "{found:?}");
    }
}

#[test]
fn of_very_many_mistakes_the_first_are_told_and_long_words_are_cut() {
    let keys: String = (0..500).map(|number| format!("unknown_{number} = 1\n")).collect();
    let found = read(&format!("name = \"shop\"\n{keys}")).1.unwrap_err();
    assert_eq!(found.len(), 101);
    let last = &found[100];
    assert_eq!((last.code.as_str(), last.line), ("too-many-mistakes", 102));
    assert!(
        last.message.contains("there are 401 more") || last.message.contains("there are 400 more"),
        "{}",
        last.message
    );
    let found = read(&format!("name = \"shop\"\n{} = 1\n", "x".repeat(100_000))).1.unwrap_err();
    assert!(found.iter().all(|diagnostic| diagnostic.message.len() < 700), "{}", found[0].message.len());
}

/// Editors complete and check a file by the published schema, which is held to the reader here.
#[test]
fn the_published_schema_takes_and_refuses_what_the_reader_does() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../../docs/schemas/pipeline.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let takes = |text: &str| validator.is_valid(&toml::from_str::<serde_json::Value>(text).unwrap());
    assert!(takes(GOOD), "{:?}", validator.iter_errors(&toml::from_str(GOOD).unwrap()).collect::<Vec<_>>());
    let mut compared = 0;
    for &(broken, code, ..) in MISTAKES.iter().filter(|(_, code, ..)| *code != "syntax") {
        // The rest of a path in the repository is beyond a pattern.
        if !broken.contains("./../") {
            assert!(!takes(broken), "{code}: {broken}");
            compared += 1;
        }
    }
    assert!(compared >= 10, "{compared}");
    // No key is known to one of them only.
    let keys = |pointer: &str| -> Vec<String> {
        schema.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect()
    };
    let value = |key: &str| match key {
        "with" | "grant" | "when" => "{}",
        "needs" | "push" | "tag" if key != "tag" => "[]",
        "pull_request" => "true",
        "timeout_seconds" | "memory_mib" => "60",
        _ => "\"cargo@1\"",
    };
    for key in keys("/$defs/stage/properties") {
        let uses = if key == "uses" { "" } else { "uses = \"cargo@1\"\n" };
        let text = format!("name = \"a\"\n[stages.b]\n{uses}{key} = {}\n", value(&key));
        assert!(read(&text).1.is_ok(), "{text}");
    }
    for key in keys("/properties/on/properties") {
        let value = if key == "tag" { "[]" } else { value(&key) };
        assert!(read(&format!("name = \"a\"\n[on]\n{key} = {value}\n")).1.is_ok(), "{key}");
    }
    for key in keys("/$defs/stage/properties/grant/properties") {
        let value = match key.as_str() {
            "secrets" => "{ token = { tools = [\"x\"], http = [\"https://a.test/\"], read = true } }",
            "http" => "[\"GET https://a.test/\"]",
            _ => "[\"x\"]",
        };
        let text = format!("name = \"a\"\n[stages.b]\nuses = \"cargo@1\"\ngrant.{key} = {value}\n");
        assert!(read(&text).1.is_ok(), "{text}");
        assert!(takes(&text), "{text}");
    }
}
