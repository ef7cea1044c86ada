//! Hosts by name and port: what an address may be, and which a rule takes in.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The port of a rule that names none: that of HTTPS.
const PORT: u16 = 443;
/// The longest host name (RFC 1035 §2.3.4), in bytes.
const NAME_BYTES_MAX: usize = 253;
/// The longest part of one (as above), in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// Why a text names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no host: {rule}", shown(.text))]
pub struct InvalidHost {
    /// What was given.
    pub text: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

pub(super) fn shown(text: &str) -> String {
    crate::text::cut(text, 128).escape_debug().to_string()
}

/// Which hosts a rule takes in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// `*`: all.
    Any,
    /// `*.example.com`: those below it, and not itself.
    Below(String),
    /// `example.com`, or an address.
    Exact(String),
}

impl HostPattern {
    /// Reads `*`, `*.example.com`, `example.com`, `192.0.2.7` or `[2001:db8::7]`.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        match text.strip_prefix("*.") {
            _ if text == "*" => Ok(Self::Any),
            Some(parent) if is_name(parent) => Ok(Self::Below(parent.to_owned())),
            None if is_host(text) => Ok(Self::Exact(text.to_owned())),
            Some(_) | None => Err(InvalidHost {
                text: text.to_owned(),
                rule: "write a name in lower case such as `example.com`, an address as `192.0.2.7` or `[2001:db8::7]`, \
                       `*.example.com` for the names below one, or `*`",
            }),
        }
    }

    /// Whether it takes in a host.
    pub fn takes(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(parent) => is_below(host, parent),
            Self::Exact(name) => host == name,
        }
    }

    /// Whether it takes in all that another does.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Below(parent), Self::Below(name)) => name == parent || is_below(name, parent),
            (Self::Below(parent), Self::Exact(name)) => is_below(name, parent),
            (Self::Exact(one), Self::Exact(name)) => one == name,
            (Self::Below(_) | Self::Exact(_), Self::Any) | (Self::Exact(_), Self::Below(_)) => false,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Exact(name) => f.write_str(name),
        }
    }
}

fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent).and_then(|rest| rest.strip_suffix('.')).is_some_and(|rest| !rest.is_empty())
}

/// Whether a text is a host in its one canonical form: a name in lower case, an IPv4 address of
/// four decimal numbers, or an IPv6 address in brackets.
pub fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok_and(|address| address.to_string() == inner),
        None => is_name(text) || text.parse::<Ipv4Addr>().is_ok_and(|address| address.to_string() == text),
    }
}

/// Whether a text is a name that no resolver takes for an address: one whose last part is a number,
/// decimal or not, may be one (WHATWG URL §3.5, `inet_aton(3)`).
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or(text);
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    text.len() <= NAME_BYTES_MAX && text.split('.').all(label) && !is_number
}

/// Hosts and their ports, as `*.example.com:8443`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostRule {
    /// The hosts.
    pub host: HostPattern,
    /// The port, or all when it is `None`, written `*`.
    pub port: Option<u16>,
}

impl HostRule {
    /// Reads `HOST`, `HOST:PORT` or `HOST:*`. Without a port it is 443.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let (host, port) = split_port(text);
        let port = match port {
            None => Some(PORT),
            Some("*") => None,
            Some(port) => Some(parse_port(port).ok_or_else(|| InvalidHost {
                text: text.to_owned(),
                rule: "a port is a number from 1 to 65535, or `*`",
            })?),
        };
        Ok(Self { host: HostPattern::parse(host)?, port })
    }

    /// Whether it takes in a host at a port.
    pub fn takes(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|only| only == port) && self.host.takes(host)
    }

    /// Whether it takes in all that another does.
    pub fn includes(&self, other: &Self) -> bool {
        (self.port.is_none() || self.port == other.port) && self.host.includes(&other.host)
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(PORT) => self.host.fmt(f),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => write!(f, "{}:*", self.host),
        }
    }
}

/// Splits a port from a host, which may be an IPv6 address in brackets.
pub(super) fn split_port(text: &str) -> (&str, Option<&str>) {
    let after = text.rfind(']').map_or(0, |bracket| bracket + 1);
    match text.get(after..).and_then(|rest| rest.find(':')) {
        Some(colon) => (text.get(..after + colon).unwrap_or(text), text.get(after + colon + 1..)),
        None => (text, None),
    }
}

/// Reads a port in its one form: without sign or zeros before it.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    text.parse::<u16>().ok().filter(|port| *port > 0 && port.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(text: &str) -> HostRule {
        HostRule::parse(text).unwrap()
    }

    #[test]
    fn a_rule_takes_in_its_hosts_and_no_others() {
        for (text, host, port) in [
            ("example.com", "example.com", 443),
            ("example.com:8443", "example.com", 8443),
            ("example.com:*", "example.com", 1),
            ("*.example.com", "a.example.com", 443),
            ("*.example.com", "a.b.example.com", 443),
            ("*:*", "anything", 9),
            ("192.0.2.7:80", "192.0.2.7", 80),
            ("[2001:db8::7]", "[2001:db8::7]", 443),
        ] {
            assert!(rule(text).takes(host, port), "{text} {host}:{port}");
            assert_eq!(rule(&rule(text).to_string()), rule(text));
        }
        for (text, host, port) in [
            ("example.com", "example.com", 80),
            ("example.com", "a.example.com", 443),
            ("example.com", "example.com.evil.test", 443),
            ("*.example.com", "example.com", 443),
            ("*.example.com", ".example.com", 443),
            ("*.example.com", "evilexample.com", 443),
            ("*", "example.com", 80),
        ] {
            assert!(!rule(text).takes(host, port), "{text} {host}:{port}");
        }
    }

    #[test]
    fn what_a_resolver_may_read_otherwise_is_no_host() {
        for text in [
            "",
            ".",
            "a..b",
            "-a.test",
            "a-.test",
            "A.test",
            "a_b.test",
            "ä.test",
            "a b",
            "a/b",
            "a@b",
            "127.1",
            "1",
            "0x7f.1",
            "0x7f000001",
            "017700000001",
            "127.0.0.01",
            "1.2.3.4.5",
            "256.1.1.1",
            "a.0x7f",
            "[::1",
            "::1",
            "[::ffff:1.2.3.4%eth0]",
            "[0:0::1]",
            "**",
            "*.",
            "*.*.test",
            "a.*.test",
            "a.test.",
            &"a".repeat(64),
        ] {
            assert!(HostRule::parse(text).is_err(), "{text}");
        }
        for text in ["a.test:0", "a.test:065", "a.test:65536", "a.test:", "a.test:+1", "a.test:80:80"] {
            assert!(HostRule::parse(text).is_err(), "{text}");
        }
    }

    fn pattern() -> impl Strategy<Value = HostPattern> {
        prop_oneof![
            Just(HostPattern::Any),
            "(a|b)(\\.(a|b)){0,2}".prop_map(HostPattern::Below),
            "(a|b)(\\.(a|b)){0,3}".prop_map(HostPattern::Exact),
        ]
    }

    proptest! {
        /// A rule that includes another takes in whatever that one does.
        #[test]
        fn including_is_taking_in_all(one in pattern(), other in pattern(), host in "(a|b)(\\.(a|b)){0,3}") {
            if one.includes(&other) && other.takes(&host) {
                prop_assert!(one.takes(&host));
            }
            prop_assert!(one.includes(&one));
        }

        /// Whatever is written is read or refused, and what is read is written as it was.
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            if let Ok(rule) = HostRule::parse(&text) {
                prop_assert_eq!(HostRule::parse(&rule.to_string()), Ok(rule));
            }
        }
    }
}
