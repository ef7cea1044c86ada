//! Requests of users: from a host name to an app, and from a fault to an answer that says
//! little.

use crate::guest::{Answer, Call, Fault, linger};
use crate::net::host::{self, NotAnApp};
use crate::net::problem::problem;
use crate::registry::{Registry, Release, Route};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use tracing::{error, warn};
use ulid::Ulid;

/// What a user gets: an app's answer or our own.
pub(crate) type Reply = Response<Either<Full<Bytes>, Answer>>;

/// The service behind the listener of the users.
#[derive(Clone)]
pub(crate) struct Front {
    registry: Arc<Registry>,
    body_bytes_max: u64,
}

impl Front {
    /// Serves what is in the registry.
    pub(crate) const fn new(registry: Arc<Registry>, body_bytes_max: u64) -> Self {
        Self { registry, body_bytes_max }
    }

    async fn answer(self, request: Request<Incoming>) -> Reply {
        if *request.method() == Method::CONNECT {
            return own(StatusCode::METHOD_NOT_ALLOWED, "this is no proxy", None);
        }
        let app = match host::app(request.uri(), request.headers()) {
            Ok(app) => app,
            Err(NotAnApp::Missing) => {
                return own(StatusCode::BAD_REQUEST, "the request has no `Host` header that names one app", None);
            }
            Err(NotAnApp::Other(host)) => {
                let detail = format!("there is no app at `{host}`: apps are at `<app>.localhost`");
                return own(StatusCode::NOT_FOUND, &detail, None);
            }
        };
        let (tally, release) = match self.registry.route(&app) {
            Route::Unknown => return own(StatusCode::NOT_FOUND, &format!("there is no app `{app}` here"), None),
            Route::Down => {
                let detail = format!("app `{app}` has no live release");
                return own(StatusCode::SERVICE_UNAVAILABLE, &detail, None);
            }
            Route::To(tally, release) => (tally, release),
        };
        let Some(visit) = tally.visit() else {
            let detail = format!("app `{app}` has as many requests as it may have at once");
            return own(StatusCode::SERVICE_UNAVAILABLE, &detail, None);
        };
        if request.body().size_hint().lower() > self.body_bytes_max {
            // A client that asks first is spared the sending.
            if !request.headers().contains_key(header::EXPECT) {
                linger(request.into_body());
            }
            return refused(&Fault::BodyTooLarge(self.body_bytes_max), &release);
        }
        let call = Call { limit: None, visit: Some(Arc::clone(&visit)) };
        let reply = match release.handler.call(request, call).await {
            Ok(response) => response.map(Either::Right),
            Err(fault) => refused(&fault, &release),
        };
        if reply.status().is_server_error() {
            visit.fail();
        }
        reply
    }
}

impl Service<Request<Incoming>> for Front {
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let front = self.clone();
        Box::pin(async move { Ok(front.answer(request).await) })
    }
}

/// The answer to a request that the app did not answer. Why goes to the log, under the id
/// that the user gets.
fn refused(fault: &Fault, release: &Release) -> Reply {
    let identity = release.identity();
    let app = &identity.app;
    let detail = match fault {
        Fault::BodyTooLarge(bytes) => {
            return own(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body has more than {bytes} bytes"), None);
        }
        Fault::Crowded => format!("app `{app}` cannot take this request now"),
        Fault::Deadline(_) => format!("app `{app}` did not answer in time"),
        Fault::Trap { .. }
        | Fault::Limit(_)
        | Fault::Exit(_)
        | Fault::NoAnswer
        | Fault::Refused(_)
        | Fault::Status(_)
        | Fault::Host(_) => format!("app `{app}` did not answer"),
    };
    let id = Ulid::generate().to_string();
    if let Fault::Host(_) = fault {
        error!(app = %app, release = %identity.release, id, reason = %fault, "app `{app}` could not be asked");
    } else {
        warn!(app = %app, release = %identity.release, id, reason = %fault, "app `{app}` failed to answer");
    }
    own(fault.status(), &detail, Some(&id))
}

/// An answer of our own.
fn own(status: StatusCode, detail: &str, id: Option<&str>) -> Reply {
    let mut response = problem(status, detail, id).map(Either::Left);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
