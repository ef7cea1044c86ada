//! Write a Slipway stage as a small function.
//!
//! A stage is a WebAssembly component of one of three kinds: [`builder!`] makes something
//! of a revision, [`tester!`] judges it, [`deployer!`] changes what runs. The macro gives
//! the component its exports; everything a stage can do is a function of one of the
//! modules here, and each of those is one call to the host, which checks the grant and
//! keeps a record.
//!
//! ```
//! use slipway_sdk::prelude::*;
//!
//! /// Options of the stage, as written in the pipeline's `with` table.
//! #[config]
//! struct Config {
//!     /// The package to build; all of them when it is not given.
//!     package: Option<String>,
//! }
//!
//! fn build(config: &Config) -> Result<(), Failure> {
//!     info!(package = config.package.as_deref().unwrap_or("all"); "building");
//!     tools::command("rust", "cargo").args(["build", "--release"]).run()?.check("cargo build")?;
//!     artifacts::put_file("app.wasm", "application/wasm", "target/app.wasm")?;
//!     Ok(())
//! }
//!
//! slipway_sdk::builder! {
//!     name: "my-build",
//!     summary: "Builds the app",
//!     capabilities: [Capability::tools(&["rust"], "runs cargo")],
//!     build: build,
//! }
//! # fn main() {}
//! ```
//!
//! The crate is a `cdylib`, built with `cargo build --target wasm32-wasip2 --release`.
//! Give it the crate type `rlib` as well and it also compiles on your own machine, where
//! [`testing::Fake`] stands for the host:
//!
//! ```
//! # use slipway_sdk::prelude::*;
//! # fn build() -> Result<(), Failure> {
//! #     tools::command("rust", "cargo").args(["build"]).run()?.check("cargo build")?;
//! #     artifacts::put_file("app.wasm", "application/wasm", "target/app.wasm")?;
//! #     Ok(())
//! # }
//! # #[cfg(not(target_arch = "wasm32"))] {
//! use slipway_sdk::testing::{Fake, Script};
//!
//! // #[test] fn it_stores_the_app() {
//! let fake = Fake::new()
//!     .file("target/app.wasm", b"\0asm")
//!     .tool("rust", "cargo", |_command| Script::new().stderr("Finished\n"));
//! fake.call(build).unwrap();
//! assert_eq!(fake.artifacts()[0].name, "app.wasm");
//! // }
//! # }
//! ```
//!
//! # Configuration
//!
//! A stage function takes its configuration as its only argument, or nothing at all.
//! [`config`](macro@config) on a struct derives what the SDK needs from its own copies of
//! serde and schemars, so that a plugin depends on `slipway-sdk` alone.
//!
//! # Errors
//!
//! Every fallible function returns [`Failure`], and `?` turns any other error into one.
//! Returned from the stage it ends the stage as failed, with its message shown to people
//! and its code to programs.

mod failure;
mod host;
mod macros;
mod stage;

pub mod apps;
pub mod artifacts;
pub mod cargo;
pub mod describe;
pub mod http;
pub mod junit;
pub mod log;
pub mod reports;
pub mod run;
pub mod secrets;
pub mod tools;
pub mod workspace;

#[cfg(target_arch = "wasm32")]
pub mod raw;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use describe::{Capability, Description, Kind};
pub use failure::{Failure, OrFail};
pub use host::{Host, LaunchDraft, RequestDraft, RunningProcess, RunningStep, SecretHandle, WritingArtifact};
pub use schemars;
pub use serde;
pub use serde_json;
pub use serde_json::json;
pub use slipway_sdk_macros::config;
pub use stage::{NoConfig, Stage};

/// The guide, whose example is compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/plugins-rust.md")]
struct Guide;

/// What the exporting macros call. Not for authors.
#[doc(hidden)]
pub mod export {
    pub use crate::describe::{document, document_of_three};
    #[cfg(target_arch = "wasm32")]
    pub use crate::stage::export;
}

/// Everything that a stage usually needs, for `use slipway_sdk::prelude::*`.
pub mod prelude {
    pub use crate::{
        Capability, Failure, OrFail, apps, artifacts, config, debug, error, http, info, junit, log, reports, run,
        secrets, tools, warn, workspace,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}
