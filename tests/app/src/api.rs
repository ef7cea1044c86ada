//! Which request gets which answer.

use crate::catalog::{self, Item};
use crate::json::{self, Object};
use crate::price::{self, Line};
use crate::{VERSION, health};

/// An answer; the body is JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Answers a request. `method` is in capitals, `target` is the path with its query.
pub fn answer(method: &str, target: &str, body: &str) -> Response {
    let path = target.split('?').next().unwrap_or(target);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match (method, parts.as_slice()) {
        ("GET", []) => ok(Object::new().text("app", "hello").text("version", VERSION)),
        ("GET", ["health"]) => match health::check() {
            Ok(()) => ok(Object::new().text("status", "ok")),
            Err(reason) => respond(503, Object::new().text("status", "unhealthy").text("reason", &reason)),
        },
        ("GET", ["version"]) => ok(Object::new().text("version", VERSION)),
        ("GET", ["items"]) => ok(Object::new().raw("items", &json::array(catalog::ITEMS.iter().map(item)))),
        ("GET", ["items", id]) => match catalog::find(id) {
            Some(found) => Response { status: 200, body: item(found) },
            None => error(404, &format!("there is no item `{id}`")),
        },
        ("POST", ["quote"]) => quote(body),
        (_, [] | ["health" | "version" | "items"] | ["items", _] | ["quote"]) => {
            error(405, &format!("`{path}` does not answer to {method}"))
        }
        _ => error(404, &format!("there is nothing at `{path}`")),
    }
}

/// Says what an order costs.
fn quote(body: &str) -> Response {
    match order(body) {
        Err(reason) => error(400, &reason),
        Ok(lines) => {
            let shown = lines.iter().map(|line| {
                Object::new().text("item", line.item.id).number("count", line.count).number("cents", line.cents()).end()
            });
            ok(Object::new().raw("lines", &json::array(shown)).number("cents", price::total(&lines)))
        }
    }
}

/// Reads `green-tea=2&mug=1`.
fn order(body: &str) -> Result<Vec<Line>, String> {
    let lines: Vec<Line> = body
        .trim()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (id, count) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not `item=count`"))?;
            let item = catalog::find(id).ok_or_else(|| format!("there is no item `{id}`"))?;
            match count.parse() {
                Ok(count @ 1..=price::COUNT_MAX) => Ok(Line { item, count }),
                _ => Err(format!("`{count}` is no count from 1 to {}", price::COUNT_MAX)),
            }
        })
        .collect::<Result<_, String>>()?;
    if lines.is_empty() { Err("the order is empty".into()) } else { Ok(lines) }
}

fn item(item: &Item) -> String {
    Object::new().text("id", item.id).text("name", item.name).number("cents", item.cents).end()
}

fn ok(body: Object) -> Response {
    respond(200, body)
}

fn error(status: u16, message: &str) -> Response {
    respond(status, Object::new().text("error", message))
}

fn respond(status: u16, body: Object) -> Response {
    Response { status, body: body.end() }
}
