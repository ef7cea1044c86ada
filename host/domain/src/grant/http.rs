//! HTTP requests by method, host, port and path: what one is, and which a rule takes in.

use super::host::{HostPattern, InvalidHost, parse_port, shown, split_port};
use std::collections::BTreeSet;
use std::fmt;

/// The longest path of a rule, in bytes.
const PATH_BYTES_MAX: usize = 1_024;

/// Why a text is no rule for HTTP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// It has not the form.
    #[error("`{}` is no rule: write `GET https://example.com/path/`, several methods as `GET,POST`, all as `*`", shown(.0))]
    Form(String),
    /// A method.
    #[error("`{}` is no method: write `GET`, `POST` or another in capitals, or `*`", shown(.0))]
    Method(String),
    /// The host.
    #[error(transparent)]
    Host(#[from] InvalidHost),
    /// The port.
    #[error("`{}` is no port: it is a number from 1 to 65535, or `*`", shown(.0))]
    Port(String),
    /// The path.
    #[error("`{}` is no path of a rule: it begins with `/` and has no `%`, `?`, `#`, `\\`, `//` and no part `.` or `..`", shown(.0))]
    Path(String),
}

/// What a request asks for, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTarget {
    /// In capitals.
    pub method: String,
    /// Whether by HTTPS.
    pub is_secure: bool,
    /// The host: see [`super::host::is_host`].
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, still with its escapes.
    pub path: String,
}

/// Requests that may be made: `GET,POST https://*.example.com:8443/v1/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpRule {
    /// The methods, or all when it is empty.
    pub methods: BTreeSet<String>,
    /// What of an address it takes in.
    pub origin: Origin,
}

/// Addresses: scheme, host, port, and the beginning of the path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Whether by HTTPS. A rule for one scheme is none for the other.
    pub is_secure: bool,
    /// The hosts.
    pub host: HostPattern,
    /// The port, or all.
    pub port: Option<u16>,
    /// The path that it begins with, by whole parts: `/v1` takes in `/v1` and `/v1/x`, and not `/v10`.
    pub path: String,
}

impl Origin {
    /// Reads `https://HOST[:PORT][/PATH]`. Without a port it is the scheme's.
    pub fn parse(text: &str) -> Result<Self, InvalidRule> {
        let (is_secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(InvalidRule::Form(text.to_owned())),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_port(authority);
        let port = match port {
            None => Some(default_port(is_secure)),
            Some("*") => None,
            Some(port) => Some(parse_port(port).ok_or_else(|| InvalidRule::Port(port.to_owned()))?),
        };
        let path = if path.is_empty() { "/" } else { path };
        let is_plain = |part: &str| part != "." && part != "..";
        let is_path = path.len() <= PATH_BYTES_MAX
            && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"%?#\\".contains(&byte))
            && !path.contains("//")
            && path.split('/').all(is_plain);
        if !is_path {
            return Err(InvalidRule::Path(path.to_owned()));
        }
        Ok(Self { is_secure, host: HostPattern::parse(host)?, port, path: path.to_owned() })
    }

    /// Whether it takes in a target, whatever the method. A path with escaped slashes, backslashes
    /// or dots is taken in by no rule but for `/`, since servers read it in different ways.
    pub fn takes(&self, target: &HttpTarget) -> bool {
        self.is_secure == target.is_secure
            && self.port.is_none_or(|only| only == target.port)
            && self.host.takes(&target.host)
            && (self.path == "/" || (begins(&target.path, &self.path) && !is_ambiguous(&target.path)))
    }

    /// Whether it takes in all that another does.
    pub fn includes(&self, other: &Self) -> bool {
        self.is_secure == other.is_secure
            && (self.port.is_none() || self.port == other.port)
            && self.host.includes(&other.host)
            && begins(&other.path, &self.path)
    }

