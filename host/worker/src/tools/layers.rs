//! The layers of a sandbox, and which of them this machine has.
//!
//! Each stops what the others stop too: what matters most is refused by two of them at least.

use rustix::process::{Uid, getuid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

/// The program that makes namespaces.
pub const BUBBLEWRAP: &str = "bwrap";

/// A layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Users, processes, files, network and host name of its own, by bubblewrap.
    Namespaces,
    /// Files that can be reached at all, by Landlock.
    Files,
    /// System calls that are refused, by seccomp.
    SystemCalls,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 3] = [Self::Namespaces, Self::Files, Self::SystemCalls];
}

/// The layers that a tool is run with.
pub type Layers = BTreeSet<Layer>;

/// A layer that this machine does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub layer: Layer,
    /// What is missing.
    pub what: String,
    /// How to mend it.
    pub hint: String,
}

/// What this machine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Availability(pub Vec<Missing>);

impl Availability {
    /// The layers to run a tool with, or what to tell when some are missing and the operator has not
    /// chosen to do without.
    pub fn usable(&self, without: bool) -> Result<Layers, String> {
        if !self.0.is_empty() && !without {
            let missing: Vec<String> =
                self.0.iter().map(|missing| format!("{} ({})", missing.what, missing.hint)).collect();
            return Err(format!(
                "the worker cannot keep a tool in a sandbox, so it is not run: {}. `allow_unsandboxed_tools = true` in \
                 the operator's policy file runs tools all the same, with what the worker's user may do",
                missing.join("; ")
            ));
        }
        let missing: BTreeSet<Layer> = self.0.iter().map(|missing| missing.layer).collect();
        Ok(Layer::ALL.into_iter().filter(|layer| !missing.contains(layer)).collect())
    }
}

/// What this machine has. Once nothing is missing, nothing is looked for again.
pub fn here() -> Availability {
    static COMPLETE: Mutex<bool> = Mutex::new(false);
    let mut complete = COMPLETE.lock().unwrap_or_else(PoisonError::into_inner);
    if *complete {
        return Availability::default();
    }
    let found = probe();
    *complete = found.0.is_empty();
    found
}

/// Tries each layer.
pub fn probe() -> Availability {
    let files = slipway_confine::files::check().err().map(|error| Missing {
        layer: Layer::Files,
        what: error.to_string(),
        hint: "use Linux 5.19 or later with `landlock` among the kernel's security modules (`lsm=`)".into(),
    });
    let calls = slipway_confine::system_calls::check().err().map(|error| Missing {
        layer: Layer::SystemCalls,
        what: error.to_string(),
        hint: "use a kernel with CONFIG_SECCOMP_FILTER".into(),
    });
    Availability([namespaces(), files, calls].into_iter().flatten().collect())
}

/// Tries an empty sandbox.
fn namespaces() -> Option<Missing> {
    let tried = std::process::Command::new(BUBBLEWRAP)
        .args(["--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--", "/bin/true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let (what, hint) = match tried {
        Ok(output) if output.status.success() => return None,
        Ok(output) => (
            format!("bubblewrap cannot make a sandbox: {}", String::from_utf8_lossy(&output.stderr).trim()),
            "allow unprivileged user namespaces: `sysctl kernel.unprivileged_userns_clone=1`, or see \
             `kernel.apparmor_restrict_unprivileged_userns`",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (
            "`bwrap` is not installed".into(),
            "install bubblewrap: `apt-get install bubblewrap` or `dnf install bubblewrap`",
        ),
        Err(error) => (format!("cannot start `bwrap`: {error}"), "see whether it can be run by hand"),
    };
    Some(Missing { layer: Layer::Namespaces, what, hint: hint.into() })
}

/// Whether the kernel counts this user's processes: it does not for root.
pub fn counts_processes() -> bool {
    getuid() != Uid::ROOT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_runs_with_every_layer_or_by_the_operators_word() {
        let whole = Availability::default();
        assert_eq!(whole.usable(false).unwrap().len(), 3);
        let missing = Missing { layer: Layer::Files, what: "no Landlock".into(), hint: "a newer kernel".into() };
        let partly = Availability(vec![missing]);
        let refused = partly.usable(false).unwrap_err();
        assert!(refused.contains("no Landlock (a newer kernel)") && refused.contains("allow_unsandboxed_tools"));
        assert_eq!(partly.usable(true).unwrap(), [Layer::Namespaces, Layer::SystemCalls].into());
    }
}
