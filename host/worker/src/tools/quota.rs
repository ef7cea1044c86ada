//! What a tool may write: looked at from outside while it runs, since no file system that is found
//! everywhere counts it.

use super::launcher::Order;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long after its start, and at least how often, is looked.
const PAUSE: Duration = Duration::from_secs(1);
/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 20;
/// How much of the file system stays free for others, in bytes.
const SPARE_BYTES: u64 = 64 << 20;
/// The most files and folders.
const FILES_MAX: u64 = 2_000_000;

/// The watch over what one tool writes.
pub(super) struct Quota {
    folders: Vec<PathBuf>,
    /// The most bytes on disk; 0 for no limit.
    bytes_max: u64,
    /// What was there before, which counts too: a workspace has one limit, not one a tool.
    pause: Duration,
    looked: Instant,
}

impl Quota {
    pub(super) fn new(order: &Order) -> Self {
        let caches = order.caches.iter().map(|(from, _)| from.clone());
        Self {
            folders: std::iter::once(order.work.clone()).chain(caches).collect(),
            bytes_max: order.plan.disk_bytes_max,
            pause: PAUSE,
            looked: now(),
        }
    }

    /// How long to wait before the next look.
    pub(super) fn pause(&self) -> Duration {
        self.pause.saturating_sub(self.looked.elapsed())
    }

    /// Looks, when it is time, and tells what was exceeded.
    pub(super) fn exceeded(&mut self) -> Option<String> {
        if self.looked.elapsed() < self.pause {
            return None;
        }
        let began = now();
        let (bytes, files) = self.used();
        self.looked = now();
        self.pause = PAUSE.max((self.looked - began) * SHARE);
        if self.bytes_max > 0 && bytes > self.bytes_max {
            return Some(format!(
                "it has written {} MiB, and a tool may write {} MiB",
                bytes >> 20,
                self.bytes_max >> 20
            ));
        }
        if files > FILES_MAX {
            return Some(format!("it has made more than {FILES_MAX} files"));
        }
        let left = self.folders.iter().filter_map(|folder| rustix::fs::statvfs(folder).ok());
        let left = left.map(|left| left.f_bavail.saturating_mul(left.f_frsize)).min();
        left.filter(|left| *left < SPARE_BYTES)
            .map(|left| format!("only {} MiB are left on the worker's disk", left >> 20))
    }

    /// Bytes on disk, and the number of files. Stops where too much is found. What is exchanged meanwhile
    /// leads nowhere: links are not followed, and what cannot be read is passed over.
    fn used(&self) -> (u64, u64) {
        let (mut bytes, mut files) = (0_u64, 0_u64);
        let mut waiting = self.folders.clone();
        while let Some(folder) = waiting.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                files += 1;
                // stat(2): always in units of 512 bytes. One file under many names counts for each.
                bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512) / metadata.nlink().max(1));
                if metadata.is_dir() {
                    waiting.push(entry.path());
                }
                if files > FILES_MAX || self.bytes_max > 0 && bytes > self.bytes_max {
                    return (bytes, files);
                }
            }
        }
        (bytes, files)
    }
}

fn now() -> Instant {
    crate::clock::instant()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_disk_counts_and_what_only_seems_to_be_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let quota = |bytes_max| Quota {
            folders: vec![folder.path().to_owned()],
            bytes_max,
            pause: Duration::ZERO,
            looked: now(),
        };
        let sparse = fs::File::create(folder.path().join("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("root")).unwrap();
        assert_eq!(quota(1 << 20).exceeded(), None);
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/large"), vec![1; 2 << 20]).unwrap();
        assert!(quota(1 << 20).exceeded().unwrap().contains("a tool may write 1 MiB"));
        assert_eq!(quota(4 << 20).exceeded(), None);
        assert_eq!(quota(0).exceeded(), None);
        fs::hard_link(folder.path().join("deep/large"), folder.path().join("again")).unwrap();
        assert_eq!(quota(3 << 20).exceeded(), None, "one file under two names is there once");
    }
}
