//! Uses the processor for ever, and never calls the host.

use std::hint::black_box;

use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns).wrapping_add(1);
    }
}

slipway_sdk::builder! { name: "spins-forever", summary: "Never ends", build: build }
