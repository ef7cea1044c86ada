//! The rules of Slipway: pipelines, runs, stages, grants and releases.
//!
//! Everything here is pure. Times, ids and random numbers come in as arguments, and
//! nothing is read, written, sent or scheduled. What should happen next is returned as
//! a value; `slipway-control` makes it happen.

pub mod address;
pub mod check;
pub mod definition;
pub mod grant;
pub mod key;
pub mod name;
pub mod outcome;
pub mod pin;
pub mod plugin;
pub mod release;
pub mod run;
pub mod stage;
pub mod text;

pub use name::{AppName, Digest, Epoch, PipelineName, Revision, RunId, SecretName, StageName, ToolName};
