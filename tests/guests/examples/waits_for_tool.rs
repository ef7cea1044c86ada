//! Serves a tool that is silent beside one that ends, and then waits for the silent one until
//! the run is cancelled.

use std::time::Duration;

use guests::expect;
use slipway_sdk::prelude::*;
use slipway_sdk::tools::Event;

const MANIFEST: &str = "[package]\nname = \"silent\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
const MAIN: &str = "fn main() { println!(\"ready\"); std::thread::sleep(std::time::Duration::from_secs(600)); }";

fn build() -> Result<(), Failure> {
    std::fs::create_dir_all("/work/silent/src")?;
    std::fs::write("/work/silent/Cargo.toml", MANIFEST)?;
    std::fs::write("/work/silent/src/main.rs", MAIN)?;
    let mut silent = tools::command("rust", "cargo").args(["run", "--quiet"]).directory("silent").start()?;
    let line = silent.lines().find(|line| line.text == "ready");
    expect("the silent tool's only line", line.is_some())?;
    expect("nothing yet", silent.next_within(Duration::from_millis(100))?.is_none())?;
    expect("nothing yet, without waiting", silent.next_within(Duration::ZERO)?.is_none())?;

    let mut other = tools::command("rust", "cargo").arg("--version").start()?;
    let (mut written, mut asked) = (Vec::new(), 0);
    loop {
        expect("the silent tool is silent", silent.next_within(Duration::ZERO)?.is_none())?;
        asked += 1;
        match other.next_within(Duration::from_millis(10))? {
            Some(Event::Output(output)) => written.extend(output.bytes),
            Some(Event::Ended) => break,
            None => {}
        }
    }
    expect("the other tool's output", written.starts_with(b"cargo 1."))?;
    expect("its end, told again", other.next_within(Duration::ZERO)? == Some(Event::Ended))?;
    expect("its exit", other.wait()?.success())?;

    info!("asked {asked} times: cancel me");
    let left = silent.lines().count();
    info!("the wait was over with {left} lines; cancelled: {}", run::cancelled());
    silent.wait().map(drop)
}

slipway_sdk::builder! {
    name: "waits-for-tool",
    summary: "Waits for a silent tool",
    capabilities: [Capability::tools(&["rust"], "runs cargo")],
    build: build,
}
