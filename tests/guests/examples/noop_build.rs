//! A build stage that does nothing, with as little code as possible: for benchmarks.

use slipway_sdk::raw::{Failure, builder};

struct Stage;

impl builder::Guest for Stage {
    fn describe() -> String {
        guests::description!("noop-build", "build").into()
    }

    fn build() -> Result<(), Failure> {
        Ok(())
    }
}

builder::export_builder!(Stage);
