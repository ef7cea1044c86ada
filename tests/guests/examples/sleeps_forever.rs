//! Waits for ever, without using the processor.

use std::thread;
use std::time::Duration;

use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    thread::sleep(Duration::from_secs(1_000_000_000));
    Ok(())
}

slipway_sdk::builder! { name: "sleeps-forever", summary: "Waits for ever", build: build }
