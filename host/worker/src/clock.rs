//! Time, asked for in one place. The threads that watch must see it pass whatever becomes of
//! the runtime, so it is the system's and not tokio's.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A point in time to measure from.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// The time now, in microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
