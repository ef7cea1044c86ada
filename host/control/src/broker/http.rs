//! `http`: a request is checked with its arguments, gets its secrets, and is sent; so is each that a
//! redirect leads to.

use super::{Broker, Done, named, permit, within};
use crate::http::{self as client, Body, Client};
use crate::scheduler::CallContext;
use crate::secrets::Masker;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use slipway_domain::grant::Act;
use slipway_domain::grant::host::is_host;
use slipway_domain::grant::http::{HttpTarget, is_method};
use slipway_domain::text::cut;
use slipway_domain::{Digest, SecretName};
use slipway_protocol::Reply;
use slipway_protocol::http::{HttpBody, HttpHeader, HttpRequest, HttpResponse};
use slipway_protocol::outcome::Failure;
use slipway_protocol::secret::Confidential;
use std::collections::BTreeMap;
use tokio::time::{Instant, timeout_at};
use url::Url;
use zeroize::Zeroizing;

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 5;

/// The headers that belong to the connection, or tell how long the body is: the host's.
const HOSTS_OWN: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// What a request is for, read from what the guest has written.
pub(super) struct Wanted {
    url: Url,
    target: HttpTarget,
}

impl Wanted {
    /// Reads a method and a URL. Whatever is not in one canonical form afterwards is refused.
    pub(super) fn read(method: &str, url: &str) -> Result<Self, Failure> {
        let invalid = |why: &str| Failure::new("invalid-request", format!("`{}` {why}", cut(url, 200).escape_debug()));
        if !is_method(method) {
            let message = format!("`{}` is no method: it is in capitals", cut(method, 40).escape_debug());
            return Err(Failure::new("invalid-request", message));
        }
        if matches!(method, "CONNECT" | "TRACE") {
            return Err(Failure::new("invalid-request", format!("method `{method}` cannot be sent")));
        }
        let url = Url::parse(url).map_err(|error| invalid(&format!("is no URL: {error}")))?;
        Self::of(method, url).map_err(|why| invalid(&why))
    }

    fn of(method: &str, mut url: Url) -> Result<Self, String> {
        url.set_fragment(None);
        let is_secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err("is not of HTTP: begin with `https://`".to_owned()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("names a user: use `basic-auth`".to_owned());
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err("has no host".to_owned());
        };
        if !is_host(host) {
            return Err("has a host that is neither a plain name nor an address".to_owned());
        }
        let target = HttpTarget {
            method: method.to_owned(),
            is_secure,
            host: host.to_owned(),
            port,
            path: url.path().to_owned(),
        };
        Ok(Self { url, target })
    }

    fn origin(&self) -> (bool, &str, u16) {
        (self.target.is_secure, &self.target.host, self.target.port)
    }
}

/// Checks a request with its secrets, before anything is done for it.
pub(super) fn check(context: &CallContext, request: &HttpRequest) -> Result<(), Failure> {
    let wanted = Wanted::read(&request.method, &request.url)?;
    permit(context, &Act::Request(&wanted.target))?;
    for secret in request.headers.iter().filter_map(HttpHeader::secret) {
        permit(context, &Act::SecretInRequest(&named(SecretName::new(secret))?, &wanted.target))?;
    }
    if context.phase == "plan" && !matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS") {
        let message = format!("`{}` may change something, and `plan` only tells what would change", request.method);
        return Err(Failure::new("not-in-this-phase", message));
    }
    Ok(())
}

/// Whether sending a request twice does no more than sending it once (RFC 9110 §9.2.2).
fn is_idempotent(request: &HttpRequest) -> bool {
    matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
}

