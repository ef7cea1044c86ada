//! Runs any program of any tool, and tells how it ended: in the log, and as the outputs
//! `code`, `signal` and `stdout`.

use slipway_sdk::prelude::*;

/// What to run.
#[config]
struct Config {
    tool: String,
    program: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<(String, String)>,
    #[serde(default)]
    directory: String,
    #[serde(default)]
    stdin: String,
}

fn build(config: &Config) -> Result<(), Failure> {
    let mut command = tools::command(&config.tool, &config.program)
        .args(config.args.clone())
        .directory(&config.directory)
        .stdin(config.stdin.clone());
    command.env.clone_from(&config.env);
    let captured = command.capture()?;

    let exit = captured.exit;
    info!(
        code = in_words(exit.code),
        signal = in_words(exit.signal),
        cpu_ms = exit.cpu_ms,
        memory_peak_bytes = exit.memory_peak_bytes,
        wall_ms = exit.wall_ms;
        "`{}` ended", config.program
    );
    run::set_output("code", in_words(exit.code))?;
    run::set_output("signal", in_words(exit.signal))?;
    run::set_output("stdout", String::from_utf8_lossy(&captured.stdout))
}

fn in_words(number: Option<i32>) -> String {
    number.map_or_else(|| "none".into(), |number| number.to_string())
}

slipway_sdk::builder! {
    name: "runs-tool",
    summary: "Runs any program",
    capabilities: [Capability::tools(&[], "runs what the test says").network(&["*:*"])],
    build: build,
}
