//! Folders that outlive a stage, so that the second build is warm.
//!
//! A cache at an absolute path is shared by whoever runs at the same time (the tool locks
//! it itself). One inside `/work` is lent: moved into the workspace, and moved back when
//! the attempt is over, so that nobody else changes it meanwhile.

use crate::remove::remove_all;
use sha2::{Digest as _, Sha256};
use slipway_protocol::call::Cache;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The caches of a worker.
pub struct Caches {
    folder: PathBuf,
    /// Where each lent cache is, with the place that it goes back to.
    lent: Mutex<HashMap<PathBuf, PathBuf>>,
}

impl Caches {
    /// The caches below a folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, lent: Mutex::default() }
    }

    /// Makes a cache available. Returns the folder to bind, or `None` when it was moved into
    /// the workspace.
    pub fn lend(&self, cache: &Cache, work: &Path) -> io::Result<Option<PathBuf>> {
        let home = self.folder.join(hex::encode(Sha256::digest(cache.key.as_bytes())));
        if cache.to.starts_with('/') {
            std::fs::create_dir_all(&home)?;
            return Ok(Some(home));
        }
        let place = work.join(&cache.to);
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        // What the revision itself holds there is not covered up.
        if !lent.contains_key(&place) && std::fs::symlink_metadata(&place).is_err() {
            if home.is_dir() {
                std::fs::rename(&home, &place)?;
            }
            lent.insert(place, home);
        }
        Ok(None)
    }

    /// Moves back what was lent into a workspace. What somebody else has brought back first
    /// stays.
    pub fn take_back(&self, work: &Path) {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let places: Vec<PathBuf> = lent.keys().filter(|place| place.starts_with(work)).cloned().collect();
        for place in places {
            let Some(home) = lent.remove(&place) else { continue };
            let is_folder = std::fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_dir());
            if !is_folder || home.exists() {
                continue;
            }
            let back = std::fs::create_dir_all(&self.folder).and_then(|()| std::fs::rename(&place, &home));
            if let Err(error) = back {
                tracing::debug!(place = %place.display(), %error, "a cache is lost");
                // Best effort: the workspace that holds it is removed in any case.
                let _gone = remove_all(&place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(key: &str, to: &str) -> Cache {
        Cache { key: key.into(), to: to.into() }
    }

    #[test]
    fn a_lent_cache_comes_back_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let caches = Caches::new(folder.path().join("caches"));
        for round in 0..3 {
            let work = folder.path().join(format!("work{round}"));
            std::fs::create_dir(&work).unwrap();
            assert_eq!(caches.lend(&cache("k", "target"), &work).unwrap(), None);
            let marker = work.join("target/marker");
            assert_eq!(marker.exists(), round > 0);
            std::fs::create_dir_all(work.join("target")).unwrap();
            std::fs::write(&marker, "x").unwrap();
            caches.take_back(&work);
            assert!(!work.join("target").exists());
        }
        let work = folder.path().join("other");
        std::fs::create_dir(&work).unwrap();
        caches.lend(&cache("another key", "target"), &work).unwrap();
        assert!(!work.join("target").exists());
    }

    #[test]
    fn what_the_revision_holds_is_not_covered_and_a_link_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let caches = Caches::new(folder.path().join("caches"));
        let work = folder.path().join("work");
        std::fs::create_dir_all(work.join("target")).unwrap();
        caches.lend(&cache("k", "target"), &work).unwrap();
        caches.take_back(&work);
        assert!(work.join("target").exists(), "it belongs to the revision");
        std::fs::remove_dir(work.join("target")).unwrap();
        caches.lend(&cache("k", "target"), &work).unwrap();
        std::os::unix::fs::symlink("/etc", work.join("target")).unwrap();
        caches.take_back(&work);
        caches.lend(&cache("k", "target"), &folder.path().join("work2")).unwrap();
        assert!(!folder.path().join("work2/target").exists());
    }

    #[test]
    fn keys_are_told_apart_and_lead_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("caches");
        let caches = Caches::new(root.clone());
        let mut homes = std::collections::BTreeSet::new();
        for key in ["", "a", "A", "a/b", "../../etc", "/etc", &"long".repeat(200), "a\0b"] {
            let home = caches.lend(&cache(key, "/cache"), folder.path()).unwrap().unwrap();
            assert_eq!(home.parent(), Some(root.as_path()), "{key}");
            assert!(homes.insert(home), "{key}");
        }
    }

    #[test]
    fn a_shared_cache_is_the_same_folder_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let caches = Caches::new(folder.path().join("caches"));
        let one = caches.lend(&cache("k", "/cache/cargo"), folder.path()).unwrap();
        let two = caches.lend(&cache("k", "/cache/cargo"), folder.path()).unwrap();
        assert_eq!(one, two);
        assert!(one.unwrap().is_dir());
    }
}
