//! The macros that turn a function into a component.
//!
//! Each defines `describe` for everybody and the exports for `wasm32` only, so that a
//! plugin also compiles natively, where its tests run.

/// Makes a build stage of a function.
///
/// The function takes its configuration, or nothing, and returns
/// `Result<(), Failure>`. `version` is the crate's own when it is not given;
/// `capabilities` may be left out. The macro also defines `pub fn describe() -> String`
/// beside itself, with the document that the host reads.
///
/// ```
/// use slipway_sdk::prelude::*;
///
/// fn build() -> Result<(), Failure> {
///     artifacts::put("greeting.txt", "text/plain", b"hello")?;
///     Ok(())
/// }
///
/// slipway_sdk::builder! { name: "greeting", summary: "Makes a greeting", build: build }
/// # fn main() {
/// assert!(describe().contains(r#""kind":"build""#));
/// # }
/// ```
#[macro_export]
macro_rules! builder {
    (
        name: $name:expr,
        $(version: $version:expr,)?
        summary: $summary:expr,
        $(capabilities: [$($capability:expr),* $(,)?],)?
        build: $build:expr $(,)?
    ) => {
        $crate::__describe! {
            Build, $name, $summary, [$($version)?], [$($($capability),*)?], document, [$build]
        }

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the exports of a component")]
        const _: () = {
            struct Component;

            impl $crate::raw::builder::Guest for Component {
                fn describe() -> ::std::string::String {
                    describe()
                }

                fn build() -> ::core::result::Result<(), $crate::raw::Failure> {
                    $crate::export::export(&$build)
                }
            }

            $crate::raw::builder::export_builder!(Component with_types_in $crate::raw::builder);
        };
    };
}

/// Makes a test stage of a function. Like [`builder!`](crate::builder), with `test:`.
///
/// ```
/// use slipway_sdk::prelude::*;
/// use slipway_sdk::reports::TestCase;
///
/// fn test() -> Result<(), Failure> {
///     reports::test_cases(&[TestCase::passed("sums", "one_and_one")])
/// }
///
/// slipway_sdk::tester! { name: "sums", summary: "Checks sums", test: test }
/// # fn main() {
/// assert!(describe().contains(r#""kind":"test""#));
/// # }
/// ```
#[macro_export]
macro_rules! tester {
    (
        name: $name:expr,
        $(version: $version:expr,)?
        summary: $summary:expr,
        $(capabilities: [$($capability:expr),* $(,)?],)?
        test: $test:expr $(,)?
    ) => {
        $crate::__describe! {
            Test, $name, $summary, [$($version)?], [$($($capability),*)?], document, [$test]
        }

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the exports of a component")]
        const _: () = {
            struct Component;

            impl $crate::raw::tester::Guest for Component {
                fn describe() -> ::std::string::String {
                    describe()
                }

                fn test() -> ::core::result::Result<(), $crate::raw::Failure> {
                    $crate::export::export(&$test)
                }
            }

            $crate::raw::tester::export_tester!(Component with_types_in $crate::raw::tester);
        };
    };
}

