//! Grants: which capability a stage holds, and why.
//!
//! A stage may do what its component imports *and* its manifest asks for *and* the
//! pipeline grants *and* the operator allows *and* the trust tier of the run permits.
//! [`intersect`] computes it before anything runs; [`Grants::permits`] answers for one
//! call.
//!
//! Invariant: nothing here performs the action it permits.

mod capability;
pub mod host;
pub mod http;
mod policy;

pub use capability::{Act, Capability, Network, Use};
pub use policy::{Allowed, ByTier, Operator, Policy};

use crate::name::PipelineName;
use crate::plugin::Plugin;
use host::HostRule;
use http::HttpRule;
use std::collections::BTreeSet;
use std::fmt;

/// An interface of `package slipway:stage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// Ids, parameters, outputs.
    Run,
    /// The log.
    Log,
    /// Files that outlive the stage.
    Artifacts,
    /// Native programs.
    Tools,
    /// Test cases and planned changes.
    Reports,
    /// Secrets by handle.
    Secrets,
    /// Requests over HTTP.
    Http,
    /// Releases on the embedded app host.
    Apps,
}

impl Interface {
    /// Every interface.
    pub const ALL: [Self; 8] =
        [Self::Run, Self::Log, Self::Artifacts, Self::Tools, Self::Reports, Self::Secrets, Self::Http, Self::Apps];

    /// The name in WIT.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Log => "log",
            Self::Artifacts => "artifacts",
            Self::Tools => "tools",
            Self::Reports => "reports",
            Self::Secrets => "secrets",
            Self::Http => "http",
            Self::Apps => "apps",
        }
    }

    /// What a component that imports it can do, in people's words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Run => "read the run's ids, configuration and parameters; hand outputs to later stages",
            Self::Log => "write to the log",
            Self::Artifacts => "store artifacts and read those of the stages it needs",
            Self::Tools => "run the native tools that the pipeline grants, in a sandbox",
            Self::Reports => "report test cases and planned changes",
            Self::Secrets => "use the secrets that the pipeline grants, without seeing them",
            Self::Http => "send the requests that the pipeline grants",
            Self::Apps => "release the apps that the pipeline grants on the embedded app host",
        }
    }

    /// Reads the name in WIT.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interface| interface.as_str() == text)
    }

    /// Whether using it takes a grant. The others reach only the stage's own run.
    pub const fn needs_grant(self) -> bool {
        match self {
            Self::Tools | Self::Secrets | Self::Http | Self::Apps => true,
            Self::Run | Self::Log | Self::Artifacts | Self::Reports => false,
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a run is trusted, by where its commit came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// A fork's commit: no secrets, no deploys.
    Untrusted,
    /// A branch of the repository.
    Trusted,
    /// A protected branch or tag, or a person with the right to say so.
    Protected,
}

impl Tier {
    /// Every tier, lowest first.
    pub const ALL: [Self; 3] = [Self::Untrusted, Self::Trusted, Self::Protected];

    /// The word used in JSON, SQL and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Trusted => "trusted",
            Self::Protected => "protected",
        }
    }

    /// Reads the word written by [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == text)
    }
}

/// What a plugin's manifest asks for in one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The interface.
    pub interface: Interface,
    /// The names it asks for, or the rules for `http`; empty when the pipeline names them.
    pub names: Vec<String>,
    /// Where its tools may connect to at most.
    pub network: Vec<HostRule>,
    /// Whether it wants to see the values of its secrets.
    pub read: bool,
    /// Why, in the plugin's words.
    pub why: String,
}

impl Request {
    /// A request for names of an interface.
    pub fn new(interface: Interface, names: &[&str], why: &str) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { interface, names, network: Vec::new(), read: false, why: why.to_owned() }
    }

    /// Whether it asks for a capability.
    pub fn asks_for(&self, capability: &Capability) -> bool {
        let named = || capability.name().is_some_and(|name| self.names.iter().any(|asked| asked == name));
        let rules = || self.names.iter().filter_map(|rule| HttpRule::parse(rule).ok());
        self.interface == capability.interface()
            && match capability {
                Capability::Http(rule) => self.names.is_empty() || rules().any(|asked| asked.includes(rule)),
                Capability::Tool(_) | Capability::Secret(..) | Capability::App(_) | Capability::Network(..) => {
                    self.names.is_empty() || named()
                }
            }
            && match capability {
                Capability::Network(_, Network::Hosts(rule)) => self.network.iter().any(|asked| asked.includes(rule)),
                // What stands behind it is asked about host by host.
                Capability::Network(_, Network::Named(_)) => !self.network.is_empty(),
                Capability::Secret(_, Use::Read) => self.read,
                Capability::Secret(..) | Capability::Tool(_) | Capability::Http(_) | Capability::App(_) => true,
            }
    }
}

/// A set of capabilities: what a pipeline grants, or what is left after [`intersect`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(BTreeSet<Capability>);

impl Grants {
    /// Whether the set permits an act.
    pub fn permits(&self, act: &Act<'_>) -> bool {
        self.0.iter().any(|capability| capability.permits(act))
    }

    /// Whether the set holds exactly this capability.
    pub fn holds(&self, capability: &Capability) -> bool {
        self.0.contains(capability)
    }

    /// Adds a capability.
    pub fn insert(&mut self, capability: Capability) {
        self.0.insert(capability);
    }

