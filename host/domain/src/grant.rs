//! Grants: which capability a stage holds, and why.
//!
//! A stage may do what its component imports *and* its manifest asks for *and* the
//! pipeline grants *and* the operator allows *and* the trust tier of the run permits.
//! [`intersect`] computes it before anything runs; [`Grants::permits`] answers for one
//! call.
//!
//! Invariant: nothing here performs the action it permits.

use crate::name::{AppName, ToolName};
use crate::plugin::Plugin;
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
    /// Releases on the embedded app host.
    Apps,
}

impl Interface {
    /// Every interface.
    pub const ALL: [Self; 7] =
        [Self::Run, Self::Log, Self::Artifacts, Self::Tools, Self::Reports, Self::Secrets, Self::Apps];

    /// The name in WIT.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Log => "log",
            Self::Artifacts => "artifacts",
            Self::Tools => "tools",
            Self::Reports => "reports",
            Self::Secrets => "secrets",
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
            Self::Secrets => "point at the secrets that the pipeline grants, without seeing them",
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
            Self::Tools | Self::Secrets | Self::Apps => true,
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

/// One thing that takes a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Running the programs of a toolchain entry.
    Tool(ToolName),
    /// Using a secret.
    Secret(String),
    /// Releasing an app.
    App(AppName),
}

impl Capability {
    /// The interface through which it is used.
    pub const fn interface(&self) -> Interface {
        match self {
            Self::Tool(_) => Interface::Tools,
            Self::Secret(_) => Interface::Secrets,
            Self::App(_) => Interface::Apps,
        }
    }

    /// The name within the interface.
    pub fn name(&self) -> &str {
        match self {
            Self::Tool(name) => name.as_str(),
            Self::Secret(name) => name,
            Self::App(name) => name.as_str(),
        }
    }

    /// Builds the capability of an interface that needs grants; `None` when the interface
    /// needs none or the name is not one.
    pub fn new(interface: Interface, name: &str) -> Option<Self> {
        match interface {
            Interface::Tools => ToolName::new(name).ok().map(Self::Tool),
            Interface::Secrets => Some(Self::Secret(name.to_owned())),
            Interface::Apps => AppName::new(name).ok().map(Self::App),
            Interface::Run | Interface::Log | Interface::Artifacts | Interface::Reports => None,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(name) => write!(f, "tool `{name}`"),
            Self::Secret(name) => write!(f, "secret `{name}`"),
            Self::App(name) => write!(f, "app `{name}`"),
        }
    }
}

/// What a plugin's manifest asks for in one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The interface.
    pub interface: Interface,
    /// The names it asks for; empty when the pipeline names them.
    pub names: Vec<String>,
    /// Why, in the plugin's words.
    pub why: String,
}

/// A set of capabilities: what a pipeline grants, or what is left after [`intersect`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(BTreeSet<Capability>);

impl Grants {
    /// Whether the set holds a capability.
    pub fn permits(&self, capability: &Capability) -> bool {
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

/// What the operator of the server allows and has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operator {
    /// The configured toolchain entries.
    pub tools: BTreeSet<ToolName>,
    /// The secrets that are kept.
    pub secrets: BTreeSet<String>,
}

/// Who said no to a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The component does not import the interface.
    NotImported,
    /// The manifest does not ask for it.
    NotRequested,
    /// The pipeline does not grant it.
    NotGranted,
    /// The operator's configuration has or allows no such thing.
    NotConfigured,
    /// The run's trust tier does not permit it.
    Tier(Tier),
}

/// A capability that somebody named and somebody else refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The capability.
    pub capability: Capability,
    /// Who refused.
    pub refusal: Refusal,
}

/// Computes what a stage may do, and what was asked for or granted in vain.
pub fn intersect(plugin: &Plugin, pipeline: &Grants, operator: &Operator, tier: Tier) -> (Grants, Vec<Refused>) {
    let mut granted = Grants::default();
    let mut refused = Vec::new();
    let requested = plugin
        .requests
        .iter()
        .flat_map(|request| request.names.iter().filter_map(|name| Capability::new(request.interface, name)));
    let named: BTreeSet<Capability> = pipeline.iter().cloned().chain(requested).collect();
    for capability in named {
        match refusal(plugin, pipeline, operator, tier, &capability) {
            None => granted.insert(capability),
            Some(refusal) => refused.push(Refused { capability, refusal }),
        }
    }
    (granted, refused)
}

