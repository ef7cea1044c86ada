//! The operator's policy: what stages may be granted at most, by the trust of their run.
//!
//! What it does not name is refused. What a lower tier is allowed, a higher one is too.

use super::capability::{Capability, Network, Use};
use super::host::HostRule;
use super::http::HttpRule;
use super::{Interface, Tier};
use crate::definition::Pattern;
use crate::name::{PipelineName, ToolName};
use crate::pin::Need;
use std::collections::{BTreeMap, BTreeSet};

/// What is allowed, in one tier or one pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Toolchain entries, by patterns.
    pub tools: Vec<Pattern>,
    /// Where tools may connect to.
    pub network: Vec<HostRule>,
    /// Requests.
    pub http: Vec<HttpRule>,
    /// Secrets in requests and tools, by patterns.
    pub secrets: Vec<Pattern>,
    /// Secrets whose value a stage may see, by patterns.
    pub read_secrets: Vec<Pattern>,
    /// Apps, by patterns.
    pub apps: Vec<Pattern>,
}

impl Allowed {
    fn allows(&self, capability: &Capability) -> bool {
        let among = |patterns: &[Pattern], name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        match capability {
            Capability::Tool(name) => among(&self.tools, name.as_str()),
            Capability::Network(_, Network::Hosts(rule)) => self.network.iter().any(|by| by.includes(rule)),
            // A list is looked up before it is asked about.
            Capability::Network(_, Network::Named(_)) => false,
            Capability::Http(rule) => self.http.iter().any(|by| by.includes(rule)),
            Capability::Secret(name, Use::Http(_) | Use::Tool(_)) => among(&self.secrets, name.as_str()),
            Capability::Secret(name, Use::Read) => among(&self.read_secrets, name.as_str()),
            Capability::App(name) => among(&self.apps, name.as_str()),
        }
    }
}

/// What is allowed in each tier.
pub type ByTier = BTreeMap<Tier, Allowed>;

/// The operator's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// For every pipeline.
    pub general: ByTier,
    /// What single pipelines may have beyond that, by patterns.
    pub pipelines: Vec<(Pattern, ByTier)>,
}

impl Default for Policy {
    /// What is allowed when the operator has written nothing: tools without a network for everybody,
    /// network and secrets for commits of the repository itself, apps for protected ones. No stage
    /// sees a secret.
    fn default() -> Self {
        let all = || vec![Pattern::new("*")];
        let every = |text| HostRule::parse(text).into_iter().collect();
        let untrusted = Allowed { tools: all(), ..Allowed::default() };
        let trusted = Allowed {
            network: every("*:*"),
            http: HttpRule::parse("* https://*:*/").into_iter().collect(),
            secrets: all(),
            ..Allowed::default()
        };
        let protected = Allowed { apps: all(), ..Allowed::default() };
        let general = [(Tier::Untrusted, untrusted), (Tier::Trusted, trusted), (Tier::Protected, protected)];
        Self { general: general.into(), pipelines: Vec::new() }
    }
}

impl Policy {
    /// A policy that allows nothing.
    pub const fn nothing() -> Self {
        Self { general: BTreeMap::new(), pipelines: Vec::new() }
    }

    /// Whether a stage of a pipeline may be granted a capability in a run of a tier.
    pub fn allows(&self, pipeline: &PipelineName, tier: Tier, capability: &Capability) -> bool {
        let mine = self.pipelines.iter().filter(|(pattern, _)| pattern.matches(pipeline.as_str())).map(|(_, by)| by);
        std::iter::once(&self.general)
            .chain(mine)
            .flat_map(|by| by.range(..=tier))
            .any(|(_, allowed)| allowed.allows(capability))
    }
}

/// The lowest tier that may have a capability, whatever the operator allows.
pub(super) const fn lowest(capability: &Capability) -> Tier {
    match capability {
        Capability::Tool(_) | Capability::Network(..) | Capability::Http(_) => Tier::Untrusted,
        Capability::Secret(..) => Tier::Trusted,
        Capability::App(_) => Tier::Protected,
    }
}

