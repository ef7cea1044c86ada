//! The stage `cargo-test@1`: runs a Rust package's tests and reports each of them.
//!
//! It compiles first, so that a compile error is told as one, then runs the unit and
//! integration tests, then those in the documentation.
//!
//! Only libtest's JSON output tells how long a test took, and libtest gives it away only
//! where `RUSTC_BOOTSTRAP` is set. That variable must not reach the compiler, where it
//! would change what crates build; a *runner* reaches the test programs alone and leaves
//! everything compiled as it is.

use results::{Mode, Results};
use slipway_sdk::cargo::{Build, MESSAGE_FORMAT, check_directory, check_word};
use slipway_sdk::prelude::*;
use slipway_sdk::tools::{Command, Exit};

mod libtest;
mod results;
#[cfg(test)]
mod tests;

/// What cargo is given as a value: never an option of its own.
const WORD: &str = r"^[A-Za-z0-9_][A-Za-z0-9_.+/@-]*$";
/// A directory of the revision.
const DIRECTORY: &str = r"^([^-/\x00-\x1f\x7f][^\x00-\x1f\x7f]*)?$";
/// The name of a toolchain entry.
const TOOL: &str = r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$";

/// What to test.
#[config]
struct Config {
    /// The package to test; cargo's choice for the directory when it is not given.
    #[schemars(regex(pattern = WORD))]
    package: Option<String>,
    /// Features to switch on.
    #[serde(default)]
    #[schemars(inner(regex(pattern = WORD)))]
    features: Vec<String>,
    /// Whether to switch off the default features.
    #[serde(default)]
    no_default_features: bool,
    /// Where the package or workspace is, relative to the revision.
    #[serde(default)]
    #[schemars(regex(pattern = DIRECTORY))]
    directory: String,
    /// Whether `Cargo.lock` must be up to date. By default it must where there is one.
    locked: Option<bool>,
    /// The toolchain entry that has cargo.
    #[serde(default = "rust")]
    #[schemars(regex(pattern = TOOL))]
    tool: String,
    /// Arguments for the test programs, such as a part of the names to run.
    #[serde(default)]
    args: Vec<String>,
    /// Whether to store the results as the artifact `junit.xml`.
    #[serde(default = "yes")]
    report: bool,
    /// Whether to read the test programs' plain text, which has no times. A program with
    /// a harness of its own, or one that runs rustc, needs it.
    #[serde(default)]
    text: bool,
}

fn rust() -> String {
    "rust".into()
}

fn yes() -> bool {
    true
}

slipway_sdk::tester! {
    name: "cargo-test",
    summary: "Runs a Rust package's tests with cargo and reports each of them",
    capabilities: [Capability::tools(&[], "runs cargo").network(&["*:*"])],
    test: test,
}

fn test(config: &Config) -> Result<(), Failure> {
    check(config)?;
    let has_doc_tests = log::Step::within("compile", |step| compile(config, step))?;

    let mut results = Results::new();
    let mut exits = Vec::new();
    let mut unstarted = None;
    exits.push(log::Step::within("tests", |step| run_tests(config, &mut results, step))?);
    if has_doc_tests {
        let command = cargo(config, "--doc").args(["--no-fail-fast", "--"]).args(&config.args);
        let step = log::step("documentation");
        let begun = results.begun();
        let exit = results.follow(&command, Mode::Documentation, &step)?;
        if !exit.success() && results.begun() == begun {
            unstarted = Some(no_doc_tests(results.complaint()));
        }
        exits.push(exit);
    }
    results.finish()?;

    if config.report {
        artifacts::put("junit.xml", "application/xml", junit::document(results.cases()).as_bytes())?;
    }
    verdict(&results, &exits, unstarted)
}

/// Refuses what the schema refuses, for whoever did not ask it.
fn check(config: &Config) -> Result<(), Failure> {
    config.package.iter().try_for_each(|package| check_word("package", package))?;
    config.features.iter().try_for_each(|feature| check_word("features", feature))?;
    check_directory("directory", &config.directory)
}

