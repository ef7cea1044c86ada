//! Says that the code is at fault, with all that a failure can tell.

use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    Err(Failure::new("wrong-colour", "the door is `red`, it should be `blue`")
        .retryable()
        .detail("found", "red")
        .detail("wanted", "blue"))
}

slipway_sdk::builder! { name: "fails", summary: "Fails", build: build }
