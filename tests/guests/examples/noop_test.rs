//! A test stage that does nothing, with as little code as possible: for benchmarks.

use slipway_sdk::raw::{Failure, tester};

struct Stage;

impl tester::Guest for Stage {
    fn describe() -> String {
        guests::description!("noop-test", "test").into()
    }

    fn test() -> Result<(), Failure> {
        Ok(())
    }
}

tester::export_tester!(Stage);
