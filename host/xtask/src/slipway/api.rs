//! The server's API, as a program uses it.

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::http::{Answer, Client};
use super::wire::{Entry, Logs, Problem, Ready, Run};

/// How many parts of a log are read at most.
const PARTS_MAX: usize = 1_000;

/// How many characters are shown of an answer that cannot be read.
const SHOWN_MAX: usize = 400;

/// The API of one server.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    address: String,
    authorization: String,
}

impl Api {
    /// Reads the token and is ready to ask.
    pub(crate) fn new(ready: &Ready) -> Result<Self> {
        let file = &ready.token_file;
        let token =
            std::fs::read_to_string(file).with_context(|| format!("cannot read the token in `{}`", file.display()))?;
        Ok(Self {
            client: Client::new(),
            address: ready.api.trim_end_matches('/').to_owned(),
            authorization: format!("Bearer {}", token.trim()),
        })
    }

    /// Adds a pipeline, whose definition is in a repository.
    pub(crate) fn add_pipeline(&self, name: &str, repository: &str) -> Result<()> {
        self.ask("PUT", &format!("/v1/pipelines/{name}"), &[], Some(json!({ "repository": repository })))?;
        Ok(())
    }

    /// Starts a run. Asking again with the same key starts no second one.
    pub(crate) fn start(&self, pipeline: &str, reference: &str, key: Option<&str>) -> Result<Run> {
        let path = format!("/v1/pipelines/{pipeline}/runs");
        let key: Vec<_> = key.map(|key| ("Idempotency-Key", key)).into_iter().collect();
        read(&self.ask("POST", &path, &key, Some(json!({ "reference": reference })))?)
    }

    /// Follows the events of a run until it ends: the name of each and what it says.
    pub(crate) fn events(&self, run: &str, mut each: impl FnMut(&str, &str)) -> Result<()> {
        let path = format!("/v1/runs/{run}/events");
        let headers = [("Authorization", self.authorization.as_str()), ("Accept", "text/event-stream")];
        let mut event = String::new();
        let answer = self.client.lines(&format!("{}{path}", self.address), &headers, |line| {
            if let Some(name) = line.strip_prefix("event:") {
                event = name.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data:") {
                each(&event, data.trim());
            }
        })?;
        check("GET", &path, &answer)
    }

    /// Whether the server can run something.
    pub(crate) fn is_ready(&self) -> Result<bool> {
        Ok(self.client.send("GET", &format!("{}/readyz", self.address), &[], None)?.status == 200)
    }

    /// Returns a run as it is now.
    pub(crate) fn run(&self, id: &str) -> Result<Run> {
        read(&self.ask("GET", &format!("/v1/runs/{id}"), &[], None)?)
    }

    /// Returns the log of one stage.
    pub(crate) fn log(&self, run: &str, stage: &str) -> Result<Vec<Entry>> {
        let (mut entries, mut after) = (Vec::new(), 0);
        for _ in 0..PARTS_MAX {
            let part: Logs = read(&self.ask("GET", &format!("/v1/runs/{run}/logs?after={after}"), &[], None)?)?;
            let is_last = part.entries.is_empty();
            entries.extend(part.entries.into_iter().filter(|entry| entry.stage.as_deref() == Some(stage)));
            match part.next.filter(|next| *next > after) {
                Some(next) if !is_last => after = next,
                _ => break,
            }
        }
        Ok(entries)
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<serde_json::Value>,
    ) -> Result<Answer> {
        let mut all = vec![("Authorization", self.authorization.as_str()), ("Accept", "application/json")];
        all.extend(headers);
        if body.is_some() {
            all.push(("Content-Type", "application/json"));
        }
        let body = body.map(|body| body.to_string());
        let answer = self.client.send(method, &format!("{}{path}", self.address), &all, body.as_deref())?;
        check(method, path, &answer)?;
        Ok(answer)
    }
}

fn check(method: &str, path: &str, answer: &Answer) -> Result<()> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    bail!("`{method} {path}` was answered with {}: {}", answer.status, reason(&answer.body))
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T> {
    serde_json::from_str(&answer.body).with_context(|| {
        let beginning: String = answer.body.chars().take(SHOWN_MAX).collect();
        format!("cannot read the answer `{beginning}`")
    })
}

/// What a refusal says, in words.
fn reason(body: &str) -> String {
    let Ok(problem) = serde_json::from_str::<Problem>(body) else { return body.trim().to_owned() };
    let told = if problem.detail.is_empty() { problem.title } else { problem.detail };
    match problem.hint {
        Some(hint) => format!("{told} ({hint})"),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::super::http::tests::serve;
    use super::*;

    const RUN: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 30\r\nconnection: close\r\n\r\n{\"id\":\"01J8\",\"state\":\"queued\"}";

    fn api(answers: Vec<&'static str>) -> (Api, std::sync::mpsc::Receiver<String>) {
        let (address, asked) = serve(answers);
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, "s3cret\n").unwrap();
        (Api::new(&Ready { api: address, apps: String::new(), token_file }).unwrap(), asked)
    }

    #[test]
    fn a_run_is_started_with_token_and_key() {
        let (api, asked) = api(vec![RUN]);
        let run = api.start("hello", "v1.0.0", Some("key-1")).unwrap();
        assert_eq!((run.id.as_str(), run.state.as_str()), ("01J8", "queued"));
        let request = asked.recv().unwrap();
        assert!(request.starts_with("post /v1/pipelines/hello/runs "), "{request}");
        assert!(request.contains("authorization: bearer s3cret\r\n"), "{request}");
        assert!(request.contains("idempotency-key: key-1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"reference\":\"v1.0.0\"}"), "{request}");
    }

    #[test]
    fn events_have_names() {
        let (api, asked) = api(vec![
            "HTTP/1.1 200 OK\r\ncontent-length: 58\r\nconnection: close\r\n\r\nid: 1\nevent: accepted\ndata: {\"a\":1}\n\nevent: end\ndata: {}\n\n",
        ]);
        let mut events = Vec::new();
        api.events("01J8", |name, data| events.push((name.to_owned(), data.to_owned()))).unwrap();
        assert_eq!(events, [("accepted".into(), r#"{"a":1}"#.into()), ("end".into(), "{}".into())]);
        assert!(asked.recv().unwrap().starts_with("get /v1/runs/01j8/events "));
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let (api, _asked) = api(vec![
            "HTTP/1.1 404 Not Found\r\ncontent-length: 57\r\nconnection: close\r\n\r\n{\"title\":\"not found\",\"detail\":\"no run `1`\",\"hint\":\"look\"}",
        ]);
        let message = api.run("1").unwrap_err().to_string();
        assert_eq!(message, "`GET /v1/runs/1` was answered with 404: no run `1` (look)");
    }

    #[test]
    fn a_refusal_need_not_be_a_problem() {
        assert_eq!(reason("down\n"), "down");
        assert_eq!(reason("{\"title\":\"gone\"}"), "gone");
    }
}
