//! Calls the host while it is asked what it is, when every call is refused.

use slipway_sdk::raw::imports::slipway::stage::log;
use slipway_sdk::raw::{Failure, builder};

struct Stage;

impl builder::Guest for Stage {
    fn describe() -> String {
        log::write("info", "hello from describe", &[]);
        guests::description!("calls-in-describe", "build").into()
    }

    fn build() -> Result<(), Failure> {
        Ok(())
    }
}

builder::export_builder!(Stage);
