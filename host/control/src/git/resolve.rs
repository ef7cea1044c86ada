//! What the name of a ref stands for now.

use super::command::{git, run};
use super::error::Error;
use super::location::Location;
use super::refs;
use super::source::{ASK, Git, PRESENT_MAX};
use slipway_domain::Revision;
use slipway_domain::definition::Reference;
use std::path::Path;
use std::sync::PoisonError;

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

impl Git {
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
        let listed = run(command, ASK).await.map_err(|error| error.of(location))?;
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
        let broken = |revision: &Revision| revision.as_str().bytes().all(|digit| digit == b'0');
        match (tagged, branched) {
            (Some(revision), _) | (None, Some(revision)) if broken(&revision) => {
                Err(Error::BrokenReference { location: location.to_string(), reference: name.to_owned() })
            }
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
        command.args([
            "for-each-ref",
            "--format=%(refname) %(objectname) %(*objectname) %(*objecttype)",
            &tag,
            &branch,
        ]);
        let listed = run(command, ASK).await.ok()?;
        let listed = String::from_utf8_lossy(&listed);
        let found = |wanted: &str| {
            listed.lines().filter(|_| name == short || name == wanted).find_map(|line| {
                let mut words = line.split(' ');
                let (full, object, peeled, kind) = (words.next()?, words.next()?, words.next()?, words.next()?);
                if kind == "tag" {
                    // A tag of a tag, of which some versions of git show the inner one here.
                    return None;
                }
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
    pub(super) async fn resolve_known(
        &self,
        location: &Location,
        path: &Path,
        name: &str,
        short: &str,
    ) -> Option<Resolved> {
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
