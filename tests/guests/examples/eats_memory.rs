//! Takes memory, and writes to all of it, until there is none.

use std::hint::black_box;

use slipway_sdk::prelude::*;

const PIECE_BYTES: usize = 1024 * 1024;

fn build() -> Result<(), Failure> {
    let mut pieces = Vec::new();
    loop {
        pieces.push(vec![1_u8; PIECE_BYTES]);
        black_box(&pieces);
    }
}

slipway_sdk::builder! { name: "eats-memory", summary: "Takes all memory", build: build }
