//! A build stage that calls one host function, with as little code as possible: for
//! benchmarks of the way from a lease to that call.

use slipway_sdk::raw::imports::slipway::stage::run;
use slipway_sdk::raw::{Failure, builder};

struct Stage;

impl builder::Guest for Stage {
    fn describe() -> String {
        guests::description!("asks-once", "build").into()
    }

    fn build() -> Result<(), Failure> {
        // Called for being called.
        let _attempt = run::attempt();
        Ok(())
    }
}

builder::export_builder!(Stage);
