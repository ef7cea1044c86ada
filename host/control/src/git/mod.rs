//! Git: where revisions come from. The only module that runs the git program.

mod archive;
mod command;
mod error;
mod location;
mod refs;
mod resolve;
mod snapshot;
mod source;
mod tidy;

pub use error::Error;
pub use location::{InvalidLocation, Location};
pub use resolve::Resolved;
pub use snapshot::snapshot;
pub use source::Git;
