//! What control and worker say to each other.
//!
//! A worker dials control and keeps one connection, on which messages of both sides are
//! `MessagePack` maps, one a frame. It is given leases; under a lease everything it says is
//! numbered, and it keeps what it said until control has acknowledged it as stored. After a
//! broken connection, or a restart of control, it says the rest again, and control drops what
//! it has already. So each entry counts once, whatever breaks.
//!
//! A guest's privileged import is a [`Call`], answered by a [`Reply`]: the only way out of
//! a guest. Bulk data (components, revisions, artifacts) goes by HTTP beside it, under the
//! same lease.

pub mod call;
pub mod http;
pub mod lease;
pub mod message;
pub mod outcome;
pub mod secret;

pub use call::{Call, Reply};
pub use lease::Lease;
pub use message::{FromControl, FromWorker};

/// The version of this protocol. Both sides refuse any other.
pub const VERSION: u32 = 3;

/// The code with which control closes the connection of a worker that it cannot use. The
/// reason stands beside it, which a worker of any version understands (RFC 6455 §7.4.2).
pub const SENT_AWAY: u16 = 4000;

/// The header by which a worker proves at the HTTP routes that it holds a lease, with the
/// lease's key.
pub const LEASE_HEADER: &str = "slipway-lease";

/// How long a lease holds without renewal, in seconds.
pub const LEASE_TTL_SECONDS: u64 = 30;
/// How often a worker renews its leases, in seconds.
pub const RENEW_SECONDS: u64 = 5;
/// After how many seconds without a renewal a worker stops what it holds: sooner than
/// control gives the attempt to another.
pub const SELF_FENCE_SECONDS: u64 = 20;
/// How long a worker may take to fetch and compile a component, in seconds.
pub const PREPARE_SECONDS_MAX: u64 = 120;
/// How long after its limits an attempt may take to end, in seconds: killing tools, handing
/// out the last of the log. A worker that has not ended it by then has lost it.
pub const END_SECONDS_MAX: u64 = 30;
/// The most leases that a worker takes at once.
pub const SLOTS_MAX: u32 = 1024;
/// The largest artifact, in bytes.
pub const ARTIFACT_BYTES_MAX: u64 = 2 << 30;
/// The most bytes of artifacts that are uploaded under a lease.
pub const UPLOAD_BYTES_MAX: u64 = 8 << 30;
/// The longest message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
