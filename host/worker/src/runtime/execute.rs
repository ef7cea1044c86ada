//! One call of one export, in a Store of its own.

use crate::clock;
use crate::outbox::Standing;
use crate::runtime::component::{Components, Ready};
use crate::runtime::fault::classify;
use crate::runtime::state::State;
use crate::runtime::wit::v0::Failure;
use crate::session::Session;
use slipway_domain::outcome::{Fault, Outcome, Unhappy};
use slipway_domain::text::cut;
use slipway_engine::Limits;
use slipway_protocol::message::{Description, Undescribed};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::Linker;
use wasmtime::{Engine, Store};

/// How long a cancelled stage may take to end by itself.
pub const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// How long `describe` may take.
const DESCRIBE_LIMIT: Duration = Duration::from_secs(10);
/// The memory that `describe` may take, in bytes.
const DESCRIBE_MEMORY_BYTES: u64 = 64 << 20;
/// The longest text that `describe` may return, in bytes.
const DESCRIBE_BYTES_MAX: usize = 1 << 20;

/// How a call ended, and what it took.
#[derive(Debug)]
pub struct Ending {
    /// How.
    pub outcome: Outcome,
    /// From instantiation to return.
    pub time: Duration,
    /// The peak of linear memory, in bytes.
    pub memory_peak_bytes: u64,
}

impl Ending {
    /// The end of an attempt whose guest was never called.
    pub const fn before_the_call(unhappy: Unhappy) -> Self {
        Self { outcome: Outcome::Unhappy(unhappy), time: Duration::ZERO, memory_peak_bytes: 0 }
    }
}

/// Calls the export that the lease names. `None` when the lease was lost meanwhile: then
/// there is nobody to tell. Dropping the future ends the call.
pub async fn execute(engine: &Engine, component: &Ready, session: &Arc<Session>) -> Option<Ending> {
    let began = clock::instant();
    session.call_begins();
    let mut store = slipway_engine::store(engine, State::new(Arc::clone(session)));
    let limit = session.limit();
    let result = {
        let mut call = pin!(tokio::time::timeout(limit, call(&mut store, component, &session.lease.phase)));
        let mut standing = session.standing();
        tokio::select! {
            biased;
            result = &mut call => Some(result),
            () = until_stopped(&mut standing) => None,
        }
    };
    let outcome = match result {
        Some(Ok(Ok(Ok(())))) => Outcome::Passed,
        Some(_) | None if session.is_lost() => return None,
        None => Outcome::Unhappy(Unhappy::Cancelled),
        // However one that was cancelled ends: it was told to.
        Some(Ok(Ok(Err(_)) | Err(_)) | Err(_)) if session.is_cancelled() => Outcome::Unhappy(Unhappy::Cancelled),
        Some(Ok(Ok(Err(failure)))) => Outcome::Unhappy(Unhappy::Failed(tell(failure))),
        Some(Ok(Err(error))) => {
            let fault = in_own_words(classify(&error, &store.data().limits), session);
            Outcome::Unhappy(Unhappy::Errored(fault))
        }
        Some(Err(_elapsed)) => Outcome::Unhappy(Unhappy::Errored(Fault::Deadline { limit })),
    };
    let memory_peak_bytes = store.data().limits.memory_bytes() as u64;
    Some(Ending { outcome, time: began.elapsed(), memory_peak_bytes })
}

async fn call(store: &mut Store<State>, component: &Ready, export: &str) -> wasmtime::Result<Result<(), Failure>> {
    let instance = component.instance.instantiate_async(&mut *store).await?;
    let export = instance.get_typed_func::<(), (Result<(), Failure>,)>(&mut *store, export)?;
    let (result,) = export.call_async(&mut *store, ()).await?;
    Ok(result)
}

/// Waits until the call has to be dropped: at once when the lease is lost, after
/// [`CANCEL_GRACE`] when the run was cancelled.
async fn until_stopped(standing: &mut tokio::sync::watch::Receiver<Standing>) {
    let changed = standing.wait_for(|standing| *standing != Standing::Held).await.map(|standing| *standing);
    if changed.is_ok_and(|standing| standing == Standing::Cancelled) {
        let lost = standing.wait_for(|standing| *standing == Standing::Lost);
        // Whichever comes first: both mean that it is over.
        let _timeout_or_loss = tokio::time::timeout(CANCEL_GRACE, lost).await.is_err();
    }
}

/// A trap with what the guest said of it: the engine sees only that it gave up.
fn in_own_words(fault: Fault, session: &Session) -> Fault {
    match (fault, session.log.last_words()) {
        (Fault::Trap { backtrace, .. }, Some(message)) => Fault::Trap { message, backtrace },
        (fault, _) => fault,
    }
}

/// The guest's own word, kept within bounds.
fn tell(failure: Failure) -> slipway_domain::outcome::Failure {
    slipway_domain::outcome::Failure {
        code: cut(failure.code, 64),
        message: cut(failure.message, 4 << 10),
        retryable: failure.retryable,
        details: failure
            .details
            .into_iter()
            .take(32)
            .map(|(name, value)| (cut(name, 64), cut(value, 4 << 10)))
            .collect(),
    }
}

/// Calls `describe` with every import refused, and returns its text.
#[expect(clippy::wildcard_enum_match_arm, reason = "a trap is told in more words than the others")]
pub async fn describe(components: &Components, bytes: &[u8]) -> Result<Description, Undescribed> {
    let (component, shape) = components.inspect(bytes).map_err(|unfit| match unfit.is_passing() {
        true => Undescribed::passing(unfit.to_string()),
        false => unfit.to_string().into(),
    })?;
    let mut linker: Linker<Limits> = Linker::new(components.engine());
    linker.define_unknown_imports_as_traps(&component).map_err(|error| format!("{error:#}"))?;
    let mut store = slipway_engine::store(components.engine(), Limits::new(DESCRIBE_MEMORY_BYTES));
    let call = async {
        let instance = linker.instantiate_async(&mut store, &component).await?;
        let export = instance.get_typed_func::<(), (String,)>(&mut store, "describe")?;
        let (text,) = export.call_async(&mut store, ()).await?;
        wasmtime::Result::Ok(text)
    };
    let text = match tokio::time::timeout(DESCRIBE_LIMIT, call).await {
        // On a machine that is busy enough, that is nobody's fault.
        Err(_elapsed) => {
            let reason = format!("`describe` did not return within {} s", DESCRIBE_LIMIT.as_secs());
            return Err(Undescribed::passing(reason));
        }
        Ok(Err(error)) => {
            let fault = classify(&error, store.data());
            let reason = match fault {
                Fault::Trap { message, .. } if message.contains("unknown import") => {
                    format!("`describe` called an import, and it runs with every import refused ({message})")
                }
                Fault::Trap { message, backtrace } => match backtrace.first() {
                    Some(function) => format!("`describe` trapped in `{function}`: {message}"),
                    None => format!("`describe` trapped: {message}"),
                },
                other => format!("`describe` did not return: {other}"),
            };
            return Err(reason.into());
        }
        Ok(Ok(text)) => text,
    };
    if text.len() > DESCRIBE_BYTES_MAX {
        return Err(format!("`describe` returned {} bytes, more than {DESCRIBE_BYTES_MAX}", text.len()).into());
    }
    Ok(Description { kind: shape.kind.as_str().to_owned(), imports: shape.imports, text })
}
