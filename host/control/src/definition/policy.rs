//! The operator's policy file: what stages may be granted at most.
//!
//! ```toml
//! reach = ["10.1.0.0/16"]             # private networks that requests and tools may reach
//! allow_unsandboxed_tools = false
//! require_pins = false                # whether a pipeline has to have a `slipway.lock`
//!
//! [networks]                          # lists of hosts for `grant.tools.NAME.network`
//! crates = ["mirror.example:8443"]
//!
//! [untrusted]                         # commits of forks; and so for the tiers above
//! tools = ["*"]
//!
//! [trusted]                           # branches of the repository
//! network = ["*:*"]
//! http = ["* https://*:*/"]
//! secrets = ["*"]
//!
//! [protected]                         # protected branches and tags
//! apps = ["*"]
//!
//! [pipelines."shop-*".trusted]        # what these may have beyond that
//! read_secrets = ["licence"]
//! ```

use super::reader::{At, Reader, read_document};
use super::source::{Diagnostic, Source};
use slipway_domain::ToolName;
use slipway_domain::address::{Range, Reach};
use slipway_domain::definition::Pattern;
use slipway_domain::grant::host::HostRule;
use slipway_domain::grant::http::HttpRule;
use slipway_domain::grant::{Allowed, ByTier, Operator, Policy, Tier};
use slipway_domain::name::InvalidName;
use slipway_domain::pin::Need;
use std::collections::BTreeMap;

/// What the policy file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// What is allowed.
    pub policy: Policy,
    /// Lists of hosts by name.
    pub networks: BTreeMap<String, Vec<HostRule>>,
    /// Addresses that may be reached beside the public ones.
    pub reach: Reach,
    /// Whether tools run where the kernel cannot isolate them.
    pub allow_unsandboxed_tools: bool,
    /// Whether plugins have to be pinned.
    pub pins: Need,
}

impl Default for PolicyFile {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            networks: Operator::known_networks(),
            reach: Reach::default(),
            allow_unsandboxed_tools: false,
            pins: Need::default(),
        }
    }
}

/// Reads a policy file. What it does not allow is refused, whatever is allowed without a file.
pub fn read_policy(text: &str) -> (Source, Result<PolicyFile, Vec<Diagnostic>>) {
    read_document(text, |reader, at| Some(reader.policy(at)))
}

const TIERS: [&str; 3] = [Tier::Untrusted.as_str(), Tier::Trusted.as_str(), Tier::Protected.as_str()];

