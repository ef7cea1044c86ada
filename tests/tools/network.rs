//! A tool's network: through the host's proxy, to the granted hosts, and nowhere else.

use crate::support::{Repository, Server, stage};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers each connection with `hello`, and counts them.
fn listen() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count: Arc<AtomicUsize> = Arc::default();
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let _asked = stream.read(&mut [0; 1024]).is_err();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            let _gone = stream.write_all(answer.as_bytes()).is_err();
        }
    });
    (port, count)
}

fn server(folder: &Path, reach: &str) -> Server {
    let policy = format!("reach = [{reach}]\n[untrusted]\ntools = [\"*\"]\n[trusted]\nnetwork = [\"*:*\"]\n");
    std::fs::write(folder.join("policy.toml"), policy).unwrap();
    let config = "policy = \"policy.toml\"\n[tools.sh]\nroot = \"/usr\"\nprograms = { sh = \"bin/sh\" }\n";
    std::fs::write(folder.join("server.toml"), config).unwrap();
    Server::start_with(&["--config", folder.join("server.toml").to_str().unwrap()])
}

/// Runs a script as the only stage of a pipeline, with a network to these hosts.
async fn script(server: &Server, name: &str, script: &str, hosts: &str) -> Value {
    let script = serde_json::to_string(script).unwrap();
    let pipeline = format!(
        "name = \"{name}\"\n[stages.only]\nuses = \"./plugins/runs_tool.wasm\"\n\
         grant.tools = {{ sh = {{ network = [{hosts}] }} }}\n\
         with = {{ tool = \"sh\", program = \"sh\", args = [\"-c\", {script}] }}"
    );
    let repository = Repository::with(&pipeline, &["runs_tool"]);
    server.add(name, repository.path()).await;
    server.run(name, "v1.0.0").await
}

fn told(run: &Value) -> &str {
    stage(run, "only")["outputs"]["stdout"].as_str().unwrap_or_default().trim()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_reaches_the_hosts_that_it_was_granted_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "\"127.0.0.0/8\", \"::1\"");
    let ((granted, heard), (other, unheard)) = (listen(), listen());
    let hosts = format!("\"localhost:{granted}\"");
    let through = |port: u16| format!("curl -sS -p -x \"$HTTPS_PROXY\" http://localhost:{port}/ 2>&1; echo");
    let run = script(&server, "granted", &through(granted), &hosts).await;
    assert_eq!((told(&run), heard.load(Ordering::SeqCst)), ("hello", 1), "{run:#}");

    let run = script(&server, "refused", &through(other), &hosts).await;
    assert!(told(&run).contains("403"), "{run:#}");
    let log = server.log(run["id"].as_str().unwrap()).await;
    let warned = log.iter().filter_map(|entry| entry["message"].as_str()).find(|line| line.contains("not connected"));
    let line = format!("add `grant.tools.sh = {{ network = [\"localhost:{other}\"] }}` to `[stages.only]`");
    assert!(warned.is_some_and(|warned| warned.contains(&line)), "{log:?}");

    for (number, way) in [
        format!("curl -sS --noproxy '*' http://127.0.0.1:{granted}/ 2>&1"),
        format!("curl -sS -x \"$HTTPS_PROXY\" http://localhost:{granted}/ 2>&1"),
        "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' ' | grep -v '^lo$'".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let run = script(&server, &format!("around-{number}"), &format!("{way}; echo"), &hosts).await;
        assert!(!told(&run).contains("hello"), "{way}: {run:#}");
    }
    let run = script(&server, "without", &through(granted), "").await;
    assert!(!told(&run).contains("hello"), "a tool without the grant has no proxy: {run:#}");
    assert_eq!((heard.load(Ordering::SeqCst), unheard.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_name_that_leads_to_a_private_network_is_not_reached() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "");
    let (port, heard) = listen();
    let hosts = format!("\"localhost:{port}\", \"127.0.0.1:{port}\", \"[::ffff:127.0.0.1]:{port}\"");
    for (number, host) in ["localhost", "127.0.0.1"].iter().enumerate() {
        let way = format!("curl -sS -p -x \"$HTTPS_PROXY\" http://{host}:{port}/ 2>&1; echo");
        let run = script(&server, &format!("private-{number}"), &way, &hosts).await;
        assert!(told(&run).contains("403"), "{run:#}");
    }
    assert_eq!(heard.load(Ordering::SeqCst), 0);
}

/// Real cargo, with a dependency from the registry that every server knows. On a machine without a network
/// there is nothing to see.
#[tokio::test(flavor = "multi_thread")]
async fn cargo_fetches_a_dependency_through_the_proxy() {
    // Where the registry is a mirror of one's own network, that network has to be reached.
    let mut reach = Vec::new();
    for host in ["index.crates.io", "static.crates.io"] {
        let Ok(found) = std::net::ToSocketAddrs::to_socket_addrs(&(host, 443)) else { return };
        reach.extend(found.map(|address| format!("\"{}\"", address.ip())));
    }
    let folder = tempfile::tempdir().unwrap();
    let policy = "[untrusted]\ntools = [\"*\"]\n[trusted]\nnetwork = [\"*:*\"]\n";
    let policy = format!("reach = [{}]\n{policy}", reach.join(", "));
    std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
    let server = Server::start_with(&["--policy", folder.path().join("policy.toml").to_str().unwrap()]);
    for (name, grant, state) in
        [("with", "{ rust = { network = [\"crates\"] } }", "passed"), ("without", "[\"rust\"]", "failed")]
    {
        let repository = Repository::with(
            &format!("name = \"{name}\"\n[stages.only]\nuses = \"cargo@1\"\ngrant.tools = {grant}\n"),
            &[],
        );
        let manifest =
            "[package]\nname = \"fetches\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nitoa = \"1\"\n";
        repository.write("Cargo.toml", manifest.as_bytes());
        repository.write("src/main.rs", b"fn main() { println!(\"{}\", itoa::Buffer::new().format(7)); }\n");
        repository.commit("all", Some("v1.1.0"));
        server.add(name, repository.path()).await;
        let run = server.run(name, "v1.1.0").await;
        let log = server.log(run["id"].as_str().unwrap()).await;
        let lines: Vec<&str> = log.iter().filter_map(|entry| entry["message"].as_str()).collect();
        assert_eq!(run["state"], state, "{name}: {run:#}\n{}", lines.join("\n"));
    }
}
