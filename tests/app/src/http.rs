//! Joins the app to `wasi:http`.

use crate::api;
use crate::bindings;
use crate::bindings::exports::wasi::http::incoming_handler::Guest;
use crate::bindings::wasi::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

/// The most of a request's body that is read.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// The most that one write may carry, by the contract of `wasi:io`.
const WRITE_BYTES_MAX: usize = 4096;

struct App;

impl Guest for App {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let method = match request.method() {
            Method::Get => "GET".to_owned(),
            Method::Head => "HEAD".to_owned(),
            Method::Post => "POST".to_owned(),
            Method::Put => "PUT".to_owned(),
            Method::Delete => "DELETE".to_owned(),
            Method::Connect => "CONNECT".to_owned(),
            Method::Options => "OPTIONS".to_owned(),
            Method::Trace => "TRACE".to_owned(),
            Method::Patch => "PATCH".to_owned(),
            Method::Other(name) => name,
        };
        let target = request.path_with_query().unwrap_or_else(|| "/".into());
        let response = match read(&request) {
            Some(body) => api::answer(&method, &target, &String::from_utf8_lossy(&body)),
            None => api::Response { status: 413, body: r#"{"error":"the body is too large"}"#.into() },
        };
        send(out, &response);
    }
}

bindings::export!(App with_types_in bindings);

/// Reads the body, or returns `None` when it is too large.
fn read(request: &IncomingRequest) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // A request without a body, or one that breaks off, is one with what has come.
    let Ok(body) = request.consume() else { return Some(bytes) };
    let Ok(stream) = body.stream() else { return Some(bytes) };
    while let Ok(piece) = stream.blocking_read(BODY_BYTES_MAX as u64) {
        bytes.extend(piece);
        if bytes.len() > BODY_BYTES_MAX {
            return None;
        }
    }
    Some(bytes)
}

/// Sends the answer. A client that has gone away is nobody's fault, so what cannot be
/// written is left.
fn send(out: ResponseOutparam, response: &api::Response) {
    let headers = [
        ("content-type".to_owned(), b"application/json".to_vec()),
        ("content-length".to_owned(), response.body.len().to_string().into_bytes()),
    ];
    let headers = Fields::from_list(&headers).expect("these headers are well formed");
    let outgoing = OutgoingResponse::new(headers);
    outgoing.set_status_code(response.status).expect("these statuses are well formed");
    let body = outgoing.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(outgoing));

    if let Ok(stream) = body.write() {
        for piece in response.body.as_bytes().chunks(WRITE_BYTES_MAX) {
            if stream.blocking_write_and_flush(piece).is_err() {
                return;
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
}