/// What the operator of the server has and allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operator {
    /// The configured toolchain entries.
    pub tools: BTreeSet<ToolName>,
    /// Lists of hosts by name, for the network of tools.
    pub networks: BTreeMap<String, Vec<HostRule>>,
    /// What is allowed.
    pub policy: Policy,
    /// Whether plugins have to be pinned.
    pub pins: Need,
}

impl Operator {
    /// The lists of hosts that every server knows: where the package managers of some languages
    /// fetch from when nothing else is configured.
    pub fn known_networks() -> BTreeMap<String, Vec<HostRule>> {
        [
            ("crates", &["index.crates.io", "static.crates.io"][..]),
            ("npm", &["registry.npmjs.org"]),
            ("pypi", &["pypi.org", "files.pythonhosted.org"]),
            ("go", &["proxy.golang.org", "sum.golang.org"]),
        ]
        .into_iter()
        .map(|(name, hosts)| (name.to_owned(), hosts.iter().filter_map(|host| HostRule::parse(host).ok()).collect()))
        .collect()
    }

    /// What there is of an interface by name, for suggestions.
    pub(crate) fn names(&self, interface: Interface) -> Vec<&str> {
        match interface {
            Interface::Tools => self.tools.iter().map(AsRef::as_ref).collect(),
            Interface::Run
            | Interface::Log
            | Interface::Artifacts
            | Interface::Reports
            | Interface::Secrets
            | Interface::Http
            | Interface::Apps => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{AppName, SecretName};

    fn allows(policy: &Policy, pipeline: &str, capability: &Capability) -> Vec<Tier> {
        let pipeline = PipelineName::new(pipeline).unwrap();
        Tier::ALL.into_iter().filter(|tier| policy.allows(&pipeline, *tier, capability)).collect()
    }

    fn capability(interface: Interface, text: &str) -> Capability {
        Capability::parse(interface, text).unwrap()
    }

    #[test]
    fn without_a_word_of_the_operator_trust_decides() {
        use Tier::{Protected, Trusted, Untrusted};
        let policy = Policy::default();
        for (interface, text, tiers) in [
            (Interface::Tools, "rust", &[Untrusted, Trusted, Protected][..]),
            (Interface::Tools, "rust to a.test:22", &[Trusted, Protected]),
            (Interface::Http, "GET https://a.test/", &[Trusted, Protected]),
            (Interface::Http, "GET http://a.test/", &[]),
            (Interface::Secrets, "token in tool rust", &[Trusted, Protected]),
            (Interface::Secrets, "token read", &[]),
            (Interface::Apps, "shop", &[Protected]),
        ] {
            assert_eq!(allows(&policy, "a", &capability(interface, text)), tiers, "{text}");
        }
    }

    #[test]
    fn one_pipeline_may_have_more_than_the_others() {
        let app = Capability::App(AppName::new("shop").unwrap());
        let mine = [(Tier::Trusted, Allowed { apps: vec![Pattern::new("sh*")], ..Allowed::default() })].into();
        let policy = Policy { pipelines: vec![(Pattern::new("shop-*"), mine)], ..Policy::nothing() };
        assert_eq!(allows(&policy, "shop-api", &app), [Tier::Trusted, Tier::Protected]);
        assert_eq!(allows(&policy, "till", &app), []);
        let secret = Capability::Secret(SecretName::new("shop").unwrap(), Use::Read);
        assert_eq!(allows(&policy, "shop-api", &secret), []);
    }

    #[test]
    fn what_is_asked_for_lies_within_what_is_allowed() {
        let mut policy = Policy::nothing();
        let http = vec![HttpRule::parse("GET,PUT https://*.a.test/v1/").unwrap()];
        policy.general.insert(Tier::Untrusted, Allowed { http, ..Allowed::default() });
        for (text, allowed) in [
            ("GET https://x.a.test/v1/y", true),
            ("GET,PUT https://*.x.a.test/v1/", true),
            ("* https://x.a.test/v1/", false),
            ("GET https://a.test/v1/", false),
            ("GET https://x.a.test/", false),
            ("GET https://*/v1/", false),
        ] {
            assert_eq!(!allows(&policy, "a", &capability(Interface::Http, text)).is_empty(), allowed, "{text}");
        }
    }
}
