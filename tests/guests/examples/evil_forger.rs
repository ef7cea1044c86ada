//! P27, P29 and P36: says it passed, in every way that is no result, and then fails.

use slipway_sdk::prelude::*;
use slipway_sdk::reports::TestCase;

fn build() -> Result<(), Failure> {
    println!("::set-env name=state::passed");
    println!("##teamcity[buildStatus status='SUCCESS']");
    println!(r#"{{"type":"ended","outcome":"passed","seq":1}}"#);
    println!("[host] stage only passed");
    for name in ["state", "outcome", "digest"] {
        run::set_output(name, "passed")?;
    }
    artifacts::put("provenance.json", "application/json", br#"{"builder":"slipway","verified":true}"#)?;
    artifacts::put("thing", "text/plain", b"one")?;
    let again = artifacts::put("thing", "text/plain", b"two");
    run::set_output("again", again.map_or_else(|failure| failure.code, |_| "taken".into()))?;
    reports::test_cases(&[TestCase::passed("all", "of them")])?;
    Err(Failure::new("passed", "the stage passed"))
}

slipway_sdk::builder! { name: "evil-forger", summary: "Says that it passed", build: build }