/// Tells that the tests in the documentation never began: rustdoc, which runs them, did not
/// start or did not get that far.
fn no_doc_tests(complaint: Option<&str>) -> Failure {
    let message = format!(
        "the tests in the documentation could not be run, because `rustdoc` did not start them: {}",
        complaint.unwrap_or("it did not say why")
    );
    let advice = "give the tool a toolchain with a whole `rustdoc` (`slipway doctor` tries it), or set `doctest = false` \
                  in the package's `[lib]`";
    Failure::new("no-doc-tests", message).detail("advice", advice)
}

/// Compiles the tests and returns whether there may be some in the documentation.
fn compile(config: &Config, step: &log::Step) -> Result<bool, Failure> {
    let mut build = Build::new();
    let mut process = cargo(config, "--tests").args(["--no-run", MESSAGE_FORMAT]).start()?;
    let mut crates = 0;
    for line in process.lines() {
        if build.read(&line) {
            crates += 1;
            step.progress(crates, None);
        }
    }
    build.check(process.wait()?, "cargo test --no-run")?;
    Ok(build.has_doc_tests())
}

/// Runs unit and integration tests, for JSON where the programs speak it.
fn run_tests(config: &Config, results: &mut Results, step: &log::Step) -> Result<Exit, Failure> {
    let command = cargo(config, "--tests").args(["--no-fail-fast", "--"]);
    if let Some(runner) = runner(config)? {
        let command = command
            .clone()
            .env(runner, "/usr/bin/env RUSTC_BOOTSTRAP=1")
            .args(["-Zunstable-options", "--format=json", "--report-time"])
            .args(&config.args);
        let exit = results.follow(&command, Mode::Json, step)?;
        if exit.success() || results.begun() > 0 {
            return Ok(exit);
        }
        warn!("the test programs do not speak JSON, so their text is read and times are not known");
    }
    results.follow(&command.args(&config.args), Mode::Text, step)
}

/// Returns the variable that names the runner for cargo's own machine.
fn runner(config: &Config) -> Result<Option<String>, Failure> {
    if config.text {
        return Ok(None);
    }
    let told = tools::command(&config.tool, "cargo").arg("-vV").capture()?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.map(|host| format!("CARGO_TARGET_{}_RUNNER", host.trim().replace('-', "_").to_uppercase())))
}

/// Begins a `cargo test`. A value is joined to its option, so that none can be taken for
/// an option of its own.
fn cargo(config: &Config, targets: &str) -> Command {
    let mut command = tools::command(&config.tool, "cargo")
        .args(["test", targets])
        .env("CARGO_TERM_COLOR", "never")
        .directory(&config.directory);
    if let Some(package) = &config.package {
        command = command.arg(format!("--package={package}"));
    }
    if !config.features.is_empty() {
        command = command.arg(format!("--features={}", config.features.join(",")));
    }
    if config.no_default_features {
        command = command.arg("--no-default-features");
    }
    let lock_file = workspace::path(&config.directory).join("Cargo.lock");
    if config.locked.unwrap_or_else(|| lock_file.exists()) {
        command = command.arg("--locked");
    }
    command
}

/// Says in a sentence how the tests ended.
fn verdict(results: &Results, exits: &[Exit], unstarted: Option<Failure>) -> Result<(), Failure> {
    let counts = results.counts();
    run::set_output("passed", counts.passed)?;
    run::set_output("failed", counts.failed)?;
    run::set_output("skipped", counts.skipped)?;

    if counts.failed > 0 {
        let names = results.failed_names();
        let shown = names.get(..5).unwrap_or(&names).join(", ");
        let rest = if names.len() > 5 { ", …" } else { "" };
        let total = counts.passed + counts.failed;
        let message = format!("{} of {total} tests failed: {shown}{rest}", counts.failed);
        return Err(Failure::new("tests-failed", message).detail("failed", counts.failed).detail("tests", total));
    }
    if let Some(failure) = unstarted {
        return Err(failure);
    }
    // A test program that crashed leaves no failed test behind, but cargo knows.
    if let Some(Err(failure)) = exits.iter().map(|exit| exit.clone().check("cargo test")).find(Result::is_err) {
        let message = format!("{} although no test failed", failure.message);
        return Err(Failure { code: "tests-failed".into(), message, ..failure });
    }
    match (counts.passed, counts.skipped) {
        (0, 0) => warn!("there are no tests"),
        (passed, 0) => info!("{passed} tests passed"),
        (passed, skipped) => info!("{passed} tests passed, {skipped} were skipped"),
    }
    Ok(())
}
