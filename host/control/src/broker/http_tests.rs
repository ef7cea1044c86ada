use super::super::tests::context;
use super::*;
use crate::http::tests::{Server, client, loopback, ok};
use slipway_domain::grant::{Capability, Interface};

fn grants(port: u16, all: &[(Interface, &str)]) -> Vec<Capability> {
    all.iter()
        .map(|(interface, text)| Capability::parse(*interface, &text.replace("PORT", &port.to_string())).unwrap())
        .collect()
}

fn request(method: &str, url: &str, headers: Vec<HttpHeader>) -> HttpRequest {
    HttpRequest { method: method.into(), url: url.into(), headers, body: HttpBody::Bytes(Vec::new()), within_ms: 1_000 }
}

fn token() -> HttpHeader {
    HttpHeader::Secret { name: "authorization".into(), prefix: "Bearer ".into(), secret: "token".into() }
}

fn plain(name: &str, value: &str) -> HttpHeader {
    HttpHeader::Plain { name: name.into(), value: value.into() }
}

fn secrets() -> BTreeMap<String, Confidential> {
    [("token".to_owned(), Confidential::new(b"correct horse\n".to_vec()))].into()
}

fn code<T>(result: Result<T, Failure>) -> String {
    result.map_or_else(|failure| failure.code, |_| "granted".into())
}

#[test]
fn a_request_is_sent_only_with_its_grant() {
    let granted = context("build", &grants(0, &[(Interface::Http, "GET,POST https://a.test/v1/")]));
    for (method, url, expected) in [
        ("GET", "https://a.test/v1/x?q=1#part", "granted"),
        ("POST", "https://A.TEST:443/v1/", "granted"),
        ("PUT", "https://a.test/v1/x", "not-granted"),
        ("GET", "http://a.test/v1/x", "not-granted"),
        ("GET", "https://b.test/v1/x", "not-granted"),
        ("GET", "https://a.test/v1/../admin", "not-granted"),
        ("GET", "https://a.test/v1/%2e%2e/admin", "not-granted"),
        ("GET", "https://a.test/v1/%2E%2e%2Fadmin", "not-granted"),
        ("GET", "https:\\\\a.test\\v1\\..\\admin", "not-granted"),
        ("GET", "https://a.test@b.test/v1/x", "invalid-request"),
        ("GET", "https://user:word@a.test/v1/x", "invalid-request"),
        ("GET", "https://a_b.test/v1/x", "invalid-request"),
        ("GET", "https://a.test./v1/x", "invalid-request"),
        ("GET", "file:///etc/passwd", "invalid-request"),
        ("GET", "//a.test/v1/", "invalid-request"),
        ("GET", "https://", "invalid-request"),
        ("get", "https://a.test/v1/x", "invalid-request"),
        ("CONNECT", "https://a.test/v1/x", "invalid-request"),
        ("GET", "https://2130706433/v1/", "not-granted"),
        ("GET", "https://0x7f.1/v1/", "not-granted"),
        ("GET", "https://017700000001/v1/", "not-granted"),
    ] {
        assert_eq!(code(check(&granted, &request(method, url, vec![]))), expected, "{method} {url}");
        assert_ne!(code(check(&context("build", &[]), &request(method, url, vec![]))), "granted", "{method} {url}");
    }
}

#[test]
fn a_secret_stands_in_a_header_only_where_it_was_granted() {
    let both = [(Interface::Http, "GET https://a.test/"), (Interface::Secrets, "token in https://a.test/v1/")];
    let granted = context("build", &grants(0, &both));
    let with = |url: &str| request("GET", url, vec![token()]);
    assert_eq!(code(check(&granted, &with("https://a.test/v1/x"))), "granted");
    assert_eq!(code(check(&granted, &with("https://a.test/v2/x"))), "not-granted");
    assert_eq!(code(check(&context("build", &grants(0, &both[..1])), &with("https://a.test/v1/x"))), "not-granted");
    let basic = HttpHeader::Basic { user: "ann".into(), secret: "other".into() };
    assert_eq!(code(check(&granted, &request("GET", "https://a.test/v1/x", vec![basic]))), "not-granted");
}

