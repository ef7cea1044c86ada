//! Where a repository is.

use std::fmt;
use std::path::Path;
use url::Url;

/// The address of a repository: a path of this machine, or a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location(String);

/// Why a text is no address of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the address of a repository: {rule}")]
pub struct InvalidLocation {
    text: String,
    rule: &'static str,
}

impl Location {
    /// Takes an absolute path or an `http`, `https` or `ssh` URL. Everything else that git
    /// would take (`ext::`, `fd::`, `host:path`, options) is refused.
    pub fn parse(text: &str) -> Result<Self, InvalidLocation> {
        let refuse =
            |rule| Err(InvalidLocation { text: text.chars().take(200).flat_map(char::escape_debug).collect(), rule });
        if text.len() > 2_000 || text.chars().any(char::is_control) {
            return refuse("it has control characters or is too long");
        }
        if text.starts_with('/') {
            let plain = !Path::new(text).components().any(|part| part == std::path::Component::ParentDir);
            return if plain { Ok(Self(text.to_owned())) } else { refuse("a path has no `..` in it") };
        }
        let Ok(url) = Url::parse(text) else {
            return refuse("give an absolute path, or a URL such as `https://forge.example/shop.git`");
        };
        if !matches!(url.scheme(), "http" | "https" | "ssh") {
            return refuse("its scheme has to be `https`, `http` or `ssh`");
        }
        if url.password().is_some() {
            return refuse("a password does not belong into an address, where everybody reads it");
        }
        if url.host_str().is_none_or(|host| host.starts_with('-')) || url.username().starts_with('-') {
            return refuse("host and user cannot begin with `-`");
        }
        Ok(Self(url.into()))
    }

    /// The address as git takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path, when it is one.
    pub fn as_path(&self) -> Option<&Path> {
        self.0.starts_with('/').then(|| Path::new(&self.0))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_are_addresses() {
        for good in ["/srv/git/shop.git", "https://forge.example/shop.git", "ssh://git@forge.example:2222/shop"] {
            assert!(Location::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_could_make_git_run_something_is_refused() {
        for bad in [
            "",
            "shop.git",
            "../shop",
            "/srv/../etc",
            "--upload-pack=/tmp/x",
            "-oProxyCommand=x",
            "ext::sh -c id",
            "file:///etc",
            "git://forge.example/x",
            "host:path",
            "ssh://-oProxyCommand=x/y",
            "https://user:secret@forge.example/x",
            "https://forge.example/a\nb",
            "fd::17",
        ] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }
}
