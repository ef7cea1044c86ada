//! A pipeline as its file defines it, once it is known to be well formed.

use crate::grant::Grants;
use crate::name::{PipelineName, StageName};
use std::fmt;
use std::time::Duration;

/// How long a stage may take when its definition does not say.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30 * 60);
/// The longest that a definition may ask for.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How many stages a pipeline may have.
pub const STAGES_MAX: usize = 64;

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: PipelineName,
    /// What starts it by itself.
    pub triggers: Triggers,
    /// Its stages, in the order of the file.
    pub stages: Vec<StageDefinition>,
}

/// What starts a pipeline by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Triggers {
    /// Branches, by pattern.
    pub push: Vec<Pattern>,
    /// Tags, by pattern.
    pub tag: Vec<Pattern>,
    /// Pull requests, with the lowest trust.
    pub pull_request: bool,
}

/// One stage of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageDefinition {
    /// Its name.
    pub name: StageName,
    /// The plugin.
    pub uses: Uses,
    /// The plugin's configuration, as JSON text.
    pub with: String,
    /// The stages it needs.
    pub needs: Vec<StageName>,
    /// What the pipeline grants it.
    pub grants: Grants,
    /// The environment it changes.
    pub environment: Option<String>,
    /// When it runs.
    pub when: When,
    /// How long each call of it may take.
    pub timeout: Duration,
    /// The limit on its memory, when it is not the default.
    pub memory_bytes_max: Option<u64>,
}

/// Which plugin a stage uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Uses {
    /// One that the server has, by name and the beginning of its version.
    Named {
        /// The plugin's name.
        name: String,
        /// `1`, `1.2` or `1.2.3`.
        version: String,
    },
    /// A component in the repository.
    Path(String),
}

/// Why a text does not name a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUses {
    /// Neither form.
    #[error("`{0}` is neither `name@version` nor a path that begins with `./`")]
    Form(String),
    /// A path that leaves the repository.
    #[error("`{0}` leads out of the repository")]
    Outside(String),
}

impl Uses {
    /// Reads `name@version` or `./path/in/repository.wasm`.
    pub fn parse(text: &str) -> Result<Self, InvalidUses> {
        if let Some(path) = text.strip_prefix("./") {
            let inside = path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && part != ".git");
            let clean = path.chars().all(|c| !c.is_control());
            return if inside && clean && path.len() <= 1024 {
                Ok(Self::Path(path.to_owned()))
            } else {
                Err(InvalidUses::Outside(text.escape_debug().to_string()))
            };
        }
        let word = |text: &str| {
            !text.is_empty()
                && text.len() <= 40
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        let number = |text: &str| !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.split_once('@') {
            Some((name, version))
                if word(name) && version.split('.').count() <= 3 && version.split('.').all(number) =>
            {
                Ok(Self::Named { name: name.to_owned(), version: version.to_owned() })
            }
            Some(_) | None => Err(InvalidUses::Form(text.escape_debug().to_string())),
        }
    }

    /// Whether a plugin's full version is among those asked for: `1` takes any `1.x.y`.
    pub fn accepts(&self, name: &str, version: &str) -> bool {
        match self {
            Self::Named { name: wanted, version: beginning } => {
                wanted == name
                    && (version == beginning
                        || version.strip_prefix(beginning.as_str()).is_some_and(|rest| rest.starts_with('.')))
            }
            Self::Path(_) => false,
        }
    }
}

impl fmt::Display for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { name, version } => write!(f, "{name}@{version}"),
            Self::Path(path) => write!(f, "./{path}"),
        }
    }
}

/// A pattern for the names of branches and tags, in which `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Takes a pattern.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name fits. Takes time linear in the name for each `*`.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
            return false;
        };
        let parts: Vec<&str> = parts.collect();
        let Some((last, middle)) = parts.split_last() else {
            return rest.is_empty();
        };
        for part in middle {
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

/// When a stage runs; without conditions, always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    /// Only for tags that fit.
    pub tag: Option<Pattern>,
    /// Only for branches that fit.
    pub branch: Option<Pattern>,
}

