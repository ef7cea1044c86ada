//! Many clients at once, each of which triggers a run when its last one has ended.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::figures::Findings;
use super::noop::NOOP;
use super::{Bench, pipeline};
use crate::interrupt;
use crate::slipway::api::Api;
use crate::slipway::wire::Ready;
use crate::ui::{Mark, Step};

/// How many there are.
const CLIENTS: usize = 32;

/// How long they work before it counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long filling the store may take.
const FILL_LIMIT: Duration = Duration::from_secs(120);

const GLANCE: Duration = Duration::from_millis(20);

/// Measures how many runs end in a second, and leaves many old ones in the store.
pub(super) fn measure(bench: &Bench<'_>, ready: &Ready, findings: &mut Findings) -> Result<()> {
    let step = Step::new(format!("run them from {CLIENTS} clients"));
    let limit = Duration::from_secs(bench.arguments.seconds);
    let counted = work(ready, |work| {
        interrupt::pause(WARM_UP)?;
        let (before, began) = (work.ended(), Instant::now());
        interrupt::pause(limit)?;
        let (after, time) = (work.ended(), began.elapsed());
        Ok((after.saturating_sub(before), time))
    });
    let (count, time) = counted?;
    let rate = count as f64 / time.as_secs_f64();
    findings.add_with("runs_per_second", rate, format!("{count} runs in {} s", limit.as_secs()));
    step.end(Mark::Good, &format!("{count} runs"));
    fill(ready, bench.arguments.old_runs.saturating_sub(count))
}

/// Adds runs to the store.
fn fill(ready: &Ready, missing: u64) -> Result<()> {
    let step = Step::new("fill the store with old runs");
    let began = Instant::now();
    work(ready, |work| {
        while work.ended() < missing && !work.is_over() {
            interrupt::pause(GLANCE)?;
            step.detail(&format!("{} of {missing}", work.ended()));
            if began.elapsed() > FILL_LIMIT {
                bail!("{missing} runs did not end within {} s", FILL_LIMIT.as_secs());
            }
        }
        Ok(())
    })?;
    step.done();
    Ok(())
}

/// What the clients have done.
#[derive(Debug, Default)]
struct Work {
    ended: AtomicU64,
    over: AtomicBool,
}

impl Work {
    /// How many runs have ended.
    fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether no new runs are triggered, because it is enough or because a client failed.
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Triggers one run after the other until it is over.
    fn go_on(&self, ready: &Ready) -> Result<()> {
        let api = Api::new(ready)?;
        while !self.is_over() {
            pipeline::once(&api, NOOP.name)?;
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Lets the clients work for as long as `watch` looks on.
fn work<T>(ready: &Ready, watch: impl FnOnce(&Work) -> Result<T>) -> Result<T> {
    let work = Work::default();
    std::thread::scope(|scope| {
        let client = || work.go_on(ready).inspect_err(|_| work.over.store(true, Ordering::Relaxed));
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let watched = watch(&work);
        work.over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        watched
    })
}
