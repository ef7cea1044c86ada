//! What a request may hold, checked against the document: what is told and what is taken
//! are the same.
//!
//! Runs once the caller is known and before a handler, which then finds every field of its
//! body and every key of its query there, known, of its type and in its range.

use super::extract::{BODY_BYTES_MAX, BODY_TIME_MAX};
use super::problem::Problem;
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;
use serde_json::Value;
use slipway_domain::check::{list, nearest};
use std::collections::BTreeSet;
use std::error::Error as _;
use std::sync::Arc;

/// The document, as JSON.
#[derive(Clone)]
pub(super) struct Contract(Arc<Value>);

impl Contract {
    pub(super) fn new(document: &utoipa::openapi::OpenApi) -> Self {
        Self(Arc::new(serde_json::to_value(document).unwrap_or_default()))
    }

    /// What the document tells of a request.
    fn operation(&self, path: &str, method: &Method) -> Option<&Value> {
        let method = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
        self.0.get("paths")?.get(path)?.get(method)
    }

    /// A schema itself, where it is told by its name.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        name.and_then(|path| self.0.pointer(path)).unwrap_or(schema)
    }

    fn check_query(&self, operation: &Value, query: &str) -> Result<(), Problem> {
        let parameters: Vec<&Value> = items(operation.get("parameters"))
            .filter(|parameter| parameter.get("in").and_then(Value::as_str) == Some("query"))
            .collect();
        let name = |parameter: &&Value| parameter.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let names: Vec<String> = parameters.iter().map(name).collect();
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut given = BTreeSet::new();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let Some(parameter) = parameters.iter().find(|parameter| name(parameter) == key) else {
                let message = format!("the query has no key `{}`", key.escape_debug());
                return Err(unknown("invalid-query", &key, message, &known));
            };
            if !given.insert(key.to_string()) {
                let message = format!("`{}` is given twice in the query", key.escape_debug());
                return Err(Problem::bad_request("invalid-query", message).field(&key));
            }
            let schema = parameter.get("schema").map(|schema| self.resolve(schema)).unwrap_or(&Value::Null);
            if is(schema, "integer") && !value.parse().is_ok_and(|number| in_range(schema, number)) {
                let message = format!("`{key}` has to be {}, and is `{}`", range(schema), value.escape_debug());
                return Err(Problem::bad_request("invalid-query", message).field(&key));
            }
        }
        let missing = parameters.iter().find(|parameter| {
            parameter.get("required") == Some(&Value::Bool(true)) && !given.contains(&name(parameter))
        });
        match missing.map(name) {
            Some(name) => {
                let problem = Problem::bad_request("invalid-query", format!("the query needs the key `{name}`"));
                Err(problem.field(&name).hint(format!("add `?{name}=…` to the address")))
            }
            None => Ok(()),
        }
    }

    fn check_body(&self, operation: &Value, bytes: &[u8]) -> Result<(), Problem> {
        let schema = operation.pointer("/requestBody/content/application~1json/schema");
        if schema.is_none() && bytes.is_empty() {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(bytes).map_err(|error| {
            let what = if error.is_eof() { "it breaks off" } else { "something is wrong" };
            let (line, column) = (error.line(), error.column());
            let message = format!("the body is not JSON: {what} at line {line}, column {column}");
            Problem::bad_request("invalid-body", message)
        })?;
        let Value::Object(fields) = &body else {
            let message = format!("the body has to be a JSON object, and is {}", kind(&body));
            return Err(Problem::bad_request("invalid-body", message));
        };
        match schema {
            Some(schema) => self.check_object(self.resolve(schema), fields, ""),
            None => self.check_object(&Value::Null, fields, ""),
        }
    }

    fn check_object(&self, schema: &Value, fields: &serde_json::Map<String, Value>, at: &str) -> Result<(), Problem> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let more = schema.get("additionalProperties").filter(|more| more.is_object());
        let known: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        for (name, value) in fields {
            let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            match properties.and_then(|properties| properties.get(name)).or(more) {
                Some(schema) => self.check_value(self.resolve(schema), value, &path)?,
                None => {
                    let message = format!("the body has no field `{}`", path.escape_debug());
                    return Err(unknown("invalid-body", &path, message, &known));
                }
            }
        }
        for name in items(schema.get("required")).filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                let problem = Problem::bad_request("invalid-body", format!("the body needs the field `{name}`"));
                return Err(problem.field(name).hint(format!("the fields of the body are {}", list(&known))));
            }
        }
        Ok(())
    }

    fn check_value(&self, schema: &Value, value: &Value, path: &str) -> Result<(), Problem> {
        let wrong = |wanted: String| {
            let message = format!("`{}` has to be {wanted}, and is {}", path.escape_debug(), kind(value));
            Err(Problem::bad_request("invalid-body", message).field(path))
        };
        match value {
            Value::Object(fields) if is(schema, "object") => return self.check_object(schema, fields, path),
            Value::String(text) if is(schema, "string") => {
                let words: Vec<&str> = items(schema.get("enum")).filter_map(Value::as_str).collect();
                if words.is_empty() || words.contains(&text.as_str()) {
                    return Ok(());
                }
                let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
                let message = format!("`{}` cannot be `{shown}`", path.escape_debug());
                return Err(unknown("invalid-body", path, message, &words));
            }
            Value::Bool(_) if is(schema, "boolean") => return Ok(()),
            Value::Number(number) if is(schema, "integer") && number.as_i64().is_some_and(|n| in_range(schema, n)) => {
                return Ok(());
            }
            Value::Null if is(schema, "null") => return Ok(()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            }
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => wrong("an object".into()),
            Some("string") => wrong("a string".into()),
            Some("boolean") => wrong("`true` or `false`".into()),
            Some("integer") => wrong(range(schema)),
            _ => wrong("something else".into()),
        }
    }
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// Whether a schema is of a type.
fn is(schema: &Value, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(word)) => word == wanted,
        Some(Value::Array(words)) => words.iter().any(|word| word == wanted),
        _ => false,
    }
}

