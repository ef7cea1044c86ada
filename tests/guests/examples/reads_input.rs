//! Reads what `says_hello` left, as a test of a stage `build`: its output, and its
//! artifact both through the host and as a file.

use guests::expect;
use slipway_sdk::prelude::*;

fn test() -> Result<(), Failure> {
    expect("the stages that it needs", run::inputs().iter().any(|stage| stage == "build"))?;
    let greeting = run::input("build", "greeting")?;
    expect("the output", greeting.as_deref() == Some("hello"))?;
    expect("an output that is not there", run::input("build", "farewell")?.is_none())?;

    let artifacts = artifacts::inputs("build")?;
    let artifact = artifacts.first().or_fail("wrong-input", "there is no artifact")?;
    expect("the artifact's name", artifact.name == "greeting.txt")?;
    expect("the artifact's size", artifact.size == 6)?;
    expect("the artifact's bytes", artifacts::read_all(&artifact.digest)? == b"hello\n")?;
    expect("a part of it", artifacts::read(&artifact.digest, 4, 100)? == b"o\n")?;

    let file = std::fs::read(workspace::input("build", "greeting.txt"));
    expect("the artifact as a file", file.is_ok_and(|bytes| bytes == b"hello\n"))?;

    let stranger = run::input("stranger", "greeting");
    expect("a stage that this one does not need", stranger.is_err_and(|failure| failure.code == "not-an-input"))
}

slipway_sdk::tester! { name: "reads-input", summary: "Reads what `says-hello` left", test: test }
