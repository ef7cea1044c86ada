//! Fetching revisions into a bare mirror, and reading from them.

use super::archive;
use super::command::{git, run};
use super::error::Error;
use super::location::Location;
use super::tidy;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use sha2::{Digest as _, Sha256};
use slipway_domain::Revision;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a question to a repository may take.
pub(super) const ASK: Duration = Duration::from_secs(30);
/// How long a fetch may take.
const FETCH: Duration = Duration::from_secs(300);
/// How long reading from a mirror may take.
const READ: Duration = Duration::from_secs(60);

/// How many commits and objects are remembered; git itself is asked about others.
pub(super) const PRESENT_MAX: usize = 10_000;

/// The mirrors of all repositories.
#[derive(Debug, Clone)]
pub struct Git {
    folder: PathBuf,
    pub(super) state: Arc<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Commits known to be in a mirror.
    pub(super) present: Mutex<HashSet<(Location, Revision)>>,
    /// Which commits the objects of refs are or point to.
    pub(super) commits: Mutex<HashMap<(Location, String), Revision>>,
    /// One fetch at a time for each mirror.
    pub(super) fetching: Mutex<HashMap<Location, Arc<tokio::sync::Mutex<()>>>>,
}

impl Git {
    /// Mirrors below a folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, state: Arc::default() }
    }

    /// Whether an address leads to a repository.
    pub async fn check(&self, location: &Location) -> Result<(), Error> {
        let mut command = git(None);
        command.args(["ls-remote", "--quiet", "--end-of-options", location.as_str(), "HEAD"]);
        run(command, ASK).await.map(drop).map_err(|error| error.of(location))
    }

    /// Makes sure that a commit is in the mirror. A fetch goes on when nobody waits for it any
    /// more: one that is broken off leaves its locks behind.
    pub async fn fetch(&self, location: &Location, revision: &Revision) -> Result<(), Error> {
        if self.is_present(location, revision) {
            self.used(location, revision).await;
            return Ok(());
        }
        let (git, location, revision) = (self.clone(), location.clone(), revision.clone());
        let fetch = tokio::spawn(async move { git.fetch_in_turn(&location, &revision).await });
        let ended = |error| Error::Io { what: "a fetch broke off", source: io::Error::other(error) };
        fetch.await.map_err(ended)?
    }

    async fn fetch_in_turn(&self, location: &Location, revision: &Revision) -> Result<(), Error> {
        let turn = {
            let mut fetching = self.state.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            // A turn that nobody has or waits for is not kept.
            fetching.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(fetching.entry(location.clone()).or_default())
        };
        let _turn = turn.lock().await;
        let mirror = self.mirror(location).await?;
        if !self.is_present(location, revision) && !has_commit(&mirror, revision).await? {
            remove_stale_locks(&mirror, revision).await;
            let mut command = git(Some(&mirror));
            command.args([
                "fetch",
                "--quiet",
                "--depth=1",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-recurse-submodules",
            ]);
            command.args(["--end-of-options", location.as_str()]);
            command.arg(format!("{revision}:refs/slipway/{revision}"));
            let fetched = run(command, FETCH).await;
            if !has_commit(&mirror, revision).await? {
                return Err(match fetched {
                    Err(Error::Git { message })
                        if message.contains("not our ref") || message.contains("couldn't find remote") =>
                    {
                        Error::UnknownReference { location: location.to_string(), reference: revision.to_string() }
                    }
                    Err(error) => error.of(location),
                    Ok(_) => Error::Unusable { revision: revision.to_string(), reason: "it is not a commit".into() },
                });
            }
            if let Err(error) = self.tidy(location, &mirror, tidy::REVISIONS).await {
                // The commit is there; the next fetch tries again.
                tracing::warn!(mirror = %mirror.display(), error = &error as &dyn std::error::Error, "a mirror stays untidy");
            }
        }
        self.used(location, revision).await;
        let mut present = self.state.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.len() >= PRESENT_MAX {
            present.clear();
        }
        present.insert((location.clone(), revision.clone()));
        Ok(())
    }

    /// Notes that a revision is wanted now, so that it is among the last to be thrown away.
    async fn used(&self, location: &Location, revision: &Revision) {
        let file = self.mirror_path(location).join("refs/slipway").join(revision.as_str());
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let touch =
            move || utimensat(CWD, &file, &Timestamps { last_access: now, last_modification: now }, AtFlags::empty());
        // One that is not there is fetched when it is looked for.
        let _gone = tokio::task::spawn_blocking(touch).await.is_ok_and(|touched| touched.is_err());
    }

    /// Reads a file of a fetched commit; `None` when it has none of that path. A file larger
    /// than `bytes_max` is refused.
    pub async fn read(
        &self,
        location: &Location,
        revision: &Revision,
        path: &str,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        let mirror = self.mirror_path(location);
        let mut command = git(Some(&mirror));
        command.args(["ls-tree", "-z", "-l", "--full-tree", "--end-of-options", revision.as_str(), "--", path]);
        let listed = run(command, READ).await?;
        let Some(entry) = archive::entries(&listed).find(|entry| entry.path == path.as_bytes()) else {
            return Ok(None);
        };
        if entry.kind != "blob" || entry.mode == "120000" {
            let reason = format!("`{path}` is not a regular file");
            return Err(Error::Unusable { revision: revision.to_string(), reason });
        }
        if entry.size > bytes_max {
            let reason = format!("`{path}` has {} bytes, more than {bytes_max}", entry.size);
            return Err(Error::Unusable { revision: revision.to_string(), reason });
        }
        let mut command = git(Some(&mirror));
        command.args(["cat-file", "blob", &entry.object]);
        run(command, READ).await.map(Some)
    }

    /// Refuses a fetched commit whose files cannot be laid out.
    pub async fn check_files(&self, location: &Location, revision: &Revision) -> Result<(), Error> {
        archive::check(&self.mirror_path(location), revision).await.map(drop)
    }

    /// Writes a fetched commit's files as a tar archive.
    pub async fn archive(&self, location: &Location, revision: &Revision, to: &Path) -> Result<(), Error> {
        archive::write(&self.mirror_path(location), revision, to).await
    }

    fn is_present(&self, location: &Location, revision: &Revision) -> bool {
        let present = self.state.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.contains(&(location.clone(), revision.clone()))
    }

    fn mirror_path(&self, location: &Location) -> PathBuf {
        let name = hex::encode(Sha256::digest(location.as_str().as_bytes()));
        self.folder.join(name.get(..32).unwrap_or(&name)).with_extension("git")
    }

    async fn mirror(&self, location: &Location) -> Result<PathBuf, Error> {
        let path = self.mirror_path(location);
        if !tokio::fs::try_exists(path.join("HEAD")).await.unwrap_or(false) {
            let folder = |source| Error::Io { what: "cannot make the folder of mirrors", source };
            tokio::fs::create_dir_all(&self.folder).await.map_err(folder)?;
            // Under another name first: half a mirror would be taken for a whole one.
            let begun = path.with_extension("new");
            if let Err(error) = tokio::fs::remove_dir_all(&begun).await
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(folder(error));
            }
            let mut command = git(None);
            command.args(["init", "--quiet", "--bare", "--template=", "--end-of-options"]).arg(&begun);
            run(command, READ).await?;
            tokio::fs::rename(&begun, &path).await.map_err(folder)?;
        }
        Ok(path)
    }
}

/// Removes the locks that a fetch left which was killed, by its time limit or together with
/// an earlier process. Called in the mirror's turn, when nobody else writes there.
async fn remove_stale_locks(mirror: &Path, revision: &Revision) {
    let locks = ["shallow.lock", "packed-refs.lock", "config.lock", "HEAD.lock"].map(|name| mirror.join(name));
    for lock in locks.into_iter().chain([mirror.join(format!("refs/slipway/{revision}.lock"))]) {
        if tokio::fs::remove_file(&lock).await.is_ok() {
            tracing::warn!(lock = %lock.display(), "a lock was left by a fetch that broke off");
        }
    }
}

async fn has_commit(mirror: &Path, revision: &Revision) -> Result<bool, Error> {
    let mut command = git(Some(mirror));
    command.args(["cat-file", "-e", &format!("{revision}^{{commit}}")]);
    match run(command, READ).await {
        Ok(_) => Ok(true),
        Err(Error::Git { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
