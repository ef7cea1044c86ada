//! Asks for more than it may have, and sees what it is told.

use guests::expect;
use slipway_sdk::prelude::*;
use slipway_sdk::reports::TestCase;

fn build() -> Result<(), Failure> {
    artifacts_in_writing()?;
    reading()?;
    let long = "x".repeat(1 << 20);
    let step = log::step(&long);
    step.progress(1, None);
    log::write(log::Level::Info, "long fields", &[("short".into(), "1".into()), ("long".into(), long.clone())]);
    let case = TestCase::passed("limits", "one").detail("file", "src/lib.rs").detail("line", 7).detail("stdout", &long);
    reports::test_cases(&[case])?;
    refused("an outcome too large", "too-large", run::set_output("long", &long))?;
    let command = tools::command("rust", "cargo");
    refused("a variable of the loader", "invalid-command", command.clone().env("LD_PRELOAD", "x").start())?;
    refused("a command too large", "too-large", command.arg(long).arg("x").start())
}

fn artifacts_in_writing() -> Result<(), Failure> {
    refused("a path as a name", "invalid-name", artifacts::create("../a", "text/plain"))?;
    refused("half a media type", "invalid-media-type", artifacts::create("a", "text"))?;
    refused("the same at once", "invalid-media-type", artifacts::put("a", "text", b""))?;
    refused("the same for a file", "invalid-name", artifacts::put_file("a/b", "text/plain", "none"))?;
    let mut writers = Vec::new();
    for number in 0..16 {
        writers.push(artifacts::create(&format!("a{number}"), "text/plain")?);
    }
    refused("one writer too many", "too-many", artifacts::create("b", "text/plain"))?;
    let mut first = writers.swap_remove(0);
    first.append(b"written")?;
    first.finish()?;
    drop(artifacts::create("b", "text/plain")?);
    Ok(())
}

fn reading() -> Result<(), Failure> {
    let own = artifacts::inputs(&run::stage())?;
    let digest = &own.first().or_fail("wrong-limit", "there is no artifact")?.digest;
    for offset in [7, 8, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        expect("past the end", artifacts::read(digest, offset, 10)?.is_empty())?;
    }
    expect("up to the end", artifacts::read(digest, 3, 10)? == b"tten")?;
    refused("too much at once", "too-large", artifacts::read(digest, 0, (4 << 20) + 1))
}

fn refused<T>(what: &str, code: &str, result: Result<T, Failure>) -> Result<(), Failure> {
    match result {
        Err(failure) if failure.code == code => Ok(()),
        Err(failure) => Err(Failure::new("wrong-limit", format!("{what} is refused with `{}`", failure.code))),
        Ok(_) => Err(Failure::new("wrong-limit", format!("{what} is not refused"))),
    }
}

slipway_sdk::builder! {
    name: "meets-limits",
    summary: "Asks for more than it may have",
    capabilities: [Capability::tools(&["rust"], "starts nothing")],
    build: build,
}
