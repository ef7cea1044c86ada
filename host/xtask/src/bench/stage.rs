//! What a stage costs on the worker: the call alone, and the way from lease to first call.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::figures::Findings;
use super::noop::ASKS_ONCE;
use super::statistics::median;
use super::{Bench, noop, pipeline};
use crate::interrupt;
use crate::process;
use crate::slipway::api::Api;
use crate::slipway::wire::Run;
use crate::ui::{Mark, Step};

/// How many calls are timed.
const CALLS: u32 = 2_000;

/// How many leases are looked at.
const LEASES: u32 = 100;

/// Leases before the first one that counts.
const WARM_UP: u32 = 10;

#[derive(Deserialize)]
struct Calls {
    stage_call_us: f64,
    bare_wasmtime_call_us: f64,
}

/// Measures calls of a component, without a server.
pub(super) fn calls(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let step = Step::new("call a no-op stage");
    let component = bench.env.guests().join("noop_test.wasm");
    let mut command = bench.env.command(&bench.programs.stage_call);
    command.arg(component).args(["test", &CALLS.to_string()]);
    let answer = process::ask(command)?;
    let calls: Calls = serde_json::from_str(&answer).context("cannot read what `stage_call` says")?;
    findings.add("stage_call_us", calls.stage_call_us);
    findings.add("bare_wasmtime_call_us", calls.bare_wasmtime_call_us);
    step.end(Mark::Good, &format!("{CALLS} times each"));
    Ok(())
}

/// Reads from the API how long the worker says it took to a stage's first call.
pub(super) fn first_calls(bench: &Bench<'_>, api: &Api, findings: &mut Findings) -> Result<()> {
    let step = Step::new("run a stage that calls the host");
    noop::add(bench, api, &ASKS_ONCE)?;
    let mut times = Vec::new();
    for number in 0..WARM_UP + LEASES {
        interrupt::pause(std::time::Duration::ZERO)?;
        let id = pipeline::once(api, ASKS_ONCE.name)?.id;
        let time = first_call(&api.run(&id)?)
            .with_context(|| format!("run `{id}` does not tell `first_call_us`: is this `slipway` an older one?"))?;
        if number >= WARM_UP {
            times.push(time);
        }
    }
    findings.add("lease_to_first_call_us", median(&times));
    step.end(Mark::Good, &format!("{LEASES} leases"));
    Ok(())
}

fn first_call(run: &Run) -> Option<f64> {
    run.stages.first()?.attempts.first()?.metering.as_ref()?.first_call_us
}
