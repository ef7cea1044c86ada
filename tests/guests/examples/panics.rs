//! Panics: the message goes to standard error, then the component traps.

use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    panic!("the build has lost its nerve");
}

slipway_sdk::builder! { name: "panics", summary: "Panics", build: build }
