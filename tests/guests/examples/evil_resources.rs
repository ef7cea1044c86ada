//! P8 and P15: makes pollables and never lets go of one.

use slipway_sdk::prelude::*;
use wasip2::clocks::monotonic_clock::subscribe_duration;

fn build() -> Result<(), Failure> {
    let mut kept = Vec::new();
    loop {
        kept.push(subscribe_duration(u64::MAX));
    }
}

slipway_sdk::builder! { name: "evil-resources", summary: "Takes handles until there are none", build: build }