impl When {
    /// Whether the stage runs for a ref.
    pub fn holds(&self, reference: &Reference) -> bool {
        let fits = |pattern: &Option<Pattern>, name: Option<&str>| {
            pattern.as_ref().is_none_or(|pattern| name.is_some_and(|name| pattern.matches(name)))
        };
        fits(&self.tag, reference.tag()) && fits(&self.branch, reference.branch())
    }
}

/// What a run was triggered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A tag, by its short name.
    Tag(String),
    /// A branch, by its short name.
    Branch(String),
    /// A commit itself.
    Revision,
}

impl Reference {
    /// The short name of the tag.
    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Tag(name) => Some(name),
            Self::Branch(_) | Self::Revision => None,
        }
    }

    /// The short name of the branch.
    pub fn branch(&self) -> Option<&str> {
        match self {
            Self::Branch(name) => Some(name),
            Self::Tag(_) | Self::Revision => None,
        }
    }

    /// The version that a tag stands for: `v1.2.3` or `1.2.3` gives `1.2.3`. Follows the
    /// grammar of Semantic Versioning 2.0.0 for the three numbers; what comes after them
    /// (pre-release, build) is kept as it is.
    pub fn version(&self) -> Option<String> {
        let tag = self.tag()?;
        let text = tag.strip_prefix('v').unwrap_or(tag);
        let core = text.split(['-', '+']).next().unwrap_or(text);
        let number = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && (part == "0" || !part.starts_with('0'))
        };
        (core.split('.').count() == 3 && core.split('.').all(number)).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plugin_is_named_by_name_and_version_or_by_path() {
        assert_eq!(Uses::parse("cargo@1"), Ok(Uses::Named { name: "cargo".into(), version: "1".into() }));
        assert_eq!(Uses::parse("./ci/lint.wasm"), Ok(Uses::Path("ci/lint.wasm".into())));
        for bad in [
            "cargo",
            "cargo@",
            "cargo@x",
            "@1",
            "cargo@1.2.3.4",
            "./../x",
            "./a//b",
            "./.git/config",
            "/etc/passwd",
            "./",
        ] {
            assert!(Uses::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_beginning_of_a_version_accepts_what_goes_on_after_a_dot() {
        let uses = Uses::parse("cargo@1").unwrap();
        assert!(uses.accepts("cargo", "1.4.0"));
        assert!(!uses.accepts("cargo", "10.0.0"));
        assert!(!uses.accepts("cargo-test", "1.0.0"));
    }

    #[test]
    fn a_tag_in_the_form_of_a_version_is_one() {
        let version = |tag: &str| Reference::Tag(tag.into()).version();
        assert_eq!(version("v1.2.3").as_deref(), Some("1.2.3"));
        assert_eq!(version("1.2.3-rc.1").as_deref(), Some("1.2.3-rc.1"));
        for other in ["v1.2", "nightly", "v01.2.3", "v1.2.x"] {
            assert_eq!(version(other), None, "{other}");
        }
    }

    #[test]
    fn conditions_hold_for_the_refs_they_name() {
        let when = When { tag: Some(Pattern::new("v*")), branch: None };
        assert!(when.holds(&Reference::Tag("v1.0.0".into())));
        assert!(!when.holds(&Reference::Tag("nightly".into())));
        assert!(!when.holds(&Reference::Branch("v1".into())));
        assert!(When::default().holds(&Reference::Revision));
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_stars_were_filled_with(parts in proptest::collection::vec("[a-c./]{0,4}", 1..5), fill in "[a-c/]{0,5}") {
            prop_assert!(Pattern::new(parts.join("*")).matches(&parts.join(&fill)));
        }

        #[test]
        fn a_pattern_without_stars_matches_itself_only(text in "[a-z]{0,6}", other in "[a-z]{0,6}") {
            prop_assert_eq!(Pattern::new(text.clone()).matches(&other), text == other);
        }
    }
}
