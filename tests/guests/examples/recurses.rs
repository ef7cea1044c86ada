//! Calls itself without end.

use std::hint::black_box;

use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    info!("came back from {} calls", down(0));
    Ok(())
}

#[inline(never)]
#[expect(unconditional_recursion, reason = "it is what this guest is for")]
fn down(depth: u64) -> u64 {
    // Used after the call, so that the call cannot become a jump.
    let here = black_box([depth; 16]);
    down(depth + 1) + here[0]
}

slipway_sdk::builder! { name: "recurses", summary: "Calls itself without end", build: build }
