//! HTTP requests, to this machine only.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use anyhow::{Context as _, Result};
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

/// Longer than the server holds a request back.
const LIMIT: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// A client that keeps its connections.
#[derive(Debug, Clone)]
pub(crate) struct Client(Agent);

impl Client {
    /// Makes a client.
    pub(crate) fn new() -> Self {
        // A proxy that the environment names is for the world outside.
        let config = Agent::config_builder().proxy(None).http_status_as_error(false).timeout_global(Some(LIMIT));
        // A request is one small message, and its sender waits for the answer.
        let config = config.no_delay(true);
        Self(config.build().new_agent())
    }

    /// Sends a request. Any status is an answer.
    pub(crate) fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&str>) -> Result<Answer> {
        let mut answer = self.begin(method, url, headers, body)?;
        let body = answer.body_mut().read_to_string().with_context(|| unanswered(method, url))?;
        Ok(Answer { status: answer.status().as_u16(), body })
    }

    /// Asks for a stream and hands over each line of it as it comes, to the end. An answer
    /// that is no success is returned as it is.
    pub(crate) fn lines(&self, url: &str, headers: &[(&str, &str)], mut each: impl FnMut(&str)) -> Result<Answer> {
        let mut answer = self.begin("GET", url, headers, None)?;
        let context = || format!("the stream of `{url}` broke off");
        let (status, mut body) = (answer.status(), String::new());
        if !status.is_success() {
            body = answer.body_mut().read_to_string().with_context(context)?;
            return Ok(Answer { status: status.as_u16(), body });
        }
        let mut reader = BufReader::new(answer.body_mut().as_reader());
        while reader.read_line(&mut body).with_context(context)? > 0 {
            each(body.trim_end());
            body.clear();
        }
        Ok(Answer { status: status.as_u16(), body })
    }

    fn begin(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&str>) -> Result<Response<Body>> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match body {
            Some(body) => self.0.run(request.body(body)?),
            None => self.0.run(request.body(())?),
        };
        answer.with_context(|| unanswered(method, url))
    }
}

fn unanswered(method: &str, url: &str) -> String {
    format!("`{method} {url}` was not answered")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::*;

    /// Answers each request on a connection of its own, and returns the address and what was asked.
    pub(crate) fn serve(answers: Vec<&'static str>) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                let (mut request, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let lower = line.to_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    request.push_str(&lower);
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                request.push_str(&String::from_utf8(body).unwrap());
                sender.send(request).unwrap();
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        (address, asked)
    }

    #[test]
    fn the_host_is_the_one_that_is_told() {
        let (address, asked) =
            serve(vec!["HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"]);
        let answer = Client::new().send("GET", &format!("{address}/a?b=c"), &[("Host", "hello.localhost:1")], None);
        assert_eq!(answer.unwrap(), Answer { status: 503, body: "no".into() });
        let request = asked.recv().unwrap();
        assert!(request.starts_with("get /a?b=c http/1.1\r\n"), "{request}");
        assert_eq!(request.matches("host: ").count(), 1, "{request}");
        assert!(request.contains("host: hello.localhost:1\r\n"), "{request}");
    }

    #[test]
    fn a_stream_is_read_line_by_line() {
        let (address, _asked) = serve(vec![
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\na\nb\n\r\n2\r\nc\n\r\n0\r\n\r\n",
            "HTTP/1.1 404 No\r\ncontent-length: 4\r\nconnection: close\r\n\r\ngone",
        ]);
        let (client, mut lines) = (Client::new(), Vec::new());
        let answer = client.lines(&address, &[], |line| lines.push(line.to_owned())).unwrap();
        assert_eq!((answer.status, lines), (200, vec!["a".into(), "b".into(), "c".into()]));
        let answer = Client::new().lines(&address, &[], |_| panic!("this is no stream")).unwrap();
        assert_eq!(answer, Answer { status: 404, body: "gone".into() });
    }

    #[test]
    fn a_server_that_is_gone_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = Client::new().send("GET", &address, &[], None).unwrap_err();
        assert_eq!(error.to_string(), format!("`GET {address}` was not answered"));
    }
}
