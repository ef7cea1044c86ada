//! The wall clock, in the one form in which times are stored. It is only told: what is decided
//! by time goes by tokio's clock, which tests pause.

use crate::store::rows::Micros;

/// The time now, in microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now() -> Micros {
    jiff::Timestamp::now().as_microsecond()
}

/// A stored time as RFC 3339 in UTC.
pub fn text(at: Micros) -> String {
    jiff::Timestamp::from_microsecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