    /// Whether it names one host at one port.
    pub const fn is_exact(&self) -> bool {
        matches!(self.host, HostPattern::Exact(_)) && self.port.is_some()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_secure { "https" } else { "http" }, self.host)?;
        match self.port {
            Some(port) if port == default_port(self.is_secure) => {}
            Some(port) => write!(f, ":{port}")?,
            None => f.write_str(":*")?,
        }
        f.write_str(&self.path)
    }
}

/// Whether a word is a method: in capitals, as every one in use is.
pub fn is_method(word: &str) -> bool {
    (1..=20).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The port of a scheme (RFC 9110 §4.2).
const fn default_port(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}

/// Whether a path begins with another, by whole parts.
fn begins(path: &str, with: &str) -> bool {
    path.strip_prefix(with).is_some_and(|rest| with.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
        || with.strip_suffix('/').is_some_and(|with| path == with)
}

fn is_ambiguous(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.contains("//")
        || ["%2f", "%5c", "%2e", "%25", "\\", ";"].iter().any(|escape| path.contains(escape))
        || path.split('/').any(|part| part == "." || part == "..")
}

impl HttpRule {
    /// Reads `METHODS ORIGIN`, where methods are `*` or such as `GET,POST`.
    pub fn parse(text: &str) -> Result<Self, InvalidRule> {
        let (methods, origin) = text.split_once(' ').ok_or_else(|| InvalidRule::Form(text.to_owned()))?;
        let methods = match methods {
            "*" => BTreeSet::new(),
            words => match words.split(',').find(|word| !is_method(word)) {
                Some(wrong) => return Err(InvalidRule::Method(wrong.to_owned())),
                None => words.split(',').map(str::to_owned).collect(),
            },
        };
        Ok(Self { methods, origin: Origin::parse(origin)? })
    }

    /// A rule for one request and what lies below it.
    pub fn of(target: &HttpTarget) -> Self {
        let origin = Origin {
            is_secure: target.is_secure,
            host: HostPattern::Exact(target.host.clone()),
            port: Some(target.port),
            path: if is_ambiguous(&target.path) { "/".into() } else { target.path.clone() },
        };
        Self { methods: [target.method.clone()].into(), origin }
    }

    /// Whether it takes in a request.
    pub fn takes(&self, target: &HttpTarget) -> bool {
        (self.methods.is_empty() || self.methods.contains(&target.method)) && self.origin.takes(target)
    }

    /// Whether it takes in all that another does.
    pub fn includes(&self, other: &Self) -> bool {
        (self.methods.is_empty() || (!other.methods.is_empty() && other.methods.is_subset(&self.methods)))
            && self.origin.includes(&other.origin)
    }
}

impl fmt::Display for HttpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.methods.is_empty() {
            return write!(f, "* {}", self.origin);
        }
        let methods: Vec<&str> = self.methods.iter().map(String::as_str).collect();
        write!(f, "{} {}", methods.join(","), self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(method: &str, url: &str) -> HttpTarget {
        let (is_secure, rest) = url
            .strip_prefix("https://")
            .map_or_else(|| (false, url.strip_prefix("http://").unwrap()), |rest| (true, rest));
        let (authority, path) = rest.split_at(rest.find('/').unwrap());
        let (host, port) = split_port(authority);
        let port = port.map_or(default_port(is_secure), |port| port.parse().unwrap());
        HttpTarget { method: method.into(), is_secure, host: host.into(), port, path: path.into() }
    }

    fn takes(rule: &str, method: &str, url: &str) -> bool {
        HttpRule::parse(rule).unwrap().takes(&target(method, url))
    }

    #[test]
    fn a_rule_takes_in_its_requests_and_no_others() {
        let rule = "GET,PUT https://api.example.com/v1/";
        for (method, url) in [
            ("GET", "https://api.example.com/v1/"),
            ("PUT", "https://api.example.com/v1/apps/7"),
            ("GET", "https://api.example.com/v1"),
            ("GET", "https://api.example.com:443/v1/x%20y"),
        ] {
            assert!(takes(rule, method, url), "{method} {url}");
        }
        for (method, url) in [
            ("POST", "https://api.example.com/v1/"),
            ("GET", "http://api.example.com/v1/"),
            ("GET", "http://api.example.com:443/v1/"),
            ("GET", "https://api.example.com:8443/v1/"),
            ("GET", "https://example.com/v1/"),
            ("GET", "https://api.example.com.evil.test/v1/"),
            ("GET", "https://api.example.com/v10/"),
            ("GET", "https://api.example.com/"),
            ("GET", "https://api.example.com/v1/../admin"),
            ("GET", "https://api.example.com/v1/%2e%2e/admin"),
            ("GET", "https://api.example.com/v1/..%2Fadmin"),
            ("GET", "https://api.example.com/v1/%252e%252e/admin"),
            ("GET", "https://api.example.com/v1/..;/admin"),
            ("GET", "https://api.example.com//v1/"),
        ] {
            assert!(!takes(rule, method, url), "{method} {url}");
        }
        assert!(takes("* http://*:*/", "PURGE", "http://x.test:99/%2e%2e/"), "all that begins with `/` is everything");
    }

    #[test]
    fn a_path_without_a_slash_at_its_end_takes_in_whole_parts() {
        assert!(takes("GET https://a.test/v1", "GET", "https://a.test/v1/x"));
        assert!(takes("GET https://a.test/v1", "GET", "https://a.test/v1"));
        assert!(!takes("GET https://a.test/v1", "GET", "https://a.test/v1x"));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "GET",
            "https://a.test/",
            "get https://a.test/",
            "GET, https://a.test/",
            "GET ftp://a.test/",
            "GET https://a.test/..",
            "GET https://a.test/%2e",
            "GET https://a.test/?q",
            "GET https://a.test:0/",
            "GET https://user@a.test/",
            "GET https://A.test/",
            "GET https://a.test//x",
            "GET  https://a.test/",
            "GET https:///x",
            "GET https://a.test/\u{e4}",
        ] {
            assert!(HttpRule::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        for text in ["GET https://a.test/", "* http://*.a.test:8080/x", "GET,POST https://[::1]:*/"] {
            assert_eq!(HttpRule::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(HttpRule::parse("GET https://a.test:443").unwrap().to_string(), "GET https://a.test/");
    }

    fn rule() -> impl Strategy<Value = HttpRule> {
        let methods = prop_oneof![Just("*"), Just("GET"), Just("GET,PUT"), Just("PUT")];
        let host = prop_oneof![Just("*"), Just("*.a"), Just("b.a"), Just("a")];
        let port = prop_oneof![Just(""), Just(":*"), Just(":8443")];
        let path = prop_oneof![Just("/"), Just("/v1"), Just("/v1/"), Just("/v1/x"), Just("/v10")];
        (methods, any::<bool>(), host, port, path).prop_map(|(methods, secure, host, port, path)| {
            let scheme = if secure { "https" } else { "http" };
            HttpRule::parse(&format!("{methods} {scheme}://{host}{port}{path}")).unwrap()
        })
    }

    proptest! {
        /// A rule that includes another takes in whatever that one does.
        #[test]
        fn including_is_taking_in_all(
            one in rule(), other in rule(), secure in any::<bool>(),
            method in "GET|PUT|POST", host in "a|b\\.a|c\\.b\\.a", port in "|:8443|:80",
            path in "/(v1|v10)?(/x|/\\.\\.|/%2e%2e)?/?",
        ) {
            let target = target(&method, &format!("{}://{host}{port}{path}", if secure { "https" } else { "http" }));
            if one.includes(&other) && other.takes(&target) {
                prop_assert!(one.takes(&target), "{} includes {}, {:?}", one, other, target);
            }
            prop_assert!(one.includes(&one));
        }

        /// Whatever is written is read or refused, and what is read is written as it was.
        #[test]
        fn any_text_is_read_or_refused(text in "(GET|\\*)? ?(https?://)?.{0,40}") {
            if let Ok(rule) = HttpRule::parse(&text) {
                prop_assert_eq!(HttpRule::parse(&rule.to_string()), Ok(rule));
            }
        }
    }
}