/// Sends a request that was checked. `again` when it may have been sent before.
pub(super) async fn send(broker: &Broker, context: &CallContext, request: &HttpRequest, again: bool) -> Done {
    if again && !is_idempotent(request) {
        return Done::refused(
            "in-doubt",
            "the host ended while this was under way: nobody knows whether it has arrived, and it is not sent twice",
        );
    }
    // The worker asks the same first: this is for one that no longer does.
    if let Err(failure) = check_body(&request.body, |digest| broker.scheduler.may_read(context.epoch, digest)) {
        return Done::reply(Reply::Refused(failure));
    }
    match try_send(broker, context, request).await {
        Ok(response) => Done::reply(Reply::Response(response)),
        Err(failure) => Done::reply(Reply::Refused(failure)),
    }
}

async fn try_send(broker: &Broker, context: &CallContext, request: &HttpRequest) -> Result<HttpResponse, Failure> {
    let mut secrets: BTreeMap<String, Confidential> = BTreeMap::new();
    for name in request.headers.iter().filter_map(HttpHeader::secret) {
        if !secrets.contains_key(name) {
            secrets.insert(name.to_owned(), broker.secret(context, &named(SecretName::new(name))?).await?);
        }
    }
    // What comes back is masked by what was sent, whatever the pipeline's logs are masked by.
    let masker = match secrets.is_empty() {
        true => Masker::default(),
        false => {
            let values: Vec<Confidential> = secrets.values().cloned().collect();
            let made = tokio::task::spawn_blocking(move || Masker::new(values.iter().map(Confidential::expose)));
            made.await.map_err(|error| Failure::new("host", format!("the answer could not be masked: {error}")))?
        }
    };
    let within = within(request.within_ms);
    let until = Instant::now() + within;
    let late = |_| Failure {
        retryable: true,
        ..Failure::new("timed-out", format!("there was no whole answer within {} ms", within.as_millis()))
    };
    let sent = follow(&broker.http, context, request, &secrets);
    let (url, response) = timeout_at(until, sent).await.map_err(late)??;
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = masker.bytes(value.as_bytes().to_vec());
        (name.as_str().to_owned(), String::from_utf8_lossy(&value).into_owned())
    };
    let mut shown_url = url.to_string();
    masker.text(&mut shown_url);
    Ok(HttpResponse {
        status: response.status,
        headers: response.headers.iter().map(header).collect(),
        body: masker.bytes(response.body),
        url: shown_url,
    })
}

/// Sends a request, and those that redirects lead to.
async fn follow(
    client: &Client,
    context: &CallContext,
    request: &HttpRequest,
    secrets: &BTreeMap<String, Confidential>,
) -> Result<(Url, client::Response), Failure> {
    let mut wanted = Wanted::read(&request.method, &request.url)?;
    let (is_secure, host, port) = wanted.origin();
    let first = (is_secure, host.to_owned(), port);
    let mut redirects = 0;
    loop {
        let is_away = wanted.origin() != (first.0, first.1.as_str(), first.2);
        let sent = client::Request {
            method: Method::from_bytes(request.method.as_bytes()).map_err(|error| invalid(&error))?,
            uri: wanted.url.as_str().parse::<Uri>().map_err(|error| invalid(&error))?,
            headers: headers(context, request, &wanted.target, secrets, is_away)?,
            body: body(&request.body)?,
        };
        let response = client.send(sent).await.map_err(failure)?;
        let next = (matches!(request.method.as_str(), "GET" | "HEAD") && redirects < REDIRECTS_MAX)
            .then(|| redirect(&wanted, &response))
            .flatten()
            .filter(|next| permit(context, &Act::Request(&next.target)).is_ok());
        match next {
            // One that the grant does not take in is the guest's to look at.
            None => return Ok((wanted.url, response)),
            Some(next) => (wanted, redirects) = (next, redirects + 1),
        }
    }
}

/// Where an answer leads to.
fn redirect(from: &Wanted, response: &client::Response) -> Option<Wanted> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers.get(LOCATION)?.to_str().ok()?;
    Wanted::of(&from.target.method, from.url.join(location).ok()?).ok()
}