    /// The capabilities in order.
    pub fn iter(&self) -> impl Iterator<Item = &Capability> {
        self.0.iter()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Capability> for Grants {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(capabilities.into_iter().collect())
    }
}

/// Who said no to a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The component does not import the interface.
    NotImported,
    /// The manifest does not ask for it.
    NotRequested,
    /// The server has no such thing.
    NotConfigured,
    /// The operator's policy does not allow it in this tier.
    Policy(Tier),
    /// It takes a run of this tier, whatever the operator allows.
    Tier(Tier),
    /// It is of use only with another capability, which the pipeline does not grant.
    Alone,
}

impl Refusal {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotImported => "not-imported",
            Self::NotRequested => "not-requested",
            Self::NotConfigured => "not-configured",
            Self::Policy(_) => "policy",
            Self::Tier(_) => "tier",
            Self::Alone => "alone",
        }
    }
}

/// A capability that the pipeline grants, and somebody else refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The capability.
    pub capability: Capability,
    /// Who refused.
    pub refusal: Refusal,
}

/// What a stage is to be granted, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The pipeline.
    pub pipeline: &'a PipelineName,
    /// The plugin: what it imports, and what its manifest asks for.
    pub plugin: &'a Plugin,
    /// What the pipeline grants.
    pub grants: &'a Grants,
    /// What the operator has and allows.
    pub operator: &'a Operator,
    /// The trust of the run.
    pub tier: Tier,
}

/// Computes what a stage may do, and what was granted to it in vain.
pub fn intersect(asked: &Asked<'_>) -> (Grants, Vec<Refused>) {
    let mut granted = Grants::default();
    let mut refused = Vec::new();
    for capability in asked.grants.iter() {
        match behind(asked.operator, capability) {
            None => refused.push(Refused { capability: capability.clone(), refusal: Refusal::NotConfigured }),
            Some(all) => {
                for one in all {
                    match refusal(asked, &one) {
                        None => granted.insert(one),
                        Some(refusal) => refused.push(Refused { capability: one, refusal }),
                    }
                }
            }
        }
    }
    (granted, refused)
}

/// What a capability stands for: itself, or the hosts of a list. `None` when there is no such list.
fn behind(operator: &Operator, capability: &Capability) -> Option<Vec<Capability>> {
    let Capability::Network(tool, Network::Named(name)) = capability else { return Some(vec![capability.clone()]) };
    let rules = operator.networks.get(name)?;
    let network = |rule: &HostRule| Capability::Network(tool.clone(), Network::Hosts(rule.clone()));
    Some(rules.iter().map(network).collect())
}

fn refusal(asked: &Asked<'_>, capability: &Capability) -> Option<Refusal> {
    let Asked { pipeline, plugin, grants, operator, tier } = *asked;
    if !plugin.imports.contains(&capability.interface()) {
        return Some(Refusal::NotImported);
    }
    if !plugin.requests.iter().any(|request| request.asks_for(capability)) {
        return Some(Refusal::NotRequested);
    }
    let goes_with = match capability {
        Capability::Tool(_) | Capability::Http(_) | Capability::App(_) | Capability::Secret(_, Use::Read) => true,
        Capability::Network(tool, _) | Capability::Secret(_, Use::Tool(tool)) => {
            grants.holds(&Capability::Tool(tool.clone()))
        }
        Capability::Secret(_, Use::Http(origin)) => grants.iter().any(|other| {
            matches!(other, Capability::Http(rule) if rule.origin.includes(origin) || origin.includes(&rule.origin))
        }),
    };
    if !goes_with {
        return Some(Refusal::Alone);
    }
    let is_there = match capability {
        Capability::Tool(name) | Capability::Secret(_, Use::Tool(name)) => operator.tools.contains(name),
        Capability::Network(..) | Capability::Http(_) | Capability::Secret(..) | Capability::App(_) => true,
    };
    if !is_there {
        return Some(Refusal::NotConfigured);
    }
    let lowest = policy::lowest(capability);
    if tier < lowest {
        return Some(Refusal::Tier(lowest));
    }
    (!operator.policy.allows(pipeline, tier, capability)).then_some(Refusal::Policy(tier))
}

/// Something that a manifest asks for by name, and of which the pipeline grants nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The interface.
    pub interface: Interface,
    /// The name, or `None` when any would do.
    pub name: Option<String>,
    /// Why, in the plugin's words.
    pub why: String,
}

/// Finds what a plugin asks for and a pipeline does not grant. Interfaces that the plugin does not
/// import are of no use to it, whatever it says.
pub fn missing(plugin: &Plugin, grants: &Grants) -> Vec<Missing> {
    let imported = plugin.requests.iter().filter(|request| plugin.imports.contains(&request.interface));
    let asked = imported.filter(|request| request.interface.needs_grant());
    asked
        .flat_map(|request| {
            let of_interface: Vec<&Capability> =
                grants.iter().filter(|capability| capability.interface() == request.interface).collect();
            let is_granted = |name: &str| {
                of_interface.iter().any(|capability| match capability {
                    Capability::Http(rule) => {
                        HttpRule::parse(name).is_ok_and(|asked| asked.includes(rule) || rule.includes(&asked))
                    }
                    Capability::Tool(_) | Capability::Network(..) | Capability::Secret(..) | Capability::App(_) => {
                        capability.name() == Some(name)
                    }
                })
            };
            let names: Vec<Option<String>> = if request.names.is_empty() {
                if of_interface.is_empty() { vec![None] } else { Vec::new() }
            } else {
                request.names.iter().filter(|name| !is_granted(name)).cloned().map(Some).collect()
            };
            let why = request.why.clone();
            names.into_iter().map(move |name| Missing { interface: request.interface, name, why: why.clone() })
        })
        .collect()
}

#[cfg(test)]
mod tests;
