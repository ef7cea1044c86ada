//! P19 and P28: odd values to every function that takes any: what comes back is a failure or an answer.

use std::time::Duration;

use slipway_sdk::prelude::*;
use slipway_sdk::reports::TestCase;

/// Names and texts that somebody may trip over.
fn odd() -> Vec<String> {
    let mut odd: Vec<String> = [
        "",
        " ",
        ".",
        "..",
        "../x",
        "/abs",
        "a/../../b",
        "a\0b",
        "a\nb",
        "CON",
        "\u{202e}gpj.exe",
        "e\u{301}",
        "é",
        "раypal",
        "🦀",
        "\u{feff}",
        "-x",
        "--help",
        "%2e%2e",
        "a\\b",
        "$(id)",
        "::set-env name=x::y",
        "\u{1b}]52;c;eA==\u{7}",
    ]
    .map(str::to_owned)
    .into();
    odd.push("x".repeat(64 << 10));
    odd.push("x".repeat(1 << 20));
    odd
}

fn build() -> Result<(), Failure> {
    let mut answers = 0_u32;
    let mut told = |_: bool| answers += 1;
    for text in odd() {
        told(run::set_output(&text, "value").is_ok());
        told(run::parameter(&text).is_some());
        told(run::input(&text, &text).is_ok());
        told(artifacts::put(&text, "text/plain", b"x").is_ok());
        told(artifacts::put("name", &text, b"x").is_ok());
        told(artifacts::put_file("name", "text/plain", &text).is_ok());
        told(artifacts::inputs(&text).is_ok());
        told(artifacts::read(&text, u64::MAX, u32::MAX).is_ok());
        told(secrets::open(&text).is_ok());
        told(http::get(&text).send().is_ok());
        told(http::request(&text, "https://granted.test/").send().is_ok());
        told(http::get("https://granted.test/").header(&text, &text).within(Duration::ZERO).send().is_ok());
        told(tools::command(&text, &text).arg(&text).env(&text, &text).directory(&text).start().is_ok());
        told(reports::test_cases(&[TestCase::passed(&text, &text)]).is_ok());
        log::write(log::Level::Info, &text, &[(text.clone(), text.clone())]);
        let step = log::step(&text);
        step.progress(u64::MAX, Some(0));
    }
    for duration in [0, u64::MAX] {
        told(http::get("https://granted.test/").within(Duration::from_millis(duration)).send().is_ok());
    }
    run::set_output("answers", answers)
}

slipway_sdk::builder! {
    name: "evil-odd",
    summary: "Says odd things to everybody",
    capabilities: [
        Capability::secrets(&[], "opens odd ones"),
        Capability::http(&[], "sends odd ones"),
        Capability::tools(&[], "starts odd ones"),
    ],
    build: build,
}
