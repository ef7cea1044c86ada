//! Pins: what a pipeline took each of its plugins for when somebody last looked.
//!
//! A name such as `cargo@1` stands for whatever bytes carry it. A pin holds the bytes down, with what
//! they can do, so that another plugin under the same name is refused until somebody has seen the
//! difference.

use crate::check::{Place, Problem};
use crate::definition::{Definition, Uses};
use crate::name::Digest;
use crate::plugin::{Kind, Plugin};
use std::collections::{BTreeMap, BTreeSet};

/// What the command is called that writes pins.
const UPDATE: &str = "`slipway plugin update` shows the difference and writes it down";

/// What one plugin is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its name, as it says.
    pub name: String,
    /// Its version, as it says.
    pub version: String,
    /// Its kind, which is its world.
    pub kind: Kind,
    /// The digest of its component.
    pub digest: Digest,
    /// The size of its component, in bytes.
    pub size: u64,
    /// What it can do and what it asks for, one line each.
    pub capabilities: BTreeSet<String>,
}

impl Pin {
    /// The pin of a plugin that is there.
    pub fn of(plugin: &Plugin, digest: &Digest, size: u64) -> Self {
        Self {
            name: plugin.name.clone(),
            version: plugin.version.clone(),
            kind: plugin.kind,
            digest: digest.clone(),
            size,
            capabilities: capabilities(plugin),
        }
    }

    /// What is otherwise now than it was, in people's words. Empty when nothing is.
    pub fn difference(&self, now: &Self) -> Difference {
        let less = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect();
        let mut changed = Vec::new();
        let mut change = |what: &str, was: &str, is: &str| {
            if was != is {
                changed.push(format!("{what} {was} → {is}"));
            }
        };
        change("name", &self.name, &now.name);
        change("version", &self.version, &now.version);
        change("world", self.kind.world(), now.kind.world());
        change("digest", self.digest.as_str(), now.digest.as_str());
        change("size", &self.size.to_string(), &now.size.to_string());
        Difference {
            changed,
            gained: less(&now.capabilities, &self.capabilities),
            lost: less(&self.capabilities, &now.capabilities),
        }
    }
}

/// What lies between two pins of the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Facts that are otherwise, such as `version 1.0.0 → 1.1.0`.
    pub changed: Vec<String>,
    /// Capabilities that are new.
    pub gained: Vec<String>,
    /// Capabilities that are gone.
    pub lost: Vec<String>,
}

impl Difference {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gained.is_empty() && self.lost.is_empty()
    }
}

/// The pins of a pipeline, by what its stages use.
pub type Pins = BTreeMap<Uses, Pin>;

/// What a plugin can do by its imports, and what it asks to be granted: one line each, for people to
/// compare.
pub fn capabilities(plugin: &Plugin) -> BTreeSet<String> {
    let mut lines: BTreeSet<String> = plugin.imports.iter().map(|interface| format!("imports {interface}")).collect();
    for request in &plugin.requests {
        let interface = request.interface;
        if request.names.is_empty() {
            lines.insert(format!("asks for {interface}, named by the pipeline"));
        }
        lines.extend(request.names.iter().map(|name| format!("asks for {interface} {name}")));
        lines.extend(request.network.iter().map(|rule| format!("asks for {interface} with a network to {rule}")));
        if request.read {
            lines.insert(format!("asks to read {interface}"));
        }
    }
    lines
}

/// Whether a pipeline has to have pins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Need {
    /// Where there is a lock file, it holds for every plugin; where there is none, nothing is compared.
    #[default]
    AsWritten,
    /// The operator wants every plugin pinned.
    Every,
}

