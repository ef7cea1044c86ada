//! Uses a secret in a request and for a tool, and tells everything it gets back: in the log, as
//! outputs, as a test, and as what it fails with.

use slipway_sdk::prelude::*;

/// Where to.
#[config]
struct Config {
    /// The address to send it to.
    url: String,
    /// Whether to ask for the value itself.
    #[serde(default)]
    read: bool,
}

fn build(config: &Config) -> Result<(), Failure> {
    let secret = secrets::open("token")?;
    let answer = http::post(&config.url).bearer(&secret).body("hello").send()?;
    info!("the server says {} {}", answer.status, answer.text());
    run::set_output("answer", answer.text())?;
    if config.read {
        let value = String::from_utf8_lossy(&secret.read()?).into_owned();
        info!("the value is {value}");
        println!("{value}");
        run::set_output("value", value.clone())?;
        return Err(Failure::new("told", format!("the value is {value}")).detail("value", value));
    }
    let script = "echo env $TOKEN; cat /run/secrets/token.txt; echo; cat; echo; echo $TOKEN | base64";
    let shell = tools::command("sh", "sh").args(["-c", script]);
    let captured =
        shell.secret_env("TOKEN", &secret).secret_file("token.txt", &secret).secret_stdin(&secret).capture()?;
    run::set_output("tool", String::from_utf8_lossy(&captured.stdout))
}

slipway_sdk::builder! {
    name: "uses-secrets",
    summary: "Uses a secret everywhere and tells what comes of it",
    capabilities: [
        Capability::secrets(&["token"], "authenticates").read(),
        Capability::http(&[], "tells the server"),
        Capability::tools(&["sh"], "shows what a tool gets"),
    ],
    build: build,
}
