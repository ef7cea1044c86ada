//! Which app a request is for: `<app>.localhost`.

use http::uri::Authority;
use http::{HeaderMap, Uri, header};
use slipway_domain::AppName;

/// Under which name apps are reached.
const SUFFIX: &str = ".localhost";

/// Why a request is for no app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotAnApp {
    /// It names no host, or more than one.
    Missing,
    /// It names a host that cannot be an app.
    Other(String),
}

/// Reads the app's name from the request's target, which goes first (RFC 9112, 3.2.2), or
/// from its `Host` header.
pub(crate) fn app(uri: &Uri, headers: &HeaderMap) -> Result<AppName, NotAnApp> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, further) = (hosts.next(), hosts.next());
    if further.is_some() {
        return Err(NotAnApp::Missing);
    }
    let authority = match (uri.authority(), host) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => Authority::try_from(host.as_bytes()).map_err(|_| NotAnApp::Missing)?,
        (None, None) => return Err(NotAnApp::Missing),
    };
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(NotAnApp::Missing);
    }
    let host = authority.host().to_ascii_lowercase();
    let absolute = host.strip_suffix('.').unwrap_or(&host);
    let app = absolute.strip_suffix(SUFFIX).and_then(|label| AppName::new(label).ok());
    app.ok_or_else(|| NotAnApp::Other(shown(&host)))
}

/// A hostile host name, cut for a message.
fn shown(host: &str) -> String {
    let mut shown: String = host.chars().take(64).flat_map(char::escape_debug).collect();
    if host.chars().count() > 64 {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn by_header(host: &str) -> Result<String, NotAnApp> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        app(&Uri::from_static("/"), &headers).map(|app| app.as_str().to_owned())
    }

    #[test]
    fn the_first_label_is_the_app() {
        for host in ["hello.localhost", "hello.localhost:8080", "HELLO.LocalHost:80", "hello.localhost."] {
            assert_eq!(by_header(host).as_deref(), Ok("hello"), "{host}");
        }
    }

    #[test]
    fn another_host_is_no_app() {
        for host in
            ["localhost", "127.0.0.1:80", "[::1]:80", "a.b.localhost", "hello.example", ".localhost", "-.localhost"]
        {
            assert!(matches!(by_header(host), Err(NotAnApp::Other(_))), "{host}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(app(&Uri::from_static("/"), &HeaderMap::new()), Err(NotAnApp::Missing));
        for host in ["", "me@hello.localhost", "hello.localhost/x", "a b"] {
            assert_eq!(by_header(host), Err(NotAnApp::Missing), "{host}");
        }
        let mut two = HeaderMap::new();
        two.append(header::HOST, HeaderValue::from_static("hello.localhost"));
        two.append(header::HOST, HeaderValue::from_static("other.localhost"));
        assert_eq!(app(&Uri::from_static("/"), &two), Err(NotAnApp::Missing));
    }

    #[test]
    fn the_target_goes_before_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("other.localhost"));
        let found = app(&Uri::from_static("http://hello.localhost:80/x"), &headers).unwrap();
        assert_eq!(found.as_str(), "hello");
    }
}