/// Compares what each stage uses with its pin. `found` gives what is there; a plugin that is not is
/// somebody else's problem. Without a lock file, `pins` is `None`.
pub fn check(
    definition: &Definition,
    pins: Option<&Pins>,
    need: Need,
    found: impl Fn(&Uses) -> Option<Pin>,
) -> Vec<Problem> {
    if pins.is_none() && need == Need::AsWritten {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for stage in &definition.stages {
        let Some(now) = found(&stage.uses) else { continue };
        let mut problem = |code, message| {
            let place = Place::stage(&stage.name, &["uses"]);
            problems.push(Problem { code, place, message, hint: Some(UPDATE.to_owned()) });
        };
        let Some(pin) = pins.and_then(|pins| pins.get(&stage.uses)) else {
            let wanted = if pins.is_some() { "`slipway.lock` does not hold it" } else { "there is no `slipway.lock`" };
            problem("not-pinned", format!("plugin `{}` is not pinned: {wanted}", stage.uses));
            continue;
        };
        if pin.digest != now.digest {
            let message = format!(
                "plugin `{}` is pinned as {} {} ({}), and here it is {} {} ({})",
                stage.uses, pin.name, pin.version, pin.digest, now.name, now.version, now.digest
            );
            problem("other-plugin", message);
        } else if *pin != now {
            // The bytes are those: somebody has written down what they are not.
            let Difference { changed, gained, lost } = pin.difference(&now);
            let missing = gained.into_iter().map(|line| format!("does not tell `{line}`"));
            let invented = lost.into_iter().map(|line| format!("tells `{line}`"));
            let told: Vec<String> = changed.into_iter().chain(missing).chain(invented).collect();
            let message = format!("`slipway.lock` is wrong about plugin `{}`: {}", stage.uses, told.join(", "));
            problem("wrong-pin", message);
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{StageDefinition, TIMEOUT_DEFAULT, Triggers, When};
    use crate::grant::{Grants, Interface, Request};
    use crate::name::{PipelineName, StageName};

    fn plugin(version: &str, more: &[Request]) -> Plugin {
        let mut requests = vec![Request::new(Interface::Tools, &["rust"], "")];
        requests.extend_from_slice(more);
        Plugin {
            name: "cargo".into(),
            version: version.into(),
            kind: Kind::Build,
            imports: [Interface::Log, Interface::Tools].into(),
            requests,
        }
    }

    fn digest(number: u8) -> Digest {
        Digest::new(format!("sha256:{number:064}")).unwrap()
    }

    fn uses() -> Uses {
        Uses::parse("cargo@1").unwrap()
    }

    fn definition() -> Definition {
        let stage = StageDefinition {
            name: StageName::new("build").unwrap(),
            uses: uses(),
            with: "{}".into(),
            needs: vec![],
            grants: Grants::default(),
            environment: None,
            when: When::default(),
            timeout: TIMEOUT_DEFAULT,
            memory_bytes_max: None,
        };
        Definition { name: PipelineName::new("shop").unwrap(), triggers: Triggers::default(), stages: vec![stage] }
    }

    fn codes(pins: Option<&Pins>, need: Need, now: &Pin) -> Vec<&'static str> {
        check(&definition(), pins, need, |_| Some(now.clone())).into_iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn the_same_bytes_pass_and_others_under_the_name_are_refused() {
        let old = Pin::of(&plugin("1.0.0", &[]), &digest(1), 10);
        let pins: Pins = [(uses(), old.clone())].into();
        assert_eq!(codes(Some(&pins), Need::AsWritten, &old), [""; 0]);
        let swapped = Pin { digest: digest(2), ..old.clone() };
        assert_eq!(codes(Some(&pins), Need::AsWritten, &swapped), ["other-plugin"]);
        assert_eq!(codes(Some(&Pins::new()), Need::AsWritten, &old), ["not-pinned"]);
    }

    #[test]
    fn without_a_lock_file_it_is_the_operator_who_may_want_one() {
        let now = Pin::of(&plugin("1.0.0", &[]), &digest(1), 10);
        assert_eq!(codes(None, Need::AsWritten, &now), [""; 0]);
        assert_eq!(codes(None, Need::Every, &now), ["not-pinned"]);
        let pins: Pins = [(uses(), now.clone())].into();
        assert_eq!(codes(Some(&pins), Need::Every, &now), [""; 0]);
    }

    #[test]
    fn a_pin_that_makes_a_plugin_look_harmless_is_refused() {
        let secrets = Request { read: true, ..Request::new(Interface::Secrets, &["token"], "") };
        let now = Pin::of(&plugin("1.0.0", &[secrets]), &digest(1), 10);
        let told = Pin::of(&plugin("1.0.0", &[]), &digest(1), 10);
        let pins: Pins = [(uses(), told)].into();
        let problem = check(&definition(), Some(&pins), Need::AsWritten, |_| Some(now.clone())).remove(0);
        assert_eq!(problem.code, "wrong-pin");
        assert!(problem.message.contains("does not tell `asks for secrets token`"), "{}", problem.message);
    }

    #[test]
    fn a_difference_names_what_was_gained_and_lost() {
        let network = Request {
            network: vec![crate::grant::host::HostRule::parse("crates.example").unwrap()],
            ..Request::new(Interface::Tools, &["rust"], "")
        };
        let (old, new) =
            (Pin::of(&plugin("1.0.0", &[]), &digest(1), 10), Pin::of(&plugin("1.1.0", &[network]), &digest(2), 10));
        let difference = old.difference(&new);
        assert_eq!(difference.changed[0], "version 1.0.0 → 1.1.0");
        assert_eq!(difference.gained, ["asks for tools with a network to crates.example"]);
        assert!(difference.lost.is_empty() && !difference.is_empty());
        assert_eq!(new.difference(&old).lost, difference.gained);
        assert!(old.difference(&old).is_empty());
    }
}
