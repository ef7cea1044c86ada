//! The demo app's own git repository, made on the spot.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{files, git};

/// What of the app's folder is no part of its repository.
const NOT_PART: [&str; 3] = ["variants", "target", ".git"];

/// The repository.
#[derive(Debug)]
pub(super) struct Repository {
    source: PathBuf,
    /// Where it is.
    pub(super) folder: PathBuf,
}

impl Repository {
    /// Makes an empty repository in `folder`; what goes into it comes from `source`.
    pub(super) fn create(source: &Path, folder: &Path) -> Result<Self> {
        let repository = Self { source: source.to_owned(), folder: folder.to_owned() };
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        repository.git(&["init", "--quiet", "--initial-branch=main"])?;
        Ok(repository)
    }

    /// Commits the app as it is at this version, and tags it. Each version is the original
    /// with its own variant laid over, where there is one.
    pub(super) fn tag(&self, version: &str, message: &str) -> Result<()> {
        files::copy_tree(&self.source, &self.folder, &NOT_PART)?;
        let variant = self.source.join("variants").join(version);
        if variant.is_dir() {
            files::copy_tree(&variant, &self.folder, &[])?;
        }
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message])?;
        self.git(&["tag", version])?;
        Ok(())
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        git::run(&self.folder, arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn each_version_is_the_original_with_its_own_variant() {
        let folder = tempfile::tempdir().unwrap();
        let (source, made) = (folder.path().join("source"), folder.path().join("made"));
        for (path, text) in [
            ("Cargo.toml", "0"),
            ("src/price.rs", "good"),
            ("src/health.rs", "good"),
            ("target/left.over", ""),
            ("variants/README.md", ""),
            ("variants/v1.0.1/src/price.rs", "bad"),
            ("variants/v1.0.2/src/health.rs", "bad"),
        ] {
            let path = source.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let repository = Repository::create(&source, &made).unwrap();
        for version in ["v1.0.0", "v1.0.1", "v1.0.2"] {
            repository.tag(version, "a change").unwrap();
        }
        let at = |what: &str| repository.git(&["show", what]).unwrap();
        assert_eq!((at("v1.0.1:src/price.rs"), at("v1.0.1:src/health.rs")), ("bad".into(), "good".into()));
        assert_eq!((at("v1.0.2:src/price.rs"), at("v1.0.2:src/health.rs")), ("good".into(), "bad".into()));
        let files = repository.git(&["ls-tree", "-r", "--name-only", "v1.0.0"]).unwrap();
        assert_eq!(files, "Cargo.toml\nsrc/health.rs\nsrc/price.rs\n");
    }
}