fn refusal(
    plugin: &Plugin,
    pipeline: &Grants,
    operator: &Operator,
    tier: Tier,
    capability: &Capability,
) -> Option<Refusal> {
    let interface = capability.interface();
    if !plugin.imports.contains(&interface) {
        return Some(Refusal::NotImported);
    }
    let requested = plugin.requests.iter().any(|request| {
        request.interface == interface
            && (request.names.is_empty() || request.names.iter().any(|name| name == capability.name()))
    });
    if !requested {
        return Some(Refusal::NotRequested);
    }
    if !pipeline.permits(capability) {
        return Some(Refusal::NotGranted);
    }
    let configured = match capability {
        Capability::Tool(name) => operator.tools.contains(name),
        Capability::Secret(name) => operator.secrets.contains(name),
        Capability::App(_) => true,
    };
    if !configured {
        return Some(Refusal::NotConfigured);
    }
    let lowest = match capability {
        Capability::Tool(_) => Tier::Untrusted,
        Capability::Secret(_) => Tier::Trusted,
        Capability::App(_) => Tier::Protected,
    };
    (tier < lowest).then_some(Refusal::Tier(lowest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Kind;
    use proptest::prelude::*;

    fn rust() -> Capability {
        Capability::Tool(ToolName::new("rust").unwrap())
    }

    fn plugin() -> Plugin {
        Plugin {
            name: "cargo".into(),
            version: "1.0.0".into(),
            kind: Kind::Build,
            imports: [Interface::Log, Interface::Tools].into(),
            requests: vec![Request { interface: Interface::Tools, names: vec!["rust".into()], why: String::new() }],
        }
    }

    fn operator() -> Operator {
        Operator { tools: [ToolName::new("rust").unwrap()].into(), secrets: BTreeSet::new() }
    }

    #[test]
    fn what_all_five_agree_on_is_granted() {
        let pipeline: Grants = [rust()].into_iter().collect();
        let (granted, refused) = intersect(&plugin(), &pipeline, &operator(), Tier::Untrusted);
        assert!(granted.permits(&rust()));
        assert_eq!(refused, []);
    }

    #[test]
    fn each_of_the_five_can_refuse() {
        let pipeline: Grants = [rust()].into_iter().collect();
        let refusal = |plugin: &Plugin, pipeline: &Grants, operator: &Operator| {
            let (granted, refused) = intersect(plugin, pipeline, operator, Tier::Protected);
            assert!(granted.is_empty());
            refused[0].refusal
        };
        let mut deaf = plugin();
        deaf.imports.clear();
        assert_eq!(refusal(&deaf, &pipeline, &operator()), Refusal::NotImported);
        let mut modest = plugin();
        modest.requests.clear();
        assert_eq!(refusal(&modest, &pipeline, &operator()), Refusal::NotRequested);
        assert_eq!(refusal(&plugin(), &Grants::default(), &operator()), Refusal::NotGranted);
        assert_eq!(refusal(&plugin(), &pipeline, &Operator::default()), Refusal::NotConfigured);
        let app = Capability::App(AppName::new("shop").unwrap());
        let deployer = Plugin {
            imports: [Interface::Apps].into(),
            requests: vec![Request { interface: Interface::Apps, names: vec![], why: String::new() }],
            ..plugin()
        };
        let apps: Grants = [app.clone()].into_iter().collect();
        let (granted, refused) = intersect(&deployer, &apps, &operator(), Tier::Trusted);
        assert!(granted.is_empty());
        assert_eq!(refused, [Refused { capability: app, refusal: Refusal::Tier(Tier::Protected) }]);
    }

    proptest! {
        /// Whatever is granted was granted by the pipeline, and a higher tier never takes away.
        #[test]
        fn granting_is_monotone(imports in 0usize..128, ask in any::<bool>(), grant in any::<bool>(), have in any::<bool>()) {
            let mut plugin = plugin();
            plugin.imports = Interface::ALL.into_iter().enumerate().filter(|(bit, _)| imports >> bit & 1 == 1).map(|(_, i)| i).collect();
            if !ask { plugin.requests.clear(); }
            let pipeline: Grants = grant.then(rust).into_iter().collect();
            let operator = if have { operator() } else { Operator::default() };
            let low = intersect(&plugin, &pipeline, &operator, Tier::Untrusted).0;
            let high = intersect(&plugin, &pipeline, &operator, Tier::Protected).0;
            prop_assert!(low.iter().all(|capability| high.permits(capability)));
            prop_assert!(high.iter().all(|capability| pipeline.permits(capability)));
        }
    }
}
