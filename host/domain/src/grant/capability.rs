//! One thing that takes a grant, and what a stage is about to do with it.

use super::Interface;
use super::host::HostRule;
use super::http::{HttpRule, HttpTarget, Origin};
use crate::name::{AppName, SecretName, ToolName};
use std::fmt;

/// One thing that takes a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Running the programs of a toolchain entry, without a network.
    Tool(ToolName),
    /// A network for them.
    Network(ToolName, Network),
    /// Sending requests.
    Http(HttpRule),
    /// Using a secret in one kind of place.
    Secret(SecretName, Use),
    /// Releasing an app.
    App(AppName),
}

/// Where a tool may connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// A list that the operator keeps under this name, such as `crates`.
    Named(String),
    /// Hosts.
    Hosts(HostRule),
}

/// Where a secret may be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// In a header of requests to one host.
    Http(Origin),
    /// In the environment, a file or the input of a tool.
    Tool(ToolName),
    /// The stage itself gets the value.
    Read,
}

/// What a stage is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act<'a> {
    /// Start a tool.
    StartTool(&'a ToolName),
    /// A tool connects to a host.
    Connect {
        /// The tool.
        tool: &'a ToolName,
        /// The host.
        host: &'a str,
        /// The port.
        port: u16,
    },
    /// Send a request.
    Request(&'a HttpTarget),
    /// Take hold of a secret.
    OpenSecret(&'a SecretName),
    /// Put a secret into a header of a request.
    SecretInRequest(&'a SecretName, &'a HttpTarget),
    /// Give a secret to a tool.
    SecretInTool(&'a SecretName, &'a ToolName),
    /// See a secret's value.
    ReadSecret(&'a SecretName),
    /// Touch an app.
    App(&'a AppName),
}

impl Network {
    /// Reads `crates` as a name, and what has a `.`, `:` or `*` as hosts.
    pub fn parse(text: &str) -> Result<Self, super::host::InvalidHost> {
        let is_name = ToolName::new(text).is_ok();
        if is_name { Ok(Self::Named(text.to_owned())) } else { HostRule::parse(text).map(Self::Hosts) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            // With its port, so that `localhost` is not read as a name of a list.
            Self::Hosts(HostRule { host, port: Some(443) }) if !host.to_string().contains(['.', '*', ':']) => {
                write!(f, "{host}:443")
            }
            Self::Hosts(rule) => rule.fmt(f),
        }
    }
}

impl Capability {
    /// The interface through which it is used.
    pub const fn interface(&self) -> Interface {
        match self {
            Self::Tool(_) | Self::Network(..) => Interface::Tools,
            Self::Http(_) => Interface::Http,
            Self::Secret(..) => Interface::Secrets,
            Self::App(_) => Interface::Apps,
        }
    }

    /// The name within the interface, where it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Tool(name) | Self::Network(name, _) => Some(name.as_str()),
            Self::Http(_) => None,
            Self::Secret(name, _) => Some(name.as_str()),
            Self::App(name) => Some(name.as_str()),
        }
    }

    /// Whether holding it permits an act.
    pub fn permits(&self, act: &Act<'_>) -> bool {
        match (self, act) {
            (Self::Tool(tool), Act::StartTool(wanted)) => tool == *wanted,
            (Self::Network(tool, Network::Hosts(rule)), Act::Connect { tool: wanted, host, port }) => {
                tool == *wanted && rule.takes(host, *port)
            }
            (Self::Http(rule), Act::Request(target)) => rule.takes(target),
            (Self::Secret(name, _), Act::OpenSecret(wanted)) => name == *wanted,
            (Self::Secret(name, Use::Http(origin)), Act::SecretInRequest(wanted, target)) => {
                name == *wanted && origin.takes(target)
            }
            (Self::Secret(name, Use::Tool(tool)), Act::SecretInTool(wanted, by)) => name == *wanted && tool == *by,
            (Self::Secret(name, Use::Read), Act::ReadSecret(wanted)) => name == *wanted,
            (Self::App(app), Act::App(wanted)) => app == *wanted,
            (Self::Tool(_) | Self::Network(..) | Self::Http(_) | Self::Secret(..) | Self::App(_), _) => false,
        }
    }

    /// The line of a stage that grants it.
    pub fn line(&self) -> String {
        match self {
            Self::Tool(name) => format!("grant.tools = [\"{name}\"]"),
            Self::Network(name, to) => format!("grant.tools.{name} = {{ network = [\"{to}\"] }}"),
            Self::Http(rule) => format!("grant.http = [\"{rule}\"]"),
            Self::Secret(name, Use::Http(origin)) => format!("grant.secrets.{name} = {{ http = [\"{origin}\"] }}"),
            Self::Secret(name, Use::Tool(tool)) => format!("grant.secrets.{name} = {{ tools = [\"{tool}\"] }}"),
            Self::Secret(name, Use::Read) => format!("grant.secrets.{name} = {{ read = true }}"),
            Self::App(name) => format!("grant.apps = [\"{name}\"]"),
        }
    }

    /// The line of the operator's policy that allows it.
    pub fn policy_line(&self) -> String {
        match self {
            Self::Tool(name) => format!("tools = [\"{name}\"]"),
            Self::Network(_, to) => format!("network = [\"{to}\"]"),
            Self::Http(rule) => format!("http = [\"{rule}\"]"),
            Self::Secret(name, Use::Http(_) | Use::Tool(_)) => format!("secrets = [\"{name}\"]"),
            Self::Secret(name, Use::Read) => format!("read_secrets = [\"{name}\"]"),
            Self::App(name) => format!("apps = [\"{name}\"]"),
        }
    }

    /// It as a text within its interface, such as `rust`, `rust to crates`, `GET https://a.test/`,
    /// `token in https://a.test/`, `token in tool rust`, `token read` or `shop`.
    pub fn text(&self) -> String {
        match self {
            Self::Tool(name) => name.to_string(),
            Self::Network(name, to) => format!("{name} to {to}"),
            Self::Http(rule) => rule.to_string(),
            Self::Secret(name, Use::Http(origin)) => format!("{name} in {origin}"),
            Self::Secret(name, Use::Tool(tool)) => format!("{name} in tool {tool}"),
            Self::Secret(name, Use::Read) => format!("{name} read"),
            Self::App(name) => name.to_string(),
        }
    }

    /// Reads what [`Self::text`] has written.
    pub fn parse(interface: Interface, text: &str) -> Option<Self> {
        match interface {
            Interface::Tools => match text.split_once(" to ") {
                None => ToolName::new(text).ok().map(Self::Tool),
                Some((name, to)) => Some(Self::Network(ToolName::new(name).ok()?, Network::parse(to).ok()?)),
            },
            Interface::Http => HttpRule::parse(text).ok().map(Self::Http),
            Interface::Secrets => {
                let (name, place) = text.split_once(' ')?;
                let place = match (place.strip_prefix("in tool "), place.strip_prefix("in ")) {
                    (Some(tool), _) => Use::Tool(ToolName::new(tool).ok()?),
                    (None, Some(origin)) => Use::Http(Origin::parse(origin).ok()?),
                    (None, None) if place == "read" => Use::Read,
                    (None, None) => return None,
                };
                Some(Self::Secret(SecretName::new(name).ok()?, place))
            }
            Interface::Apps => AppName::new(text).ok().map(Self::App),
            Interface::Run | Interface::Log | Interface::Artifacts | Interface::Reports => None,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(name) => write!(f, "tool `{name}`"),
            Self::Network(name, to) => write!(f, "network `{to}` for tool `{name}`"),
            Self::Http(rule) => write!(f, "requests `{rule}`"),
            Self::Secret(name, Use::Http(origin)) => write!(f, "secret `{name}` in requests to `{origin}`"),
            Self::Secret(name, Use::Tool(tool)) => write!(f, "secret `{name}` for tool `{tool}`"),
            Self::Secret(name, Use::Read) => write!(f, "reading secret `{name}`"),
            Self::App(name) => write!(f, "app `{name}`"),
        }
    }
}

impl Act<'_> {
    /// The least that permits it. For a secret that is only taken hold of there is none: some place
    /// where it is used has to be named.
    pub fn capability(&self) -> Option<Capability> {
        Some(match *self {
            Self::StartTool(tool) => Capability::Tool(tool.clone()),
            Self::Connect { tool, host, port } => {
                let host = super::host::HostPattern::Exact(host.to_owned());
                Capability::Network(tool.clone(), Network::Hosts(HostRule { host, port: Some(port) }))
            }
            Self::Request(target) => Capability::Http(HttpRule::of(target)),
            Self::OpenSecret(_) => return None,
            Self::SecretInRequest(name, target) => {
                Capability::Secret(name.clone(), Use::Http(HttpRule::of(target).origin))
            }
            Self::SecretInTool(name, tool) => Capability::Secret(name.clone(), Use::Tool(tool.clone())),
            Self::ReadSecret(name) => Capability::Secret(name.clone(), Use::Read),
            Self::App(app) => Capability::App(app.clone()),
        })
    }
}

/// The refusal of an act, as the stage's author reads it.
impl fmt::Display for Act<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.capability()) {
            (Self::OpenSecret(name), _) => write!(f, "secret `{name}`"),
            (_, Some(capability)) => capability.fmt(f),
            (_, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Capability> {
        let tool = ToolName::new("rust").unwrap();
        let secret = SecretName::new("token").unwrap();
        vec![
            Capability::Tool(tool.clone()),
            Capability::Network(tool.clone(), Network::parse("crates").unwrap()),
            Capability::Network(tool.clone(), Network::parse("localhost:443").unwrap()),
            Capability::Network(tool.clone(), Network::parse("*.a.test:8443").unwrap()),
            Capability::Http(HttpRule::parse("GET https://a.test/v1").unwrap()),
            Capability::Secret(secret.clone(), Use::Http(Origin::parse("https://a.test/").unwrap())),
            Capability::Secret(secret.clone(), Use::Tool(tool)),
            Capability::Secret(secret, Use::Read),
            Capability::App(AppName::new("shop").unwrap()),
        ]
    }

    #[test]
    fn each_is_read_as_it_is_written() {
        for capability in all() {
            assert_eq!(Capability::parse(capability.interface(), &capability.text()), Some(capability));
        }
        for (interface, text) in [
            (Interface::Tools, "Rust"),
            (Interface::Tools, "rust to "),
            (Interface::Secrets, "token"),
            (Interface::Secrets, "token in "),
            (Interface::Log, "x"),
        ] {
            assert_eq!(Capability::parse(interface, text), None, "{text}");
        }
    }

    #[test]
    fn each_permits_its_acts_and_no_others() {
        let (rust, node) = (ToolName::new("rust").unwrap(), ToolName::new("node").unwrap());
        let (token, other) = (SecretName::new("token").unwrap(), SecretName::new("other").unwrap());
        let (shop, till) = (AppName::new("shop").unwrap(), AppName::new("till").unwrap());
        let target = |host: &str| HttpTarget {
            method: "GET".into(),
            is_secure: true,
            host: host.into(),
            port: 443,
            path: "/v1/x".into(),
        };
        let (here, there) = (target("a.test"), target("b.test"));
        let connect = |tool, host| Act::Connect { tool, host, port: 8443 };
        // Each act, and which of the capabilities above permit it.
        for (act, by) in [
            (Act::StartTool(&rust), &[0][..]),
            (Act::StartTool(&node), &[]),
            (connect(&rust, "b.a.test"), &[3]),
            (connect(&rust, "a.test"), &[]),
            (connect(&node, "b.a.test"), &[]),
            (Act::Request(&here), &[4]),
            (Act::Request(&there), &[]),
            (Act::OpenSecret(&token), &[5, 6, 7]),
            (Act::OpenSecret(&other), &[]),
            (Act::SecretInRequest(&token, &here), &[5]),
            (Act::SecretInRequest(&token, &there), &[]),
            (Act::SecretInRequest(&other, &here), &[]),
            (Act::SecretInTool(&token, &rust), &[6]),
            (Act::SecretInTool(&token, &node), &[]),
            (Act::SecretInTool(&other, &rust), &[]),
            (Act::ReadSecret(&token), &[7]),
            (Act::ReadSecret(&other), &[]),
            (Act::App(&shop), &[8]),
            (Act::App(&till), &[]),
        ] {
            let found: Vec<usize> =
                all().iter().enumerate().filter(|(_, capability)| capability.permits(&act)).map(|(at, _)| at).collect();
            assert_eq!(found, by, "{act}");
            if let Some(least) = act.capability() {
                assert!(least.permits(&act), "{act}");
            }
        }
    }
}
