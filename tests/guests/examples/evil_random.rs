//! P9: asks for a terabyte of random bytes.

use slipway_sdk::prelude::*;
use wasip2::random::random::get_random_bytes;

fn build() -> Result<(), Failure> {
    run::set_output("bytes", get_random_bytes(1 << 40).len())
}

slipway_sdk::builder! { name: "evil-random", summary: "Asks for too many random bytes", build: build }