#[test]
fn only_artifacts_of_the_stage_and_of_those_it_needs_are_sent() {
    let artifact = HttpBody::Artifact("sha256:a".into());
    assert_eq!(code(check_body(&artifact, |digest| digest == "sha256:a")), "granted");
    assert_eq!(code(check_body(&artifact, |_| false)), "unknown-artifact");
    assert_eq!(code(check_body(&HttpBody::Bytes(vec![1]), |_| false)), "granted");
}

#[test]
fn a_plan_only_looks() {
    let all = grants(0, &[(Interface::Http, "* https://a.test/")]);
    for (method, expected) in
        [("GET", "granted"), ("HEAD", "granted"), ("POST", "not-in-this-phase"), ("DELETE", "not-in-this-phase")]
    {
        assert_eq!(code(check(&context("plan", &all), &request(method, "https://a.test/", vec![]))), expected);
        assert_eq!(code(check(&context("apply", &all), &request(method, "https://a.test/", vec![]))), "granted");
    }
}

#[test]
fn what_belongs_to_the_connection_is_the_hosts() {
    let granted = context("build", &grants(0, &[(Interface::Http, "GET https://a.test/")]));
    let target = Wanted::read("GET", "https://a.test/").unwrap().target;
    let made = |header| headers(&granted, &request("GET", "https://a.test/", vec![header]), &target, &secrets(), false);
    assert_eq!(made(plain("X-One", "1")).unwrap()["x-one"], "1");
    for (name, value) in [
        ("Host", "b.test"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("a b", "1"),
        ("x", "1\r\nhost: b.test"),
    ] {
        assert_eq!(made(plain(name, value)).unwrap_err().code, "invalid-request", "{name}");
    }
    let user = HttpHeader::Basic { user: "a:b".into(), secret: "token".into() };
    assert_eq!(made(user).unwrap_err().code, "invalid-request");
}

/// Threats T13 and T14: each redirect is asked about anew, and nothing that is secret goes along that was
/// not meant for where it leads.
#[tokio::test]
async fn a_redirect_is_followed_where_the_grant_leads_and_secrets_stay_at_home() {
    let folder = tempfile::tempdir().unwrap();
    let away = Server::answering(|_| ok("away")).await;
    let port = away.address.port();
    let home = Server::answering(move |request| {
        let to = match request.split(' ').nth(1).unwrap() {
            "/away" => format!("http://away.test:{port}/"),
            "/forbidden" => format!("http://forbidden.test:{port}/"),
            "/scheme" => "file:///etc/passwd".into(),
            "/circle" => "/circle".into(),
            "/here" => "/end".into(),
            _ => return ok("end"),
        };
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    let client = client(loopback(), folder.path(), |_| vec!["127.0.0.1".parse().unwrap()]);
    let at = format!("http://home.test:{}", home.address.port());
    let mut granted = grants(
        home.address.port(),
        &[
            (Interface::Http, "GET,POST http://home.test:PORT/"),
            (Interface::Secrets, "token in http://home.test:PORT/"),
        ],
    );
    granted.extend(grants(port, &[(Interface::Http, "GET http://away.test:PORT/")]));
    let context = context("build", &granted);
    let sent = async |method: &str, path: &str| {
        let headers = vec![token(), plain("cookie", "a=b"), plain("x-kept", "1")];
        let request = request(method, &format!("{at}{path}"), headers);
        follow(&client, &context, &request, &secrets())
            .await
            .map(|(url, response)| (url.path().to_owned(), response.status))
    };
    assert_eq!(sent("GET", "/here").await.unwrap(), ("/end".into(), 200));
    let heard = home.heard().pop().unwrap();
    assert!(heard.contains("authorization: Bearer correct horse\r\n") && heard.contains("cookie: a=b"), "{heard}");
    assert_eq!(sent("GET", "/away").await.unwrap(), ("/".into(), 200));
    let heard = away.heard().pop().unwrap();
    assert!(heard.contains("x-kept: 1") && !heard.contains("authorization") && !heard.contains("cookie"), "{heard}");
    for path in ["/forbidden", "/scheme", "/circle"] {
        assert_eq!(sent("GET", path).await.unwrap(), (path.into(), 302));
    }
    assert_eq!(sent("POST", "/here").await.unwrap(), ("/here".into(), 302), "what may change something is not sent on");
    assert_eq!(away.connections(), 1);
}
