//! Describes itself with something that is not JSON.

use slipway_sdk::raw::{Failure, builder};

struct Stage;

impl builder::Guest for Stage {
    fn describe() -> String {
        "{\"schema\":1,\"name\":".into()
    }

    fn build() -> Result<(), Failure> {
        Ok(())
    }
}

builder::export_builder!(Stage);
