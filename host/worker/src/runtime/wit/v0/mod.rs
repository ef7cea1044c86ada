//! `slipway:stage@0.1.0`: what a guest's imports do on the worker.
//!
//! What reaches outside the stage's own run is forwarded as a `Call`; the rest is answered
//! from the lease.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other reply than a call's own is one case: a fault of the host"
)]

mod apps;
mod artifacts;
mod http;
mod log;
mod reports;
mod run;
mod secrets;
mod tools;

use crate::runtime::fault::Unexpected;
use crate::runtime::state::State;
use crate::session::Session;
use slipway_domain::text::cut;
use slipway_protocol::outcome::Failure as WireFailure;
use slipway_protocol::{Call, Reply};
use wasmtime::component::{HasSelf, Linker};

pub use artifacts::Writing;
pub use bindings::slipway;
pub use bindings::slipway::stage::types::Failure;

/// What the macro makes of the contract; its documentation is in `wit/`.
#[expect(missing_docs, reason = "generated from documented WIT")]
pub mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package slipway:worker;
            world imports {
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
        world: "slipway:worker/imports",
        imports: { default: async | trappable },
        with: {
            "slipway:stage/log.step": super::log::Step,
            "slipway:stage/artifacts.writer": super::artifacts::Writer,
            "slipway:stage/tools.process": super::tools::Process,
            "slipway:stage/tools.launch": super::tools::Launch,
            "slipway:stage/http.request": super::http::Request,
            "slipway:stage/secrets.secret": super::secrets::Secret,
        },
    });
}

/// Adds every interface of the contract. Which of them a component may import was decided
/// by its kind before.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use slipway::stage;
    stage::run::add_to_linker::<State, HasSelf<State>>(linker, State::called)?;
    stage::log::add_to_linker::<State, HasSelf<State>>(linker, State::called)?;
    stage::artifacts::add_to_linker::<State, HasSelf<State>>(linker, State::called)?;
    stage::tools::add_to_linker::<State, HasSelf<State>>(linker, State::called)?;
    stage::reports::add_to_linker::<State, HasSelf<State>>(linker, State::called)?;
    stage::secrets::add_to_linker::<State, HasSelf<State>>(linker, State::called)?;
    stage::http::add_to_linker::<State, HasSelf<State>>(linker, State::called)?;
    stage::apps::add_to_linker::<State, HasSelf<State>>(linker, State::called)?;
    stage::types::add_to_linker::<State, HasSelf<State>>(linker, State::called)
}

impl From<WireFailure> for Failure {
    fn from(failure: WireFailure) -> Self {
        let WireFailure { code, message, retryable, details } = failure;
        Self { code, message, retryable, details }
    }
}

impl From<Failure> for WireFailure {
    fn from(failure: Failure) -> Self {
        let Failure { code, message, retryable, details } = failure;
        Self { code, message, retryable, details }
    }
}

fn failure(code: &str, message: impl Into<String>) -> Failure {
    WireFailure::new(code, message).into()
}

type Answer<T> = wasmtime::Result<Result<T, Failure>>;

/// The most details that a stage gives with one thing.
const DETAILS_MAX: usize = 32;
/// The longest name of a detail, in bytes.
const DETAIL_NAME_BYTES_MAX: usize = 64;
/// The longest value of a detail, in bytes.
const DETAIL_BYTES_MAX: usize = 16 << 10;

/// Details as a stage gives them, kept within bounds.
fn bounded(details: Vec<(String, String)>) -> Vec<(String, String)> {
    let details = details.into_iter().take(DETAILS_MAX);
    details.map(|(name, value)| (cut(name, DETAIL_NAME_BYTES_MAX), cut(value, DETAIL_BYTES_MAX))).collect()
}

/// A reply that does not belong to its call: a fault of the host, never of the guest.
fn odd<T>(reply: &Reply) -> wasmtime::Result<T> {
    Err(wasmtime::Error::new(Unexpected(format!("{reply:?}"))))
}

/// A call whose only good answer is that it was done.
async fn done(session: &Session, call: Call) -> Answer<()> {
    match session.call(call).await? {
        Reply::Done => Ok(Ok(())),
        Reply::Refused(failure) => Ok(Err(failure.into())),
        other => odd(&other),
    }
}

impl slipway::stage::types::Host for State {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_bounded_in_number_and_length() {
        let many = vec![("n".repeat(65), "v".repeat(DETAIL_BYTES_MAX + 1)); DETAILS_MAX + 1];
        let kept = bounded(many);
        assert_eq!(kept.len(), DETAILS_MAX);
        let (name, value) = &kept[0];
        assert!(name.ends_with("n … (1 bytes cut)") && value.ends_with("v … (1 bytes cut)"), "{name}");
        let few = vec![("file".to_owned(), "src/lib.rs".to_owned())];
        assert_eq!(bounded(few.clone()), few);
    }
}