/// Makes a deploy stage of three functions, which take the same configuration.
///
/// `plan` tells with [`reports::change`](crate::reports::change) what `apply` would do;
/// the host refuses it every call that changes something. `rollback` is called when
/// `apply` failed, and has to cope with any part of it having happened.
///
/// ```
/// use slipway_sdk::prelude::*;
///
/// /// Where to.
/// #[config]
/// struct Config {
///     app: String,
/// }
///
/// fn plan(config: &Config) -> Result<(), Failure> {
///     reports::change("create", &format!("app `{}`", config.app), None, None)
/// }
///
/// fn apply(config: &Config) -> Result<(), Failure> {
///     info!("nothing to do for {}", config.app);
///     Ok(())
/// }
///
/// fn rollback(config: &Config) -> Result<(), Failure> {
///     apps::restore(&config.app)?;
///     Ok(())
/// }
///
/// slipway_sdk::deployer! {
///     name: "pretend",
///     summary: "Pretends to deploy",
///     capabilities: [Capability::apps(&[], "takes back a release")],
///     plan: plan,
///     apply: apply,
///     rollback: rollback,
/// }
/// # fn main() {
/// assert!(describe().contains(r#""kind":"deploy""#));
/// # }
/// ```
#[macro_export]
macro_rules! deployer {
    (
        name: $name:expr,
        $(version: $version:expr,)?
        summary: $summary:expr,
        $(capabilities: [$($capability:expr),* $(,)?],)?
        plan: $plan:expr,
        apply: $apply:expr,
        rollback: $rollback:expr $(,)?
    ) => {
        $crate::__describe! {
            Deploy, $name, $summary, [$($version)?], [$($($capability),*)?],
            document_of_three, [$plan, $apply, $rollback]
        }

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the exports of a component")]
        const _: () = {
            struct Component;

            impl $crate::raw::deployer::Guest for Component {
                fn describe() -> ::std::string::String {
                    describe()
                }

                fn plan() -> ::core::result::Result<(), $crate::raw::Failure> {
                    $crate::export::export(&$plan)
                }

                fn apply() -> ::core::result::Result<(), $crate::raw::Failure> {
                    $crate::export::export(&$apply)
                }

                fn rollback() -> ::core::result::Result<(), $crate::raw::Failure> {
                    $crate::export::export(&$rollback)
                }
            }

            $crate::raw::deployer::export_deployer!(Component with_types_in $crate::raw::deployer);
        };
    };
}

/// Defines `describe` for the three macros above.
#[doc(hidden)]
#[macro_export]
macro_rules! __describe {
    (
        $kind:ident, $name:expr, $summary:expr, [], $capabilities:tt, $document:ident, $stages:tt
    ) => {
        $crate::__describe! {
            $kind, $name, $summary, [env!("CARGO_PKG_VERSION")], $capabilities, $document, $stages
        }
    };
    (
        $kind:ident, $name:expr, $summary:expr, [$version:expr], [$($capability:expr),*],
        $document:ident, [$($stage:expr),+]
    ) => {
        /// Returns the JSON document by which this plugin describes itself.
        #[must_use]
        pub fn describe() -> ::std::string::String {
            #[allow(unused_imports, reason = "a plugin may ask for nothing")]
            use $crate::Capability;
            $crate::export::$document(
                &$crate::Description {
                    name: $name,
                    version: $version,
                    kind: $crate::Kind::$kind,
                    summary: $summary,
                    capabilities: const { &[$($capability),*] },
                },
                $(&$stage),+
            )
        }
    };
}

/// Writes one entry at `debug`, like [`info!`](crate::info).
#[macro_export]
macro_rules! debug {
    ($($entry:tt)+) => { $crate::__log!($crate::log::Level::Debug, $($entry)+) };
}

/// Writes one entry to the run's log.
///
/// The message is written as for [`format!`]. Fields stand before it, as `name = value`,
/// and end with a semicolon; the values are shown by [`Display`](std::fmt::Display).
///
/// ```
/// # use slipway_sdk::prelude::*;
/// # #[cfg(not(target_arch = "wasm32"))] slipway_sdk::testing::Fake::new().run(|| {
/// let package = "shop";
/// info!("building {package}");
/// info!(package = package, tries = 1 + 1; "built {} of {}", 3, 4);
/// # });
/// ```
#[macro_export]
macro_rules! info {
    ($($entry:tt)+) => { $crate::__log!($crate::log::Level::Info, $($entry)+) };
}

/// Writes one entry at `warn`, like [`info!`](crate::info).
#[macro_export]
macro_rules! warn {
    ($($entry:tt)+) => { $crate::__log!($crate::log::Level::Warn, $($entry)+) };
}

/// Writes one entry at `error`, like [`info!`](crate::info).
#[macro_export]
macro_rules! error {
    ($($entry:tt)+) => { $crate::__log!($crate::log::Level::Error, $($entry)+) };
}

/// Takes the fields of an entry apart from its message.
#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:expr, $($name:ident = $value:expr),+ ; $($message:tt)+) => {
        $crate::log::write(
            $level,
            &::std::format!($($message)+),
            &[$((
                ::std::string::String::from(::core::stringify!($name)),
                ::std::string::ToString::to_string(&$value),
            )),+],
        )
    };
    ($level:expr, $($message:tt)+) => {
        $crate::log::write($level, &::std::format!($($message)+), &[])
    };
}
