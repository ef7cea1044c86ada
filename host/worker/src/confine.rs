//! What a worker gives up before it takes its first lease.
//!
//! Called before there is a second thread: what a thread gives up, those that are there already keep, and
//! they share its memory.

use crate::remove::remove_all;
use crate::tools::launcher::{Launcher, Settings};
use crate::tools::sandbox::{ETC_FOLDER, prepare_etc};
use slipway_confine::service;
use slipway_engine::Compiler;
use std::io;
use std::path::{Path, PathBuf};

/// The folders in which a worker works. It makes no others.
const FOLDERS: [&str; 4] = ["work", "sandboxes", "caches", "received"];
/// The folder of compiled code, which the worker neither reads nor writes: the compiler beside it does.
const CODE: &str = "code";
/// What an earlier process left half-done in them is of no use to anybody, and does not keep this one from
/// its work: each attempt has a folder of a new name.
const HALF_DONE: [&str; 2] = ["work", "sandboxes"];
/// Why a worker cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder cannot be used.
    #[error("cannot use the worker's folder `{}`", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The launcher of tools does not start.
    #[error("cannot start the launcher of tools")]
    Launcher(#[source] io::Error),
    /// The compiler does not start.
    #[error("cannot start the compiler")]
    Compiler(#[source] io::Error),
    /// What it has to give up, it cannot.
    #[error("cannot keep the worker to its own: {0}")]
    Confine(String),
}

/// A worker that has given up what it does not need. Made by [`prepare`].
pub struct Prepared {
    pub(crate) folder: PathBuf,
    pub(crate) launcher: Launcher,
    pub(crate) compiler: Compiler,
}

/// Makes the folders, starts the launcher of tools, and gives up everything else. `program` is this
/// program, and `shown` what its tools may be shown of the machine beside their work.
///
/// Where the kernel has no Landlock the worker says so and goes on: tools and guests have other layers, and
/// this one is against a worker that was taken over.
pub fn prepare(folder: &Path, program: &Path, shown: Vec<PathBuf>) -> Result<Prepared, Error> {
    let refused = |source| Error::Folder { folder: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(refused)?;
    // Where its links lead: a path is compared with it later.
    let folder = folder.canonicalize().map_err(refused)?;
    for part in HALF_DONE {
        let left = folder.join(part);
        if let Err(error) = remove_all(&left) {
            tracing::warn!(folder = %left.display(), %error, "cannot remove what an earlier worker left");
        }
    }
    FOLDERS.iter().try_for_each(|part| std::fs::create_dir_all(folder.join(part))).map_err(refused)?;
    prepare_etc(&folder).map_err(refused)?;
    let settings = Settings { folder: folder.clone(), shown, init: program.to_owned() };
    let launcher = Launcher::start(program, &settings).map_err(Error::Launcher)?;
    let compiler = Compiler::start(program, Some(&folder.join(CODE))).map_err(Error::Compiler)?;
    let read = [folder.join(ETC_FOLDER), program.to_owned()];
    let write: Vec<PathBuf> = FOLDERS.iter().map(|part| folder.join(part)).collect();
    if let Err(error) = service::keep(&read, &write).map_err(|error| Error::Confine(error.to_string()))? {
        tracing::warn!(%error, "a worker that is taken over could reach all files of its user");
    }
    Ok(Prepared { folder, launcher, compiler })
}
