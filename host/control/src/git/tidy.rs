//! A mirror keeps what was fetched last. Everything in it can be fetched again, so what is older
//! goes, and the packs of many small fetches become one.

use super::command::{git, run};
use super::error::Error;
use super::location::Location;
use super::source::Git;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

/// How many revisions a mirror holds at most, and how many of them stay when that is too many.
pub(super) const REVISIONS: Keep = Keep { at_most: 512, stay: 256 };
/// How long putting a mirror in order may take.
const TIDY: Duration = Duration::from_secs(600);

/// When revisions are thrown away, and how many are not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// Up to so many nothing is done.
    pub(super) at_most: usize,
    /// So many stay, the newest.
    pub(super) stay: usize,
}

impl Git {
    /// Throws away the oldest revisions of a mirror when there are too many. Called in the
    /// mirror's turn. What is asked for again is fetched again.
    pub(super) async fn tidy(&self, location: &Location, mirror: &Path, keep: Keep) -> Result<(), Error> {
        let refs = mirror.join("refs/slipway");
        let list = move || -> std::io::Result<Vec<(SystemTime, std::path::PathBuf)>> {
            let entries = std::fs::read_dir(refs)?;
            entries.map(|entry| entry.and_then(|entry| Ok((entry.metadata()?.modified()?, entry.path())))).collect()
        };
        let broken = |source| Error::Io { what: "cannot look through a mirror", source };
        let listed = tokio::task::spawn_blocking(list).await.map_err(std::io::Error::other).map_err(broken)?;
        let mut fetched = listed.map_err(broken)?;
        if fetched.len() <= keep.at_most {
            return Ok(());
        }
        fetched.sort_by(|one, other| other.cmp(one));
        {
            // First: what is no longer known to be there is looked for before it is used.
            let mut present = self.state.present.lock().unwrap_or_else(PoisonError::into_inner);
            present.retain(|(of, _)| of != location);
        }
        for (_, old) in fetched.iter().skip(keep.stay) {
            tokio::fs::remove_file(old).await.map_err(broken)?;
        }
        let mut command = git(Some(mirror));
        command.args(["gc", "--quiet", "--prune=now"]);
        run(command, TIDY).await.map(drop)
    }
}
