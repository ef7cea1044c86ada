//! Names and ids as types, so that one is never taken for another.
//!
//! Each has one way in, which refuses what would be unsafe or ambiguous in a path, a
//! URL, a host name or a Kubernetes label.

use std::fmt;
use std::str::FromStr;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {kind}: {rule}", shown(.text))]
pub struct InvalidName {
    /// What was expected, with its article: `a stage name`.
    pub kind: &'static str,
    /// What was given.
    pub text: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

/// Cuts and escapes a hostile name for a message.
fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().count() > 64 {
        out.push('…');
    }
    out
}

const LABEL: &str = "use 1 to 40 characters of a-z, 0-9 and `-`, beginning and ending with a letter or digit";

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    bytes.len() <= 40 && bytes.iter().all(inner) && edge(bytes.first()) && edge(bytes.last())
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $rule:expr, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Takes a text that follows the rule.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidName { kind: $kind, text, rule: $rule })
                }
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The name of a pipeline, unique on a server.
    PipelineName, "a pipeline name", LABEL, is_label
);
name!(
    /// The name of a stage, unique in its pipeline.
    StageName, "a stage name", LABEL, is_label
);
name!(
    /// The name of an app: also a DNS label, since apps are reached by host name.
    AppName, "an app name", LABEL, is_label
);
name!(
    /// The name of an operator's toolchain entry.
    ToolName, "a tool name", LABEL, is_label
);
name!(
    /// The name of a secret of a pipeline.
    SecretName, "a secret name", LABEL, is_label
);
name!(
    /// The id of a run: a ULID, so that ids sort by time.
    RunId, "a run id", "a run id is 26 characters of Crockford's base 32, as listed by `slipway runs`",
    |text| text.len() == 26 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
);
name!(
    /// The id of a release.
    ReleaseId, "a release id", "a release id is 26 characters of Crockford's base 32, as listed by `slipway releases`",
    |text| text.len() == 26 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
);
name!(
    /// A commit: the full name of a git object, SHA-1 or SHA-256, in lower-case hex.
    Revision, "a revision", "give the full object name: 40 (or 64) lower-case hex digits",
    |text| is_hex(text, 40) || is_hex(text, 64)
);
name!(
    /// The digest of some bytes: `sha256:` and 64 lower-case hex digits.
    Digest, "a digest", "a digest is `sha256:` and 64 lower-case hex digits",
    |text| text.strip_prefix("sha256:").is_some_and(|hex| is_hex(hex, 64))
);

impl Digest {
    /// The hex digits without the algorithm.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }
}

/// The fence of a lease: a number that rises with every lease given on a server, so that
/// whoever holds an older one is known to have lost it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_stage_name() {
        for good in ["a", "build", "build-2", "0", &"a".repeat(40)] {
            assert!(StageName::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_is_unsafe_in_a_path_or_host_name_is_not_a_stage_name() {
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "..", "a b", "ä", "a\n", &"a".repeat(41)] {
            assert!(StageName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_revision_is_a_full_object_name() {
        assert!(Revision::new("0123456789abcdef0123456789abcdef01234567").is_ok());
        for bad in ["HEAD", "0123456", "--upload-pack=x", "0123456789ABCDEF0123456789abcdef01234567"] {
            assert!(Revision::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_hostile_name_is_cut_and_escaped_in_the_message() {
        let message = StageName::new("\u{1b}[31m".repeat(100)).unwrap_err().to_string();
        assert!(!message.contains('\u{1b}'));
        assert!(message.chars().count() < 500, "{message}");
    }
}
