//! A deploy stage that does nothing, with as little code as possible: for benchmarks.

use slipway_sdk::raw::{Failure, deployer};

struct Stage;

impl deployer::Guest for Stage {
    fn describe() -> String {
        guests::description!("noop-deploy", "deploy").into()
    }

    fn plan() -> Result<(), Failure> {
        Ok(())
    }

    fn apply() -> Result<(), Failure> {
        Ok(())
    }

    fn rollback() -> Result<(), Failure> {
        Ok(())
    }
}

deployer::export_deployer!(Stage);
