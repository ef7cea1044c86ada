//! The pipeline file: from TOML to the domain's `Definition`, with a place for
//! everything that is wrong.

mod check;
mod grants;
mod lock;
mod policy;
mod read;
mod reader;
mod source;
mod syntax;

pub use check::{Catalog, Checked, PluginFacts, StageFacts, check, is_pinned, table};
pub use lock::{LOCK_FILE, read_lock, write_lock};
pub use policy::{PolicyFile, read_policy};
pub use read::read;
pub use source::{Diagnostic, NotText, Source, decode};

/// The name of the pipeline file in a repository.
pub const FILE: &str = "slipway.toml";
/// The largest pipeline file, in bytes.
pub const BYTES_MAX: usize = 256 << 10;
