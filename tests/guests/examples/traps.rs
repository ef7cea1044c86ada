//! Ends in a trap, inside a function whose name the backtrace should show.

use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    the_function_that_traps();
    Ok(())
}

#[inline(never)]
fn the_function_that_traps() {
    core::arch::wasm32::unreachable();
}

slipway_sdk::builder! { name: "traps", summary: "Ends in a trap", build: build }
