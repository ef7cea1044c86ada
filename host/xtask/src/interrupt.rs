//! Ctrl-C, for commands that have something to put away first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

static ASKED: AtomicBool = AtomicBool::new(false);

/// How often somebody who waits looks up.
const GLANCE: Duration = Duration::from_millis(50);

/// Takes Ctrl-C and its like as a wish, from here on.
pub(crate) fn install() -> Result<()> {
    ctrlc::set_handler(|| ASKED.store(true, Ordering::SeqCst)).context("cannot listen for Ctrl-C")
}

/// Whether somebody wants this to end.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Waits, unless somebody wants this to end.
pub(crate) fn pause(time: Duration) -> Result<()> {
    let end = std::time::Instant::now() + time;
    while !asked() {
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(GLANCE));
    }
    bail!("interrupted")
}
