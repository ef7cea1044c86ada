//! Secrets are used, and seen nowhere: not by the stage, not in what is stored, not in any answer.

use crate::support::{Repository, Server, stage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

const SECRET: &str = "canary-5f3a9c/and+more";

/// A server that answers with what it was sent.
struct Echo {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 8192];
                let mut request = String::new();
                while !request.contains("hello") {
                    match stream.read(&mut buffer) {
                        Ok(read) if read > 0 => request += &String::from_utf8_lossy(&buffer[..read]),
                        Ok(_) | Err(_) => break,
                    }
                }
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nx-echo: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{request}",
                    request.lines().find(|line| line.starts_with("authorization")).unwrap_or_default(),
                    request.len()
                );
                told.lock().unwrap().push(request);
                let _gone = stream.write_all(answer.as_bytes()).is_err();
            }
        });
        Self { port, heard }
    }
}

/// A server that reaches this machine, has a shell as a tool, and lets secrets be read.
fn server(folder: &Path) -> Server {
    let policy = "reach = [\"127.0.0.0/8\"]\n[untrusted]\ntools = [\"*\"]\n[trusted]\nhttp = [\"* http://127.0.0.1:*/\"]\n\
                  secrets = [\"*\"]\nread_secrets = [\"*\"]\n[protected]\napps = [\"*\"]\n";
    std::fs::write(folder.join("policy.toml"), policy).unwrap();
    let config = "policy = \"policy.toml\"\n[tools.sh]\nroot = \"/usr\"\nprograms = { sh = \"bin/sh\" }\n";
    std::fs::write(folder.join("server.toml"), config).unwrap();
    Server::start_with(&["--config", folder.join("server.toml").to_str().unwrap()])
}

fn repository(name: &str, port: u16, with: &str, grants: &str) -> Repository {
    let pipeline = format!(
        "name = \"{name}\"\n[stages.only]\nuses = \"./plugins/uses_secrets.wasm\"\nenvironment = \"staging\"\n\
         with = {{ url = \"http://127.0.0.1:{port}/v1/hook\"{with} }}\ngrant.tools = [\"sh\"]\n\
         grant.http = [\"POST http://127.0.0.1:{port}/v1/\"]\n{grants}"
    );
    Repository::with(&pipeline, &["uses_secrets"])
}

async fn set(server: &Server, pipeline: &str, query: &str, value: &str) {
    let path = format!("/v1/pipelines/{pipeline}/secrets/token{query}");
    let (status, set) = server.request("PUT", &path, Some(json!({ "value": value }))).await;
    assert_eq!(status, 200, "{set}");
}

/// Everything that is stored, and everything that the API tells of a run, holds the secret in none of
/// these forms.
async fn nowhere(server: &Server, run: &Value, run_id: &str) {
    let forms = [
        SECRET.to_owned(),
        hex::encode(SECRET),
        STANDARD.encode(SECRET)[..24].to_owned(),
        "canary-5f3a9c%2Fand%2Bmore".to_owned(),
    ];
    let log = server.log(run_id).await;
    let told = format!("{run}{log:?}{}", server.get("/v1/runs").await);
    let mut looked_at = 0;
    let mut folders = vec![server.data()];
    let mut all = vec![("the API".to_owned(), told.into_bytes())];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if let Ok(bytes) = std::fs::read(entry.path()) {
                looked_at += 1;
                all.push((entry.path().display().to_string(), bytes));
            }
        }
    }
    for (place, bytes) in all {
        for form in &forms {
            assert!(!bytes.windows(form.len()).any(|window| window == form.as_bytes()), "`{form}` stands in {place}");
        }
    }
    assert!(looked_at > 3, "{looked_at}");
}

/// Threats T68 and T71.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_used_where_it_was_granted_and_seen_nowhere() {
    let (folder, echo) = (tempfile::tempdir().unwrap(), Echo::start());
    let server = server(folder.path());
    let grants = format!(
        "[stages.only.grant.secrets.token]\nhttp = [\"http://127.0.0.1:{}/v1/\"]\ntools = [\"sh\"]\n",
        echo.port
    );
    let repository = repository("uses", echo.port, "", &grants);
    server.add("uses", repository.path()).await;
    let body = json!({ "reference": "v1.0.0" });
    let (status, problem) = server.request("POST", "/v1/pipelines/uses/runs", Some(body.clone())).await;
    assert_eq!((status, &problem["diagnostics"][0]["code"]), (422, &json!("unset-secret")), "{problem:#}");
    assert_eq!(problem["diagnostics"][0]["hint"], "set it with `slipway secret set uses token`");

    set(&server, "uses", "", "another value for other environments").await;
    set(&server, "uses", "?environment=staging", SECRET).await;
    let run = server.run("uses", "v1.0.0").await;
    assert_eq!(run["state"], "passed", "{run:#}");
    let heard = echo.heard.lock().unwrap().clone();
    assert!(heard[0].contains(&format!("authorization: Bearer {SECRET}\r\n")), "{heard:?}");
    let outputs = &stage(&run, "only")["outputs"];
    assert!(outputs["answer"].as_str().unwrap().contains("Bearer [masked]"), "{outputs:#}");
    let tool = outputs["tool"].as_str().unwrap();
    assert_eq!(tool.matches("[masked]").count(), 4, "the tool had it in all its places: {tool}");
    nowhere(&server, &run, run["id"].as_str().unwrap()).await;

    // A fork's run has no secrets, whatever the pipeline grants.
    let body = json!({ "reference": "v1.0.0", "tier": "untrusted" });
    let (status, problem) = server.request("POST", "/v1/pipelines/uses/runs", Some(body)).await;
    let codes: Vec<&Value> = problem["diagnostics"].as_array().unwrap().iter().map(|found| &found["code"]).collect();
    assert!(status == 422 && codes.contains(&&json!("tier")), "{problem:#}");

    let listed = server.get("/v1/pipelines/uses/secrets").await;
    assert_eq!(listed["secrets"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("value\""), "{listed}");
}

/// Threat T62.
#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_reads_a_secret_and_tells_it_tells_nothing() {
    let (folder, echo) = (tempfile::tempdir().unwrap(), Echo::start());
    let server = server(folder.path());
    let grants = format!("[stages.only.grant.secrets.token]\nhttp = [\"http://127.0.0.1:{}/\"]\n", echo.port);
    let modest = repository("modest", echo.port, ", read = true", &grants);
    server.add("modest", modest.path()).await;
    set(&server, "modest", "", SECRET).await;
    let run = server.run("modest", "v1.0.0").await;
    let failure = &stage(&run, "only")["failure"];
    assert_eq!((run["state"].as_str(), failure["code"].as_str()), (Some("failed"), Some("not-granted")), "{run:#}");
    assert!(failure["message"].as_str().unwrap().contains("add `grant.secrets.token = { read = true }`"), "{run:#}");

    let reader = repository("reader", echo.port, ", read = true", &format!("{grants}read = true\n"));
    server.add("reader", reader.path()).await;
    set(&server, "reader", "", SECRET).await;
    let run = server.run("reader", "v1.0.0").await;
    let failure = &stage(&run, "only")["failure"];
    assert_eq!(failure["message"], "the value is [masked]", "{run:#}");
    nowhere(&server, &run, run["id"].as_str().unwrap()).await;
}