/// The headers for one address. A secret goes where its grant says; what else may be one does not leave
/// the first host.
fn headers(
    context: &CallContext,
    request: &HttpRequest,
    target: &HttpTarget,
    secrets: &BTreeMap<String, Confidential>,
    is_away: bool,
) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static(concat!("slipway/", env!("CARGO_PKG_VERSION"))));
    let mut given = HeaderMap::new();
    for header in &request.headers {
        let (name, value) = match header {
            HttpHeader::Plain { name, value } => (name.as_str(), Zeroizing::new(value.clone().into_bytes())),
            HttpHeader::Secret { name, prefix, secret } => {
                let Some(value) = usable(context, target, secrets, secret)? else { continue };
                (name.as_str(), Zeroizing::new([prefix.as_bytes(), value.expose().trim_ascii_end()].concat()))
            }
            HttpHeader::Basic { user, secret } => {
                if user.contains(':') {
                    return Err(Failure::new("invalid-request", "a user of `basic-auth` has no `:`"));
                }
                let Some(value) = usable(context, target, secrets, secret)? else { continue };
                let pair = Zeroizing::new([user.as_bytes(), b":", value.expose().trim_ascii_end()].concat());
                ("authorization", Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)).into_bytes()))
            }
        };
        let shown = || cut(name, 100).escape_debug().to_string();
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Failure::new("invalid-request", format!("`{}` is no name of a header", shown())))?;
        if HOSTS_OWN.contains(&parsed.as_str()) {
            return Err(Failure::new("invalid-request", format!("header `{}` is set by the host", shown())));
        }
        if is_away && header.secret().is_none() && (parsed == AUTHORIZATION || parsed == COOKIE) {
            continue;
        }
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| {
            Failure::new("invalid-request", format!("the value of header `{}` cannot be sent", shown()))
        })?;
        value.set_sensitive(header.secret().is_some());
        given.append(parsed, value);
    }
    headers.extend(given);
    Ok(headers)
}

/// A secret's value, where it may go to this address.
fn usable<'a>(
    context: &CallContext,
    target: &HttpTarget,
    secrets: &'a BTreeMap<String, Confidential>,
    name: &str,
) -> Result<Option<&'a Confidential>, Failure> {
    let permitted = permit(context, &Act::SecretInRequest(&named(SecretName::new(name))?, target)).is_ok();
    Ok(secrets.get(name).filter(|_| permitted))
}

/// Refuses to send what is neither the stage's own nor of a stage that it needs.
fn check_body(body: &HttpBody, may_read: impl FnOnce(&str) -> bool) -> Result<(), Failure> {
    match body {
        HttpBody::Artifact(digest) if !may_read(digest) => {
            Err(Failure::new("unknown-artifact", "the stage has no such artifact, and none that it needs has"))
        }
        HttpBody::Artifact(_) | HttpBody::Bytes(_) => Ok(()),
    }
}

fn body(body: &HttpBody) -> Result<Body, Failure> {
    match body {
        HttpBody::Bytes(bytes) => Ok(Body::Bytes(bytes.clone().into())),
        HttpBody::Artifact(digest) => Digest::new(digest.clone())
            .map(Body::Blob)
            .map_err(|error| Failure::new("unknown-artifact", error.to_string())),
    }
}

fn invalid(error: &dyn std::fmt::Display) -> Failure {
    Failure::new("invalid-request", error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of `map_err`")]
fn failure(error: client::Error) -> Failure {
    let text = error.to_string();
    match error {
        client::Error::Address { .. } => Failure::new(
            "address-refused",
            format!("{text}: its operator adds the network to `reach` in the policy file, if stages may reach it"),
        ),
        client::Error::Unreachable { .. } => Failure { retryable: true, ..Failure::new("unreachable", text) },
        client::Error::TooLarge { .. } => Failure::new("too-large", text),
        client::Error::Artifact(_) => Failure::new("unknown-artifact", text),
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
