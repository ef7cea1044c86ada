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
mod log;
mod reports;
mod run;
mod secrets;
mod tools;

use crate::runtime::fault::Unexpected;
use crate::runtime::state::State;
use crate::session::Session;
use slipway_protocol::outcome::Failure as WireFailure;
use slipway_protocol::{Call, Reply};
use wasmtime::component::{HasSelf, Linker};

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
                import slipway:stage/apps@0.1.0;
            }
        ",
        world: "slipway:worker/imports",
        imports: { default: async | trappable },
        with: {
            "slipway:stage/log.step": super::log::Step,
            "slipway:stage/artifacts.writer": super::artifacts::Writer,
            "slipway:stage/tools.process": super::tools::Process,
            "slipway:stage/secrets.secret": super::secrets::Secret,
        },
    });
}

/// Adds every interface of the contract. Which of them a component may import was decided
/// by its kind before.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use slipway::stage;
    stage::run::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    stage::log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    stage::artifacts::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    stage::tools::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    stage::reports::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    stage::secrets::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    stage::apps::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    stage::types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
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
