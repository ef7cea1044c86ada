//! A small shop with an HTTP API.

#![warn(missing_docs)]

pub mod api;
pub mod catalog;
pub mod health;
pub mod json;
pub mod price;

#[cfg(target_arch = "wasm32")]
#[allow(missing_docs, reason = "generated code")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod http;
#[cfg(target_arch = "wasm32")]
mod runtime;

/// The version, as a release is known by.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
