//! P18: cheap calls without an end: log lines of one byte, outputs, questions.

use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    let mut round = 0_u64;
    loop {
        info!("x");
        if round % 100 == 0 {
            run::set_output("round", round)?;
        }
        let _asked = run::attempt();
        round += 1;
    }
}

slipway_sdk::builder! { name: "evil-storm", summary: "Calls and calls", build: build }
