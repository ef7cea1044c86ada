//! One plugin a behaviour, each with what becomes of it.

use crate::support::{Repository, Server, guest, stage};
use crate::wat::{Odd, component};
use serde_json::{Value, json};

/// What becomes of a plugin.
pub enum Expected {
    /// It is refused before anything runs, with these words.
    Refused(&'static str),
    /// Its stage ends with a fault of this code, and these words.
    Fault(&'static str, &'static str),
    /// Its stage fails with this code.
    Fails(&'static str),
    /// Its stage passes, with these outputs.
    Outputs(&'static [(&'static str, &'static str)]),
}
use Expected::{Fails, Fault, Outputs, Refused};

/// A plugin that means harm.
pub struct Evil {
    /// Its number in the list of threats, and what it does.
    pub name: &'static str,
    /// Its bytes.
    pub bytes: fn() -> Vec<u8>,
    /// What its stage is given.
    pub more: &'static str,
    /// What becomes of it.
    pub expected: Expected,
}

const SPIN: &str = "(loop $forever (br $forever)) unreachable";
const SHORT: &str = "timeout_seconds = 1";
const DEADLINE: Expected = Fault("deadline", "did not end within its 1 s");

macro_rules! wat {
    ($($field:ident: $value:expr),* $(,)?) => { || component(&Odd { $($field: $value,)* ..Odd::default() }) };
}

/// All that one stage can be.
#[rustfmt::skip]
pub fn all() -> Vec<Evil> {
    vec![
        Evil { name: "p1-spins-in-build", bytes: wat!(build: Some(SPIN)), more: SHORT, expected: DEADLINE },
        Evil {
            name: "p1-spins-in-realloc",
            bytes: wat!(world: "import slipway:stage/run@0.1.0;", build: Some("(call $id (i32.const 64)) (i32.const 4096)"), realloc: Some(SPIN)),
            more: SHORT, expected: DEADLINE,
        },
        Evil { name: "p1-spins-after-return", bytes: wat!(post_return: Some(SPIN)), more: SHORT, expected: DEADLINE },
        Evil {
            name: "p2-fills-memory-for-ever",
            bytes: wat!(memory: Some("1000"), build: Some("(loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const 65000000)) (br $l)) unreachable")),
            more: SHORT, expected: DEADLINE,
        },
        Evil { name: "p3-takes-all-memory", bytes: || guest("eats_memory"), more: "memory_mib = 64", expected: Fault("limit", "64 MiB of memory") },
        Evil { name: "p4-declares-four-gigabytes", bytes: wat!(memory: Some("65536")), more: "", expected: Refused("MiB of memory") },
        Evil { name: "p4-declares-a-huge-table", bytes: wat!(fields: "(table 9000000 funcref)"), more: "", expected: Refused("table") },
        Evil { name: "p6-a-string-out-of-bounds", bytes: wat!(describe: Some("(i32.store (i32.const 32) (i32.const -16)) (i32.store (i32.const 36) (i32.const 64)) (i32.const 32)")), more: "", expected: Refused("`describe` trapped") },
        Evil { name: "p6-a-string-without-an-end", bytes: wat!(describe: Some("(i32.store (i32.const 4) (i32.const -1)) (i32.const 0)")), more: "", expected: Refused("`describe` trapped") },
        Evil {
            name: "p6-a-failure-of-sixteen-megabytes",
            bytes: wat!(memory: Some("300"), build: Some("(i32.store8 (i32.const 4096) (i32.const 1)) (i32.store (i32.const 4100) (i32.const 0)) (i32.store (i32.const 4104) (i32.const 16777216)) (i32.const 4096)")),
            more: "", expected: Fault("limit", "copied in one call"),
        },
        Evil { name: "p6-a-result-that-is-not-aligned", bytes: wat!(build: Some("(i32.const 4097)")), more: "", expected: Fault("trap", "align") },
        Evil { name: "p7-a-million-empty-pairs", bytes: || guest("evil_many"), more: "", expected: Fault("limit", "copied in one call") },
        Evil { name: "p8-takes-all-handles", bytes: || guest("evil_resources"), more: "", expected: Fault("limit", "4096 resources at once") },
        Evil { name: "p9-a-terabyte-of-random", bytes: || guest("evil_random"), more: "", expected: Fault("limit", "random") },
        Evil { name: "p13-recurses", bytes: || guest("recurses"), more: "", expected: Fault("limit", "stack") },
        Evil { name: "p15-sleeps-for-ever", bytes: || guest("sleeps_forever"), more: SHORT, expected: DEADLINE },
        Evil { name: "p18-calls-and-calls", bytes: || guest("evil_storm"), more: "timeout_seconds = 3", expected: Fault("deadline", "within its 3 s") },
        Evil {
            name: "p19-says-odd-things", bytes: || guest("evil_odd"),
            more: "grant = { secrets = { mine = { http = [\"https://granted.test/\"] } }, http = [\"GET https://granted.test/\"], tools = [\"sh\"] }\ntimeout_seconds = 60",
            expected: Outputs(&[]),
        },
        Evil { name: "p27-says-that-it-passed", bytes: || guest("evil_forger"), more: "", expected: Fails("passed") },
        Evil {
            name: "p30-asks-for-what-others-have", bytes: || guest("evil_greedy"),
            more: "grant = { secrets = { mine = { http = [\"https://granted.test/api/\"] } }, http = [\"GET https://granted.test/api/\", \"GET https://granted.test/open/\"], tools = [\"sh\"] }",
            expected: Outputs(&[
                ("another-secret", "not-granted"), ("the-value", "not-granted"), ("another-host", "not-granted"),
                ("another-port", "not-granted"), ("another-scheme", "not-granted"), ("another-path", "not-granted"),
                ("up-the-path", "not-granted"), ("this-machine", "not-granted"), ("metadata", "not-granted"),
                ("another-method", "not-granted"), ("secret-elsewhere", "not-granted"), ("another-tool", "not-granted"),
                ("secret-in-tool", "not-granted"), ("another-stage", "not-an-input"), ("another-artifact", "unknown-artifact"),
            ]),
        },
        Evil { name: "p33-floods-the-log", bytes: || guest("floods_log"), more: "", expected: Outputs(&[]) },
        Evil { name: "p43-shares-memory", bytes: || ::wat::parse_str("(component (core module (memory 1 1 shared)))").unwrap(), more: "", expected: Refused("threads") },
        Evil { name: "p43-64-bit-memory", bytes: || ::wat::parse_str("(component (core module (memory i64 1)))").unwrap(), more: "", expected: Refused("memory64") },
        Evil { name: "p43-collects-garbage", bytes: || ::wat::parse_str("(component (core module (type (struct (field i32)))))").unwrap(), more: "", expected: Refused("gc") },
        Evil { name: "p43-throws", bytes: || ::wat::parse_str("(component (core module (tag)))").unwrap(), more: "", expected: Refused("exception") },
    ]
}

/// A server with a shell, which lets stages of any tier ask for what the list above is granted.
pub fn server(folder: &std::path::Path) -> Server {
    let config = folder.join("server.toml");
    std::fs::write(&config, "worker_slots = 32\n[tools.sh]\nroot = \"/usr\"\nprograms = { sh = \"bin/sh\" }\n")
        .unwrap();
    Server::start_with(&["--config", config.to_str().unwrap()])
}

/// Adds a pipeline of one stage.
pub async fn add(server: &Server, name: &str, bytes: &[u8], more: &str) {
    let pipeline = format!("name = \"{name}\"\n[stages.only]\nuses = \"./plugins/x.wasm\"\n{more}\n");
    let repository = Repository::new();
    repository.write("slipway.toml", pipeline.as_bytes());
    repository.write("plugins/x.wasm", bytes);
    repository.commit("one", None);
    server.add(name, repository.path()).await;
    if more.contains("mine") {
        let path = format!("/v1/pipelines/{name}/secrets/mine");
        let (status, problem) = server.request("PUT", &path, Some(json!({ "value": "correct horse" }))).await;
        assert_eq!(status, 200, "{problem:#}");
    }
    // Read by the check of a run at the latest; the folder is gone with the end of this function.
    server.keep(repository);
}

impl Evil {
    /// Triggers it. `None` when it is refused, which is checked here.
    pub async fn trigger(&self, server: &Server) -> Option<String> {
        add(server, self.name, &(self.bytes)(), self.more).await;
        let body = json!({ "reference": "main" });
        let (status, answer) = server.request("POST", &format!("/v1/pipelines/{}/runs", self.name), Some(body)).await;
        if let Refused(words) = self.expected {
            let message = answer["diagnostics"][0]["message"].as_str().unwrap_or_default();
            assert_eq!(status, 422, "{}: {answer:#}", self.name);
            assert!(message.contains(words), "{}: {message}", self.name);
            return None;
        }
        assert_eq!(status, 202, "{}: {answer:#}", self.name);
        Some(answer["id"].as_str().unwrap().to_owned())
    }

    /// Checks how its run has ended.
    pub fn check(&self, run: &Value) {
        let (name, only) = (self.name, stage(run, "only"));
        match self.expected {
            Refused(_) => unreachable!("it was not run"),
            Fault(code, words) => {
                assert_eq!(
                    (only["fault"]["code"].as_str(), run["state"].as_str()),
                    (Some(code), Some("errored")),
                    "{name}: {run:#}"
                );
                assert!(only["fault"]["message"].as_str().unwrap().contains(words), "{name}: {run:#}");
            }
            Fails(code) => {
                assert_eq!(
                    (only["failure"]["code"].as_str(), run["state"].as_str()),
                    (Some(code), Some("failed")),
                    "{name}: {run:#}"
                );
            }
            Outputs(outputs) => {
                assert_eq!(run["state"], "passed", "{name}: {run:#}");
                for (key, value) in outputs {
                    assert_eq!(only["outputs"][key], *value, "{name}: {key} in {run:#}");
                }
            }
        }
    }
}

/// Threats T31 to T38, T40, T42 to T44, T65 and T67.
#[tokio::test(flavor = "multi_thread")]
async fn each_is_refused_stopped_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    for evil in all() {
        if let Some(id) = evil.trigger(&server).await {
            evil.check(&server.end(&id).await);
        }
    }
    // What was refused is told to whoever looks after the server, with whose it was.
    let run = server.get("/v1/pipelines/p30-asks-for-what-others-have/runs").await["runs"][0]["id"].clone();
    let refused = server.get(&format!("/v1/audit?outcome=refused&run={}", run.as_str().unwrap())).await;
    let refused = refused["entries"].as_array().unwrap();
    assert_eq!(refused.len(), 13, "{refused:#?}");
    for entry in refused {
        assert_eq!(entry["actor"].as_str().unwrap(), format!("{}/only", run.as_str().unwrap()));
        assert!(entry["object"].as_str().unwrap().contains("no grant"), "{entry:#}");
    }
}

/// Threat T39.
///
/// P20 and P21: with an input of an earlier stage, which stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn no_link_leads_out_and_no_input_is_changed() {
    let server = Server::start();
    let pipeline = "name = \"links\"\n[stages.first]\nuses = \"./plugins/says_hello.wasm\"\n\
                    [stages.only]\nneeds = [\"first\"]\nuses = \"./plugins/evil_links.wasm\"";
    let repository = Repository::with(pipeline, &["says_hello", "evil_links"]);
    server.add("links", repository.path()).await;
    let run = server.run("links", "v1.0.0").await;
    assert_eq!(stage(&run, "only")["outputs"]["escaped"], "", "{run:#}");
}

/// P1 in `start`: whoever looks at it waits for a bounded time, and it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn what_spins_when_it_is_loaded_is_never_run() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let bytes = component(&Odd { fields: "(func $spin (loop $l (br $l))) (start $spin)", ..Odd::default() });
    add(&server, "starts", &bytes, "").await;
    let body = json!({ "reference": "main" });
    let (status, problem) = server.request("POST", "/v1/pipelines/starts/runs", Some(body)).await;
    assert!(status >= 400 && problem.to_string().contains("`describe` did not return"), "{status} {problem:#}");
}
