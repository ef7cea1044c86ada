//! Says that it deploys, but exports what a build stage does.

use slipway_sdk::raw::{Failure, builder};

struct Stage;

impl builder::Guest for Stage {
    fn describe() -> String {
        guests::description!("describes-other-kind", "deploy").into()
    }

    fn build() -> Result<(), Failure> {
        Ok(())
    }
}

builder::export_builder!(Stage);
