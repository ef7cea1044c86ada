//! Reads what a stage is granted.
//!
//! ```toml
//! grant.tools = ["rust"]                                   # or, with a network:
//! grant.tools = { rust = { network = ["crates", "mirror.example:8443"] } }
//! grant.http = ["POST https://hooks.example.com/deploys/"]
//! grant.secrets.token = { http = ["https://hooks.example.com/"], tools = ["node"], read = true }
//! grant.apps = ["shop"]
//! ```

use super::reader::{At, Reader};
use slipway_domain::grant::http::{HttpRule, Origin};
use slipway_domain::grant::{Capability, Grants, Interface, Network, Use};
use slipway_domain::{AppName, SecretName, ToolName};

impl Reader<'_> {
    /// Reads the table `grant` of a stage.
    pub(super) fn grants(&mut self, at: &At<'_>) -> Grants {
        let known: Vec<&str> =
            Interface::ALL.into_iter().filter(|interface| interface.needs_grant()).map(Interface::as_str).collect();
        self.known(at, &known);
        let mut granted: Vec<Capability> = self.tools(at);
        granted.extend(self.each(at, "http", |text| HttpRule::parse(text).map(Capability::Http)));
        if at.table.get("secrets").is_some_and(toml_edit::Item::is_array) {
            // What a list of names cannot tell is where they may be used.
            self.problem(
                "wrong-type",
                at.key("secrets"),
                "`secrets` has to be a table that tells where each secret may be used".into(),
                Some("write `grant.secrets.NAME = { http = [\"https://example.com/\"] }`, or `{ tools = [\"…\"] }`"),
            );
        } else if let Some(secrets) = self.table(at, "secrets") {
            for (key, _) in secrets.table.iter() {
                if let Some(secret) = self.table(&secrets, key) {
                    granted.extend(self.secret(&secrets, key, &secret));
                }
            }
        }
        granted.extend(self.each(at, "apps", |text| AppName::new(text).map(Capability::App)));
        granted.into_iter().collect()
    }

    fn tools(&mut self, at: &At<'_>) -> Vec<Capability> {
        if at.table.get("tools").is_none_or(|item| item.as_table_like().is_none()) {
            return self.each(at, "tools", |text| ToolName::new(text).map(Capability::Tool));
        }
        let Some(tools) = self.table(at, "tools") else { return Vec::new() };
        let mut granted = Vec::new();
        for (key, _) in tools.table.iter() {
            let Some(tool) = self.table(&tools, key) else { continue };
            self.known(&tool, &["network"]);
            let Some(name) = self.name(&tools, key, key.to_owned(), ToolName::new) else { continue };
            granted.push(Capability::Tool(name.clone()));
            let network = |text: &str| Network::parse(text).map(|to| Capability::Network(name.clone(), to));
            granted.extend(self.each(&tool, "network", network));
        }
        granted
    }

    fn secret(&mut self, secrets: &At<'_>, key: &str, at: &At<'_>) -> Vec<Capability> {
        self.known(at, &["http", "tools", "read"]);
        let Some(name) = self.name(secrets, key, key.to_owned(), SecretName::new) else { return Vec::new() };
        let count = self.problems.len();
        let used = |place: Use| Capability::Secret(name.clone(), place);
        let mut granted = self.each(at, "http", |text| {
            let origin = Origin::parse(text).map_err(|error| error.to_string())?;
            if origin.is_exact() {
                Ok(used(Use::Http(origin)))
            } else {
                Err(format!("a secret goes to one host at one port, and `{origin}` stands for several"))
            }
        });
        granted.extend(self.each(at, "tools", |text| ToolName::new(text).map(|tool| used(Use::Tool(tool)))));
        if self.boolean(at, "read") == Some(true) {
            granted.push(used(Use::Read));
        }
        if granted.is_empty() && self.problems.len() == count {
            self.problem(
                "useless-grant",
                secrets.key(key),
                format!("secret `{name}` is granted, and may be used nowhere"),
                Some("say where: `http = [\"https://example.com/\"]`, `tools = [\"…\"]`, or `read = true`"),
            );
        }
        granted
    }

    /// Reads a list of texts, each as one thing.
    pub(super) fn each<T, E: ToString>(
        &mut self,
        at: &At<'_>,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for (index, text) in self.strings(at, key).into_iter().enumerate() {
            match read(&text) {
                Ok(one) => found.push(one),
                Err(error) => {
                    let mut place = at.key(key);
                    place.push(index.to_string());
                    self.problem("invalid-grant", place, error.to_string(), None);
                }
            }
        }
        found
    }
}
