//! Takes its time, in small steps that the log shows: what is killed in mid-stage.

use std::thread;
use std::time::{Duration, Instant};

use slipway_sdk::prelude::*;

const PAUSE: Duration = Duration::from_millis(100);

/// How slow.
#[config]
struct Config {
    /// How long it takes.
    seconds: u64,
}

fn build(config: &Config) -> Result<(), Failure> {
    let start = Instant::now();
    let total = Duration::from_secs(config.seconds);
    let step = log::step("waiting");
    let mut told = None;
    while start.elapsed() < total {
        if run::cancelled() {
            step.fail("cancelled");
            return Err(Failure::new("cancelled", "the stage was cancelled while it waited"));
        }
        let seconds = start.elapsed().as_secs();
        if told != Some(seconds) {
            info!(attempt = run::attempt(); "waited {seconds} of {} s", config.seconds);
            step.progress(seconds, Some(config.seconds));
            told = Some(seconds);
        }
        thread::sleep(PAUSE);
    }
    run::set_output("attempt", run::attempt())
}

slipway_sdk::builder! { name: "slow", summary: "Takes its time", build: build }
