//! `http`: requests, put together here and sent by control.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other reply than a call's own is one case: a fault of the host"
)]

use super::secrets::Secret;
use super::slipway::stage::http;
use super::{Answer, failure, odd};
use crate::runtime::state::State;
use slipway_domain::Digest;
use slipway_protocol::http::{HttpBody, HttpHeader, HttpRequest, HttpResponse};
use slipway_protocol::{Call, Reply};
use wasmtime::component::Resource;

/// The longest body that a guest hands over, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// The most bytes of method, URL and headers.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The most requests that a guest puts together at the same time: their bodies are in memory.
const DRAFTS_MAX: usize = 16;
/// The most headers.
const HEADERS_MAX: usize = 128;

/// A request that a guest puts together.
pub struct Request {
    request: HttpRequest,
    /// What of it is more than it may be. Told when it is sent.
    excess: Option<&'static str>,
}

impl Request {
    fn add(&mut self, header: HttpHeader) {
        let bytes: usize = self.request.headers.iter().map(HttpHeader::bytes).sum();
        if bytes + header.bytes() > HEAD_BYTES_MAX || self.request.headers.len() >= HEADERS_MAX {
            self.excess = Some("a request has at most 128 headers, and 64 KiB of them");
        } else {
            self.request.headers.push(header);
        }
    }
}

impl http::Host for State {}

impl http::HostRequest for State {
    async fn new(&mut self, method: String, url: String) -> wasmtime::Result<Resource<Request>> {
        let excess = if self.drafts >= DRAFTS_MAX {
            Some("at most 16 requests are put together at the same time")
        } else {
            (method.len() + url.len() > HEAD_BYTES_MAX).then_some("a URL has at most 64 KiB")
        };
        let (method, url) = if excess.is_some() { Default::default() } else { (method, url) };
        let request = HttpRequest { method, url, headers: Vec::new(), body: HttpBody::Bytes(Vec::new()), within_ms: 0 };
        let request = self.table.push(Request { request, excess })?;
        self.drafts += 1;
        Ok(request)
    }

    async fn header(&mut self, request: Resource<Request>, name: String, value: String) -> wasmtime::Result<()> {
        self.table.get_mut(&request)?.add(HttpHeader::Plain { name, value });
        Ok(())
    }

    async fn secret_header(
        &mut self,
        request: Resource<Request>,
        name: String,
        prefix: String,
        secret: Resource<Secret>,
    ) -> wasmtime::Result<()> {
        let secret = self.table.get(&secret)?.name.clone();
        self.table.get_mut(&request)?.add(HttpHeader::Secret { name, prefix, secret });
        Ok(())
    }

    async fn basic_auth(
        &mut self,
        request: Resource<Request>,
        user: String,
        secret: Resource<Secret>,
    ) -> wasmtime::Result<()> {
        let secret = self.table.get(&secret)?.name.clone();
        self.table.get_mut(&request)?.add(HttpHeader::Basic { user, secret });
        Ok(())
    }

    async fn body(&mut self, request: Resource<Request>, bytes: Vec<u8>) -> wasmtime::Result<()> {
        let request = self.table.get_mut(&request)?;
        if request.excess.is_some() {
            return Ok(());
        }
        if bytes.len() > BODY_BYTES_MAX {
            request.excess = Some("a body has at most 4 MiB: store what is larger as an artifact");
        } else {
            request.request.body = HttpBody::Bytes(bytes);
        }
        Ok(())
    }

    async fn body_artifact(&mut self, request: Resource<Request>, digest: String) -> wasmtime::Result<()> {
        let request = self.table.get_mut(&request)?;
        if digest.len() > HEAD_BYTES_MAX {
            request.excess = Some("a digest has 71 bytes");
        } else {
            request.request.body = HttpBody::Artifact(digest);
        }
        Ok(())
    }

    async fn send(&mut self, request: Resource<Request>, within_ms: u32) -> Answer<http::Response> {
        let Request { request, excess } = self.table.get(&request)?;
        if let Some(excess) = excess {
            return Ok(Err(failure("too-large", *excess)));
        }
        let request = HttpRequest { within_ms, ..request.clone() };
        if let HttpBody::Artifact(digest) = &request.body
            && !Digest::new(digest.clone()).is_ok_and(|digest| self.session.may_read(&digest))
        {
            let message = format!("`{}` is neither an input nor an artifact of this stage", digest.escape_debug());
            return Ok(Err(failure("unknown-artifact", message)));
        }
        match self.session.call(Call::SendRequest { request }).await? {
            Reply::Response(response) => Ok(Ok(response.into())),
            Reply::Refused(failure) => Ok(Err(failure.into())),
            other => odd(&other),
        }
    }

    async fn drop(&mut self, request: Resource<Request>) -> wasmtime::Result<()> {
        self.table.delete(request)?;
        self.drafts = self.drafts.saturating_sub(1);
        Ok(())
    }
}

impl From<HttpResponse> for http::Response {
    fn from(response: HttpResponse) -> Self {
        let HttpResponse { status, headers, body, url } = response;
        Self { status, headers, body, details: vec![("url".into(), url)] }
    }
}
