//! Asks for the time and for random numbers, twice each, and tells them as outputs: a
//! deploy stage has to get the same ones when it is called again.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use slipway_sdk::prelude::*;

fn plan() -> Result<(), Failure> {
    Ok(())
}

fn apply() -> Result<(), Failure> {
    let start = Instant::now();
    for turn in ["first", "second"] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).or_fail("clock", "the clock is before 1970")?;
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).or_fail("random", "there are no random numbers")?;
        run::set_output(&format!("{turn}-time"), now.as_nanos())?;
        run::set_output(&format!("{turn}-random"), u64::from_le_bytes(bytes))?;
        run::set_output(&format!("{turn}-hash"), RandomState::new().hash_one("x"))?;
    }
    run::set_output("elapsed", start.elapsed().as_nanos())
}

fn rollback() -> Result<(), Failure> {
    Ok(())
}

slipway_sdk::deployer! {
    name: "asks-clock-twice",
    summary: "Tells time and random numbers",
    plan: plan,
    apply: apply,
    rollback: rollback,
}
