//! Resolving refs, fetching revisions into a bare mirror, reading from them.

use super::archive;
use super::command::{git, run};
use super::location::Location;
use super::refs;
use sha2::{Digest as _, Sha256};
use slipway_domain::Revision;
use slipway_domain::definition::Reference;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a question to a repository may take.
const ASK: Duration = Duration::from_secs(30);
/// How long a fetch may take.
const FETCH: Duration = Duration::from_secs(300);
/// How long reading from a mirror may take.
const READ: Duration = Duration::from_secs(60);

/// How many commits and objects are remembered; git itself is asked about others.
const PRESENT_MAX: usize = 10_000;

/// Why git did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The git program is missing.
    #[error("the program `git` is not installed")]
    NoGit,
    /// The address leads to no repository.
    #[error("`{location}` is not a git repository that can be read: {message}")]
    NotARepository {
        /// The address.
        location: String,
        /// What git says.
        message: String,
    },
    /// A name that no ref can have.
    #[error("`{0}` is not the name of a branch or tag, nor a full object name")]
    InvalidReference(String),
    /// The repository has no such ref.
    #[error("`{location}` has no branch, tag or commit `{reference}`")]
    UnknownReference {
        /// The address.
        location: String,
        /// What was asked for.
        reference: String,
    },
    /// A revision holds what is not laid out.
    #[error("revision `{revision}` cannot be used: {reason}")]
    Unusable {
        /// The revision.
        revision: String,
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("git did not end within {seconds} s")]
    Timeout {
        /// The time it had.
        seconds: u64,
    },
    /// Git said no.
    #[error("git: {message}")]
    Git {
        /// What it says.
        message: String,
    },
    /// The machine.
    #[error("{what}")]
    Io {
        /// What did not work.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a name of a ref stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The commit.
    pub revision: Revision,
    /// Tag, branch or the commit itself.
    pub reference: Reference,
}

impl Resolved {
    /// The full name of the ref, or the revision.
    pub fn full_name(&self) -> String {
        match &self.reference {
            Reference::Tag(name) => format!("refs/tags/{name}"),
            Reference::Branch(name) => format!("refs/heads/{name}"),
            Reference::Revision => self.revision.to_string(),
        }
    }
}

/// The mirrors of all repositories.
#[derive(Debug, Clone)]
pub struct Git {
    folder: PathBuf,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Commits known to be in a mirror.
    present: Mutex<HashSet<(Location, Revision)>>,
    /// Which commits the objects of refs are or point to.
    commits: Mutex<HashMap<(Location, String), Revision>>,
    /// One fetch at a time for each mirror.
    fetching: Mutex<HashMap<Location, Arc<tokio::sync::Mutex<()>>>>,
}