fn bound(schema: &Value, key: &str) -> Option<i64> {
    let number = schema.get(key)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounds are small whole numbers")]
    number.as_i64().or_else(|| number.as_f64().map(|number| number as i64))
}

fn in_range(schema: &Value, number: i64) -> bool {
    number >= bound(schema, "minimum").unwrap_or(0) && bound(schema, "maximum").is_none_or(|maximum| number <= maximum)
}

fn range(schema: &Value) -> String {
    let from = bound(schema, "minimum").unwrap_or(0);
    match bound(schema, "maximum") {
        Some(to) => format!("a whole number from {from} to {to}"),
        None => format!("a whole number from {from}"),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "`null`",
        Value::Bool(_) => "`true` or `false`",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn unknown(code: &str, name: &str, message: String, known: &[&str]) -> Problem {
    let problem = Problem::bad_request(code, message).field(name);
    let known_ones = if known.is_empty() {
        "take it out: this request has none".to_owned()
    } else {
        format!("there is {}", list(known))
    };
    match nearest(name, known) {
        Some(near) => problem.hint(format!("did you mean `{near}`? {known_ones}")),
        None => problem.hint(known_ones),
    }
}

/// Refuses what the document does not tell of.
pub(super) async fn keep(
    State(contract): State<Contract>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let operation = path.and_then(|path| contract.operation(path.as_str(), request.method()));
    let Some(operation) = operation else { return next.run(request).await };
    if let Err(problem) = contract.check_query(operation, request.uri().query().unwrap_or_default()) {
        return problem.into_response();
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let Ok(read) = tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, BODY_BYTES_MAX)).await else {
        let detail = format!("the body did not arrive within {} s", BODY_TIME_MAX.as_secs());
        return Problem::new(StatusCode::REQUEST_TIMEOUT, "body-incomplete", detail).into_response();
    };
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) if error.source().is_some_and(|source| source.is::<LengthLimitError>()) => {
            return Problem::body_too_large().into_response();
        }
        Err(error) => {
            tracing::debug!(%error, "a body did not arrive");
            let detail = "the body did not arrive whole: it broke off, or nothing more of it came";
            return Problem::new(StatusCode::REQUEST_TIMEOUT, "body-incomplete", detail).into_response();
        }
    };
    let media = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if operation.get("requestBody").is_some() && !media.eq_ignore_ascii_case("application/json") {
        return Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "the body has to be JSON")
            .hint("send `Content-Type: application/json`")
            .into_response();
    }
    if let Err(problem) = contract.check_body(operation, &bytes) {
        return problem.into_response();
    }
    next.run(Request::from_parts(head, Body::from(bytes))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(result: Result<(), Problem>) -> (String, String) {
        let problem = serde_json::to_value(result.unwrap_err()).unwrap();
        let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        (text("detail"), text("hint"))
    }

    fn check(path: &str, method: &Method, query: &str, body: &str) -> Result<(), Problem> {
        let contract = Contract::new(&crate::api::openapi());
        let operation = contract.operation(path, method).unwrap();
        contract.check_query(operation, query)?;
        if *method == Method::GET { Ok(()) } else { contract.check_body(operation, body.as_bytes()) }
    }

    #[test]
    fn what_the_document_tells_is_taken() {
        let runs = "/v1/pipelines/{pipeline}/runs";
        check(runs, &Method::POST, "", r#"{"reference": "main"}"#).unwrap();
        check(runs, &Method::POST, "", r#"{"reference": "main", "parameters": {"a": "b"}}"#).unwrap();
        check(runs, &Method::GET, "limit=200&cursor=x", "").unwrap();
        for body in ["", "{}"] {
            check("/v1/runs/{run}/cancel", &Method::POST, "", body).unwrap();
        }
    }

    #[test]
    fn what_it_does_not_tell_is_refused_in_our_words() {
        let runs = "/v1/pipelines/{pipeline}/runs";
        let body = |body: &str| told(check(runs, &Method::POST, "", body));
        assert_eq!(body("[]").0, "the body has to be a JSON object, and is a list");
        assert_eq!(body("{").0, "the body is not JSON: it breaks off at line 1, column 1");
        assert_eq!(
            body("{}"),
            (
                "the body needs the field `reference`".into(),
                "the fields of the body are `parameters`, `reference`, `tier`".into()
            )
        );
        assert_eq!(
            body(r#"{"referense": "main"}"#),
            (
                "the body has no field `referense`".into(),
                "did you mean `reference`? there is `parameters`, `reference`, `tier`".into()
            )
        );
        assert_eq!(body(r#"{"reference": 3}"#).0, "`reference` has to be a string, and is a number");
        assert_eq!(
            body(r#"{"reference": "a", "parameters": {"x": 1}}"#).0,
            "`parameters.x` has to be a string, and is a number"
        );
        let query = |query: &str| told(check(runs, &Method::GET, query, "")).0;
        assert_eq!(query("limit=0"), "`limit` has to be a whole number from 1 to 200, and is `0`");
        assert_eq!(query("limit=many"), "`limit` has to be a whole number from 1 to 200, and is `many`");
        assert_eq!(query("limit=1&limit=2"), "`limit` is given twice in the query");
        assert_eq!(query("page=2"), "the query has no key `page`");
        let cancel = told(check("/v1/runs/{run}/cancel", &Method::POST, "", r#"{"force": true}"#));
        assert_eq!(cancel, ("the body has no field `force`".into(), "take it out: this request has none".into()));
    }
}
