//! One request, in a Store of its own.

use crate::guest::body::{Answer, Capped};
use crate::guest::fault::Fault;
use crate::guest::runtime::Identity;
use crate::guest::state::State;
use crate::options::Limits;
use crate::tally::Visit;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use slipway_engine::{Budget, TickingEngine};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;
use wasmtime::Store;
use wasmtime::component::Resource;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};
use wasmtime_wasi_http::{Error, WasiHttpView};

/// A release, ready to answer.
pub(crate) struct Handler {
    identity: Identity,
    proxy: ProxyPre<State>,
    engine: TickingEngine,
    limits: Limits,
    budget: Arc<Budget>,
}

/// How one request is called.
#[derive(Default)]
pub(crate) struct Call {
    /// How long it may take; at most what the limits say.
    pub(crate) limit: Option<Duration>,
    /// The user's visit, kept until the guest has ended.
    pub(crate) visit: Option<Arc<Visit>>,
}

/// A guest that is about to run.
struct Run {
    store: Store<State>,
    request: Resource<HostIncomingRequest>,
    out: Resource<HostResponseOutparam>,
    answered: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    limit: Duration,
    identity: Identity,
    visit: Option<Arc<Visit>>,
}

type Answered = Result<Response<HyperOutgoingBody>, ErrorCode>;

impl Handler {
    /// A handler of a linked component.
    pub(crate) fn new(
        identity: Identity,
        proxy: ProxyPre<State>,
        engine: TickingEngine,
        limits: Limits,
        budget: Arc<Budget>,
    ) -> Self {
        Self { identity, proxy, engine, limits, budget }
    }

    /// Whose it is.
    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Answers a request, which has an authority or a `Host` header. The answer's body goes
    /// on while the guest runs; dropping this future or that body ends the guest.
    pub(crate) async fn call<B>(&self, request: Request<B>, call: Call) -> Result<Response<Answer>, Fault>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Error>,
    {
        let method = request.method().clone();
        let body_bytes_max = self.limits.body_bytes;
        let too_large = Arc::new(AtomicBool::new(false));
        let request = request.map(|body| Capped::new(body, body_bytes_max, Arc::clone(&too_large)));
        let (sender, receiver) = oneshot::channel();
        let run = self.prepare(request, sender, call).map_err(|error| Fault::Host(format!("{error:#}")))?;
        let broken = Arc::clone(&run.broken);
        let guest = AbortOnDropHandle::new(tokio::spawn(run.drive(self.proxy.clone())));

        let answered = receiver.await;
        if too_large.load(Ordering::Relaxed) {
            return Err(Fault::BodyTooLarge(body_bytes_max));
        }
        match answered {
            Ok(Ok(response)) if response.status().is_informational() => Err(Fault::Status(response.status().as_u16())),
            Ok(Ok(response)) => {
                let (head, body) = response.into_parts();
                let answer = Answer::new(body, guest, broken, (&method, head.status, &head.headers));
                Ok(Response::from_parts(head, answer))
            }
            Ok(Err(code)) => Err(Fault::Refused(format!("{code:?}"))),
            // The Store is gone, and with it the sender.
            Err(_) => match guest.await {
                Ok(Ok(())) => Err(Fault::NoAnswer),
                Ok(Err(fault)) => Err(fault),
                Err(error) => Err(Fault::Host(error.to_string())),
            },
        }
    }

    fn prepare<B>(&self, request: Request<B>, sender: oneshot::Sender<Answered>, call: Call) -> wasmtime::Result<Run>
    where
        B: Body<Data = Bytes, Error = Error> + Send + 'static,
    {
        let limits = slipway_engine::Limits::new(self.limits.memory_bytes).out_of(Arc::clone(&self.budget));
        let mut store = slipway_engine::store(self.engine.engine(), State::new(&self.identity, limits));

        let answered = Arc::new(AtomicBool::new(false));
        let answering = Arc::clone(&answered);
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let out = store.data_mut().http().new_response_outparam_from_callback(move |answer| {
            // Nobody waits any longer: then nobody was answered.
            answering.store(sender.send(answer).is_ok(), Ordering::Relaxed);
        })?;
        let limit = self.limits.request_limit();
        let limit = call.limit.map_or(limit, |less| less.min(limit));
        let broken = Arc::new(AtomicBool::new(false));
        Ok(Run { store, request, out, answered, broken, limit, identity: self.identity.clone(), visit: call.visit })
    }
}

impl Run {
    /// Runs the guest to its end. A fault after the answer has begun is told here, since
    /// nobody waits for it.
    async fn drive(self, proxy: ProxyPre<State>) -> Result<(), Fault> {
        // What is named last is dropped first: the Store before the visit that counts it.
        let Self { visit, identity, limit, answered, broken, request, out, mut store } = self;
        let called = tokio::time::timeout(limit, async {
            let instance = proxy.instantiate_async(&mut store).await?;
            instance.wasi_http_incoming_handler().call_handle(&mut store, request, out).await
        })
        .await;
        let fault = match called {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Fault::of(&error, &store.data().limits),
            Err(_elapsed) => Fault::Deadline(limit),
        };
        // Before the Store goes, which ends the answer's body.
        broken.store(true, Ordering::Release);
        drop(store);
        if answered.load(Ordering::Relaxed) {
            if let Some(visit) = visit {
                visit.fail();
            }
            warn!(app = %identity.app, release = %identity.release, reason = %fault,
                "app `{}` failed after it had begun to answer", identity.app);
        }
        Err(fault)
    }
}