impl Git {
    /// Mirrors below a folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, state: Arc::default() }
    }

    /// Asks the repository itself what a name stands for now. A full object name is taken as
    /// it is; [`Self::fetch`] finds out whether it is there.
    pub async fn resolve(&self, location: &Location, name: &str) -> Result<Resolved, Error> {
        if let Ok(revision) = Revision::new(name) {
            return Ok(Resolved { revision, reference: Reference::Revision });
        }
        let short = name.strip_prefix("refs/tags/").or_else(|| name.strip_prefix("refs/heads/")).unwrap_or(name);
        if !is_ref_name(short) {
            return Err(Error::InvalidReference(name.chars().take(100).flat_map(char::escape_debug).collect()));
        }
        if let Some(found) = self.resolve_local(location, name, short).await {
            return Ok(found);
        }
        let tag = format!("refs/tags/{short}");
        let peeled = format!("{tag}^{{}}");
        let branch = format!("refs/heads/{short}");
        let mut command = git(None);
        command.args(["ls-remote", "--quiet", "--end-of-options", location.as_str(), &tag, &peeled, &branch]);
        let listed = run(command, ASK).await.map_err(|error| not_a_repository(location, error))?;
        let listed = String::from_utf8_lossy(&listed);
        let found = |wanted: &str| {
            listed.lines().find_map(|line| {
                let (revision, name) = line.split_once('\t')?;
                (name == wanted).then(|| Revision::new(revision).ok())?
            })
        };
        // An annotated tag is a tag object; the commit is what it points to.
        let tagged = found(&peeled).or_else(|| found(&tag)).filter(|_| !name.starts_with("refs/heads/"));
        let branched = found(&branch).filter(|_| !name.starts_with("refs/tags/"));
        match (tagged, branched) {
            (Some(revision), _) => Ok(Resolved { revision, reference: Reference::Tag(short.to_owned()) }),
            (None, Some(revision)) => Ok(Resolved { revision, reference: Reference::Branch(short.to_owned()) }),
            (None, None) => Err(Error::UnknownReference { location: location.to_string(), reference: name.to_owned() }),
        }
    }

    /// The quick ways for a repository of this machine: no process where the object is known,
    /// one instead of two where it is not. `None` where the slow way has to tell. Only refs of
    /// exactly these names count: git's own guessing (`rev-parse`) would take a branch
    /// `refs/tags/v1`, or `x-g0123abc`, for a tag.
    async fn resolve_local(&self, location: &Location, name: &str, short: &str) -> Option<Resolved> {
        let path = location.as_path()?;
        let (tag, branch) = (format!("refs/tags/{short}"), format!("refs/heads/{short}"));
        if let Some(known) = self.resolve_known(location, path, name, short).await {
            return Some(known);
        }
        let mut command = git(None);
        // In the repository itself, and in none around it.
        command.env("GIT_CEILING_DIRECTORIES", path.parent().unwrap_or(path)).current_dir(path);
        command.args(["for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", &tag, &branch]);
        let listed = run(command, ASK).await.ok()?;
        let listed = String::from_utf8_lossy(&listed);
        let found = |wanted: &str| {
            listed.lines().filter(|_| name == short || name == wanted).find_map(|line| {
                let mut words = line.split(' ');
                let (full, object, peeled) = (words.next()?, words.next()?, words.next()?);
                let commit = if peeled.is_empty() { object } else { peeled };
                let revision = (full == wanted).then(|| Revision::new(commit).ok())??;
                self.remember(location, object, &revision);
                Some(revision)
            })
        };
        let resolved = |reference| move |revision| Resolved { revision, reference };
        found(&tag)
            .map(resolved(Reference::Tag(short.to_owned())))
            .or_else(|| found(&branch).map(resolved(Reference::Branch(short.to_owned()))))
    }

    /// What a name stands for, when the files of its ref name an object that git was asked about
    /// before: what an object is never changes.
    async fn resolve_known(&self, location: &Location, path: &Path, name: &str, short: &str) -> Option<Resolved> {
        let (tag, branch) = (format!("refs/tags/{short}"), format!("refs/heads/{short}"));
        let wanted: Vec<String> = [tag, branch].into_iter().filter(|full| name == short || name == full).collect();
        let path = path.to_owned();
        let look = move || -> Option<(String, String)> {
            let folder = refs::folder(&path)?;
            for full in wanted {
                match refs::read(&folder, &full) {
                    refs::Found::Object(object) => return Some((full, object)),
                    refs::Found::Nothing => {}
                    refs::Found::AskGit => return None,
                }
            }
            None
        };
        let (full, object) = tokio::task::spawn_blocking(look).await.ok()??;
        let known = self.state.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = known.get(&(location.clone(), object))?.clone();
        drop(known);
        let is_tag = full.starts_with("refs/tags/");
        let reference = if is_tag { Reference::Tag(short.to_owned()) } else { Reference::Branch(short.to_owned()) };
        Some(Resolved { revision, reference })
    }

    /// Remembers which commit an object is or points to.
    fn remember(&self, location: &Location, object: &str, revision: &Revision) {
        let mut known = self.state.commits.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PRESENT_MAX {
            known.clear();
        }
        known.insert((location.clone(), object.to_owned()), revision.clone());
    }

    /// Whether an address leads to a repository.
    pub async fn check(&self, location: &Location) -> Result<(), Error> {
        let mut command = git(None);
        command.args(["ls-remote", "--quiet", "--end-of-options", location.as_str(), "HEAD"]);
        run(command, ASK).await.map(drop).map_err(|error| not_a_repository(location, error))
    }

    /// Makes sure that a commit is in the mirror. A fetch goes on when nobody waits for it any
    /// more: one that is broken off leaves its locks behind.
    pub async fn fetch(&self, location: &Location, revision: &Revision) -> Result<(), Error> {
        if self.is_present(location, revision) {
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
                    Err(error) => not_a_repository(location, error),
                    Ok(_) => Error::Unusable { revision: revision.to_string(), reason: "it is not a commit".into() },
                });
            }
        }
        let mut present = self.state.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.len() >= PRESENT_MAX {
            present.clear();
        }
        present.insert((location.clone(), revision.clone()));
        Ok(())
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

#[expect(clippy::wildcard_enum_match_arm, reason = "every other error says what it is")]
fn not_a_repository(location: &Location, error: Error) -> Error {
    match error {
        Error::Git { message } => Error::NotARepository { location: location.to_string(), message },
        other => other,
    }
}

/// The rules of git-check-ref-format(1), as far as they keep a name apart from patterns,
/// options and revision syntax.
fn is_ref_name(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let clean = |c: char| !c.is_control() && !c.is_whitespace() && !"~^:?*[\\".contains(c);
    name.len() <= 250
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && name != "@"
        && name.chars().all(clean)
        && name.split('/').all(part)
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
