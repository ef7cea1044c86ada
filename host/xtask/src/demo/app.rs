//! The app that was deployed, as its users reach it.

use anyhow::{Context as _, Result};

use crate::slipway::http::{Answer, Client};
use crate::slipway::wire::Ready;

/// A deployed app.
#[derive(Debug, Clone)]
pub(super) struct App {
    client: Client,
    /// Its address for people.
    pub(super) address: String,
    /// The name that tells the app host which app is meant.
    pub(super) host: String,
    port: String,
}

impl App {
    /// The app of this name.
    pub(super) fn new(name: &str, ready: &Ready) -> Result<Self> {
        let address = ready.apps.replace("{app}", name).trim_end_matches('/').to_owned();
        let host = address.split_once("://").map(|(_, host)| host.to_owned());
        let host = host.with_context(|| format!("`{}` is no address of apps", ready.apps))?;
        let port = host.rsplit_once(':').map_or("80", |(_, port)| port).to_owned();
        Ok(Self { client: Client::new(), address, host, port })
    }

    /// Where the app host listens. Not every system knows the names below `localhost`.
    pub(super) fn loopback(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks the app.
    pub(super) fn get(&self, path: &str) -> Result<Answer> {
        self.client.send("GET", &format!("{}{path}", self.loopback()), &[("Host", &self.host)], None)
    }

    /// Sends the app something.
    pub(super) fn post(&self, path: &str, body: &str) -> Result<Answer> {
        let headers = [("Host", self.host.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
        self.client.send("POST", &format!("{}{path}", self.loopback()), &headers, Some(body))
    }

    /// The version that says it answers.
    pub(super) fn version(&self) -> Result<String> {
        let answer = self.get("/version")?;
        version(&answer).with_context(|| format!("the app answered {}: {}", answer.status, answer.body))
    }

    /// The same app over connections of its own.
    pub(super) fn anew(&self) -> Self {
        Self { client: Client::new(), ..self.clone() }
    }
}

/// Reads the version out of an answer that is one.
pub(super) fn version(answer: &Answer) -> Option<String> {
    if answer.status != 200 {
        return None;
    }
    let body: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
    body.get("version")?.as_str().map(str::to_owned)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn app(apps: &str) -> App {
        App::new("hello", &Ready { api: String::new(), apps: apps.into(), token_file: "".into() }).unwrap()
    }

    #[test]
    fn an_app_is_reached_without_its_name_being_looked_up() {
        let app = app("http://{app}.localhost:7080/");
        assert_eq!(app.address, "http://hello.localhost:7080");
        assert_eq!(app.host, "hello.localhost:7080");
        assert_eq!(app.loopback(), "http://127.0.0.1:7080");
    }

    #[test]
    fn only_a_good_answer_has_a_version() {
        let answer = |status, body: &str| version(&Answer { status, body: body.into() });
        assert_eq!(answer(200, r#"{"version":"1.0.0"}"#).as_deref(), Some("1.0.0"));
        assert_eq!(answer(503, r#"{"version":"1.0.0"}"#), None);
        assert_eq!(answer(200, "hello"), None);
    }
}
