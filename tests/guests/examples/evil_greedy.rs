//! P25 and P30: has one thing of each kind, and asks for another.

use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    let code = |result: Result<(), Failure>| result.map_or_else(|failure| failure.code, |()| "granted".into());
    let sent = |request: http::Request| code(request.send().map(drop));
    let mine = secrets::open("mine")?;
    run::set_output("another-secret", code(secrets::open("other").map(drop)))?;
    run::set_output("the-value", code(mine.read().map(drop)))?;
    for (name, url) in [
        ("another-host", "https://other.test/"),
        ("another-port", "https://granted.test:8443/"),
        ("another-scheme", "http://granted.test/api/"),
        ("another-path", "https://granted.test/admin"),
        ("up-the-path", "https://granted.test/api/%2e%2e/admin"),
        ("this-machine", "http://127.0.0.1:7077/v1/tokens"),
        ("metadata", "http://169.254.169.254/latest/meta-data/"),
    ] {
        run::set_output(name, sent(http::get(url)))?;
    }
    run::set_output("another-method", sent(http::delete("https://granted.test/api/")))?;
    run::set_output("secret-elsewhere", sent(http::get("https://granted.test/open/").bearer(&mine)))?;
    run::set_output("another-tool", code(tools::command("rust", "cargo").start().map(drop)))?;
    run::set_output("secret-in-tool", code(tools::command("sh", "sh").secret_env("A", &mine).start().map(drop)))?;
    run::set_output("another-stage", code(artifacts::inputs("deploy").map(drop)))?;
    let digest = format!("sha256:{:064}", 7);
    run::set_output("another-artifact", code(artifacts::read(&digest, 0, 1).map(drop)))
}

slipway_sdk::builder! {
    name: "evil-greedy",
    summary: "Asks for what others were granted",
    capabilities: [
        Capability::secrets(&[], "has one").read(),
        Capability::http(&[], "may send to one place"),
        Capability::tools(&[], "may run one"),
    ],
    build: build,
}