impl Reader<'_> {
    fn policy(&mut self, at: &At<'_>) -> PolicyFile {
        let [untrusted, trusted, protected] = TIERS;
        let keys = ["reach", "allow_unsandboxed_tools", "require_pins", "networks"];
        self.known(at, &[&keys[..], &[untrusted, trusted, protected, "pipelines"]].concat());
        let mut networks = Operator::known_networks();
        if let Some(lists) = self.table(at, "networks") {
            let names: Vec<&str> = lists.table.iter().map(|(key, _)| key).collect();
            self.known(&lists, &names);
            for (key, _) in lists.table.iter() {
                let hosts = self.each(&lists, key, HostRule::parse);
                // As a pipeline can name it.
                let named = |name| {
                    ToolName::new(name).map_err(|error| InvalidName { kind: "a name of a list of hosts", ..error })
                };
                if let Some(name) = self.name(&lists, key, key.to_owned(), named) {
                    networks.insert(name.to_string(), hosts);
                }
            }
        }
        let mut pipelines = Vec::new();
        if let Some(table) = self.table(at, "pipelines") {
            for (key, _) in table.table.iter() {
                if let Some(pipeline) = self.table(&table, key) {
                    self.known(&pipeline, &TIERS);
                    pipelines.push((Pattern::new(key), self.by_tier(&pipeline)));
                }
            }
        }
        PolicyFile {
            policy: Policy { general: self.by_tier(at), pipelines },
            networks,
            reach: Reach(self.each(at, "reach", Range::parse)),
            allow_unsandboxed_tools: self.boolean(at, "allow_unsandboxed_tools").unwrap_or(false),
            pins: if self.boolean(at, "require_pins") == Some(true) { Need::Every } else { Need::AsWritten },
        }
    }

    fn by_tier(&mut self, at: &At<'_>) -> ByTier {
        let mut found = ByTier::new();
        for tier in Tier::ALL {
            if let Some(allowed) = self.table(at, tier.as_str()) {
                found.insert(tier, self.allowed(&allowed));
            }
        }
        found
    }

    fn allowed(&mut self, at: &At<'_>) -> Allowed {
        self.known(at, &["tools", "network", "http", "secrets", "read_secrets", "apps"]);
        Allowed {
            tools: self.patterns(at, "tools"),
            network: self.each(at, "network", HostRule::parse),
            http: self.each(at, "http", HttpRule::parse),
            secrets: self.patterns(at, "secrets"),
            read_secrets: self.patterns(at, "read_secrets"),
            apps: self.patterns(at, "apps"),
        }
    }

    fn patterns(&mut self, at: &At<'_>, key: &str) -> Vec<Pattern> {
        self.strings(at, key).into_iter().map(Pattern::new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_domain::PipelineName;
    use slipway_domain::grant::{Capability, Interface};

    /// The head of this file shows what is allowed without a file, and a little more.
    fn example() -> String {
        let lines = include_str!("policy.rs").lines().skip_while(|line| *line != "//! ```toml").skip(1);
        let lines = lines.take_while(|line| *line != "//! ```");
        lines.map(|line| format!("{}\n", line.trim_start_matches("//!").trim_start())).collect()
    }

    #[test]
    fn the_example_is_what_is_allowed_without_a_file_and_a_little_more() {
        let read = read_policy(&example()).1.unwrap();
        assert_eq!(read.policy.general, Policy::default().general);
        assert!(read.reach.allows("10.1.9.9".parse().unwrap()));
        assert_eq!(read.networks["crates"], [HostRule::parse("mirror.example:8443").unwrap()]);
        assert!(read.networks.contains_key("npm"), "the other lists stay");
        let seen = Capability::parse(Interface::Secrets, "licence read").unwrap();
        let allows = |name: &str| read.policy.allows(&PipelineName::new(name).unwrap(), Tier::Protected, &seen);
        assert!(allows("shop-api") && !allows("till"));
    }

    #[test]
    fn an_empty_file_allows_nothing() {
        let read = read_policy("").1.unwrap();
        assert_eq!(read.policy, Policy::nothing());
        assert!(!read.allow_unsandboxed_tools);
        assert_eq!(read.pins, Need::AsWritten);
        assert_eq!(read_policy("require_pins = true").1.unwrap().pins, Need::Every);
    }

    #[test]
    fn each_mistake_is_shown_where_it_stands() {
        for (text, code, line) in [
            ("reach = [\"10.0.0.1/8\"]", "invalid-grant", 1),
            ("reech = []", "unknown-key", 1),
            ("[trusted]\nhttps = []", "unknown-key", 2),
            ("[trusted]\nhttp = [\"https://a.test/\"]", "invalid-grant", 2),
            ("[trusted]\nnetwork = [\"A\"]", "invalid-grant", 2),
            ("[networks]\n\"a.b\" = []", "invalid-name", 2),
            ("[pipelines.a.all]\ntools = []", "unknown-key", 1),
            ("allow_unsandboxed_tools = 1", "wrong-type", 1),
            ("require_pins = \"always\"", "wrong-type", 1),
            ("[trusted", "syntax", 1),
        ] {
            let found = read_policy(text).1.unwrap_err();
            assert_eq!((found[0].code.as_str(), found[0].line), (code, line), "{text}: {found:?}");
        }
    }
}
