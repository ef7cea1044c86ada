//! The bindings as they are generated from the contract, for the rare stage that the
//! macros are too polite for. Only there inside a component.
//!
//! [`imports`] holds every import of the three worlds, generated once; [`builder`],
//! [`tester`] and [`deployer`] hold the exports of one world each, as a trait `Guest` and
//! a macro that exports a type which implements it:
//!
//! ```ignore
//! use slipway_sdk::raw::{Failure, builder};
//!
//! struct Stage;
//!
//! impl builder::Guest for Stage {
//!     fn describe() -> String { r#"{"schema":1, …}"#.into() }
//!     fn build() -> Result<(), Failure> { Ok(()) }
//! }
//!
//! builder::export_builder!(Stage);
//! ```
//!
//! What a component does not call, it does not import: the linker drops the rest.

pub use imports::slipway::stage::types::Failure;

/// What a stage can call.
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod imports {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package slipway:sdk;

            world everything {
                import slipway:stage/run@0.1.0;
                import slipway:stage/log@0.1.0;
                import slipway:stage/artifacts@0.1.0;
                import slipway:stage/tools@0.1.0;
                import slipway:stage/reports@0.1.0;
                import slipway:stage/secrets@0.1.0;
                import slipway:stage/http@0.1.0;
                import slipway:stage/apps@0.1.0;
            }
        ",
        generate_all,
    });
}

/// Generates the exports of one world over the shared imports.
macro_rules! world {
    ($(#[$doc:meta])* $module:ident, $world:literal, $export:literal, $path:literal, $($only:literal => $target:path),*) => {
        $(#[$doc])*
        #[allow(
            unsafe_code,
            missing_docs,
            unreachable_pub,
            clippy::all,
            clippy::allow_attributes_without_reason,
            reason = "generated code"
        )]
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit",
                world: $world,
                with: {
                    "slipway:stage/types@0.1.0": crate::raw::imports::slipway::stage::types,
                    "slipway:stage/run@0.1.0": crate::raw::imports::slipway::stage::run,
                    "slipway:stage/log@0.1.0": crate::raw::imports::slipway::stage::log,
                    "slipway:stage/artifacts@0.1.0": crate::raw::imports::slipway::stage::artifacts,
                    "slipway:stage/reports@0.1.0": crate::raw::imports::slipway::stage::reports,
                    "slipway:stage/secrets@0.1.0": crate::raw::imports::slipway::stage::secrets,
                    "slipway:stage/http@0.1.0": crate::raw::imports::slipway::stage::http,
                    $($only: $target),*
                },
                pub_export_macro: true,
                export_macro_name: $export,
                default_bindings_module: $path,
            });
        }
    };
}

world! {
    /// The exports of a build stage.
    builder, "slipway:stage/builder", "export_builder", "slipway_sdk::raw::builder",
    "slipway:stage/tools@0.1.0" => crate::raw::imports::slipway::stage::tools
}
world! {
    /// The exports of a test stage.
    tester, "slipway:stage/tester", "export_tester", "slipway_sdk::raw::tester",
    "slipway:stage/tools@0.1.0" => crate::raw::imports::slipway::stage::tools
}
world! {
    /// The exports of a deploy stage.
    deployer, "slipway:stage/deployer", "export_deployer", "slipway_sdk::raw::deployer",
    "slipway:stage/apps@0.1.0" => crate::raw::imports::slipway::stage::apps
}

impl From<crate::Failure> for Failure {
    fn from(failure: crate::Failure) -> Self {
        Self { code: failure.code, message: failure.message, retryable: failure.retryable, details: failure.details }
    }
}
