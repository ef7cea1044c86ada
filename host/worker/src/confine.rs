//! What a worker gives up before it takes its first lease.
//!
//! Called before there is a second thread: what a thread gives up, those that are there already keep, and
//! they share its memory.

use crate::remove::remove_all;
use crate::tools::launcher::{Launcher, Settings};
use crate::tools::sandbox::prepare_etc;
use slipway_confine::files::{self, Files};
use slipway_confine::{process, system_calls};
use std::io;
use std::path::{Path, PathBuf};

/// The folders in which a worker works. It makes no others.
const FOLDERS: [&str; 5] = ["work", "sandboxes", "caches", "received", "code"];
/// What an earlier process left half-done in them is of no use to anybody, and does not keep this one from
/// its work: each attempt has a folder of a new name.
const HALF_DONE: [&str; 2] = ["work", "sandboxes"];
/// What of the machine it reads: libraries, names of hosts, certificates, time zones, itself.
const READ: [&str; 20] = [
    "/usr",
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ssl",
    "/etc/ca-certificates",
    "/etc/pki",
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/localtime",
    "/proc",
    "/sys/devices/system/cpu",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/urandom",
];
/// Devices that do nothing.
const WRITE: [&str; 2] = ["/dev/null", "/dev/zero"];

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
    /// What it has to give up, it cannot.
    #[error("cannot keep the worker to its own: {0}")]
    Confine(String),
}

/// A worker that has given up what it does not need. Made by [`prepare`].
pub struct Prepared {
    pub(crate) folder: PathBuf,
    pub(crate) launcher: Launcher,
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
    let confine = |error: &dyn std::error::Error| Error::Confine(error.to_string());
    process::close_to_others().map_err(|error| confine(&error))?;
    let files = Files {
        read: READ.iter().map(PathBuf::from).chain([folder.clone(), program.to_owned()]).collect(),
        write: WRITE.iter().map(PathBuf::from).chain(FOLDERS.iter().map(|part| folder.join(part))).collect(),
        connect: true,
    };
    if let Err(error) = files::keep_to(&files) {
        tracing::warn!(%error, "a worker that is taken over could reach all files of its user");
    }
    system_calls::refuse().map_err(|error| confine(&error))?;
    Ok(Prepared { folder, launcher })
}
