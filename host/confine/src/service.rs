//! What a process of the host's gives up that runs what is not trusted: a worker, the app host.

use crate::files::{self, Files};
use crate::{process, system_calls};
use std::path::PathBuf;

/// What of the machine a service reads: libraries, names of hosts, certificates, time zones, itself.
const READ: [&str; 24] = [
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
    // Its own, and of all the others nothing: Landlock lets a process read the environment of every other one
    // of its user.
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/urandom",
];
/// Devices that do nothing.
const WRITE: [&str; 2] = ["/dev/null", "/dev/zero"];

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process can be looked into.
    #[error("the process cannot be closed to others")]
    Process(#[from] nix::Error),
    /// The kernel refuses no calls.
    #[error(transparent)]
    SystemCalls(#[from] system_calls::Error),
}

/// Gives up everything but what a service needs, and these files and folders. Called before there is a
/// second thread: what one gives up, those that are there already keep, and they share its memory.
///
/// Where the kernel has no Landlock, that is told in the result and everything else holds: for what is run
/// there are other layers, and this one is against a process that was taken over.
pub fn keep(read: &[PathBuf], write: &[PathBuf]) -> Result<Result<(), files::Error>, Error> {
    process::close_to_others()?;
    let all = |own: &[&str], more: &[PathBuf]| own.iter().map(PathBuf::from).chain(more.iter().cloned()).collect();
    let kept = files::keep_to(&Files { read: all(&READ, read), write: all(&WRITE, write), connect: true });
    system_calls::refuse()?;
    Ok(kept)
}
