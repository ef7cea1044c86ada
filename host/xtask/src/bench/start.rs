//! From nothing to a server that can run something.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Bench;
use super::figures::Findings;
use super::statistics::{median, millis};
use crate::interrupt;
use crate::slipway::api::Api;
use crate::slipway::server::{Addresses, Server, Start};
use crate::ui::{Mark, Step};

/// How often each start is timed.
const STARTS: usize = 7;

/// How long a worker may take to be there.
const READY_LIMIT: Duration = Duration::from_secs(30);

const GLANCE: Duration = Duration::from_millis(1);

/// Measures starts on new folders, and on the same ones again.
pub(super) fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let step = Step::new("start and stop the server");
    let (mut cold, mut again) = (Vec::new(), Vec::new());
    for number in 1..=STARTS {
        step.detail(&format!("{number} of {STARTS}"));
        let home = bench.home(&format!("start-{number}"))?;
        for times in [&mut cold, &mut again] {
            let began = Instant::now();
            let server = server(bench, &home)?;
            times.push(millis(began.elapsed()));
            server.stop()?;
        }
    }
    findings.add("ready_ms", median(&cold));
    findings.add("ready_again_ms", median(&again));
    step.end(Mark::Good, &format!("{STARTS} times"));
    Ok(())
}

/// Starts a server and waits until a run could begin at once: it has said that it is
/// ready, and a worker is there.
pub(super) fn server(bench: &Bench<'_>, home: &Path) -> Result<Server> {
    let start = Start { program: &bench.programs.slipway, home, toolchain: None, addresses: Addresses::new(None) };
    let server = Server::start(bench.env, start)?;
    let (api, began) = (Api::new(&server.ready)?, Instant::now());
    while !api.is_ready()? {
        if began.elapsed() > READY_LIMIT {
            bail!("the server had no worker after {} s", READY_LIMIT.as_secs());
        }
        interrupt::pause(GLANCE)?;
    }
    Ok(server)
}
