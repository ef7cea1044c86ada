//! Others who run three steps that do nothing, on the same machine in the same minute.
//!
//! Neither of them isolates its steps. What cannot be installed or started is skipped with
//! its reason: a benchmark of Slipway does not fail because of a peer.

use anyhow::Result;

use super::Bench;
use super::figures::Findings;
use crate::interrupt;

mod act;
mod buildbot;

/// Measures all of them.
pub(super) fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    type Peer = fn(&Bench<'_>) -> Result<Peered>;
    let peers: [(&str, Peer); 2] = [("act_p50_ms", act::measure), ("buildbot_p50_ms", buildbot::measure)];
    for (name, peer) in peers {
        if bench.arguments.without_peers {
            findings.skip(name, "`--without-peers`");
            continue;
        }
        match peer(bench) {
            Ok(Peered { median_ms, runs }) => findings.add_with(name, median_ms, format!("{runs} runs")),
            Err(error) if interrupt::asked() => return Err(error),
            Err(error) => findings.skip(name, format!("{error:#}")),
        }
    }
    Ok(())
}

/// What a peer's runs took.
struct Peered {
    median_ms: f64,
    runs: usize,
}
