//! The example of docs/apps.md, as it stands there: an app, not a stage.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Greeter;

impl Guest for Greeter {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let (status, text) = match request.path_with_query().as_deref() {
            Some("/health") => (200, "ok"),
            Some("/") => (200, "hello"),
            _ => (404, "there is nothing here"),
        };
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(status).expect("a status");
        let body = response.body().expect("taken once");
        ResponseOutparam::set(out, Ok(response));
        // A client that has gone away is nobody's fault.
        if let Ok(stream) = body.write() {
            let _ = stream.blocking_write_and_flush(text.as_bytes());
        }
        let _ = OutgoingBody::finish(body, None);
    }
}

wasip2::http::proxy::export!(Greeter);
