//! Compiled code on disk, each file with a code by which it is known to be ours (HMAC-SHA256).

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// The bytes of a key: a block of the hash.
const KEY_BYTES: usize = 64;
/// The bytes of a code of authenticity.
const MAC_BYTES: usize = 32;
/// The name of the file with the key.
const KEY_FILE: &str = "key";
/// The end of the names of files with code.
const ENDING: &str = ".code";
/// The most bytes that are kept. What was made first goes first.
const KEPT_BYTES_MAX: u64 = 2 << 30;

/// The code that is kept in a folder.
pub(super) struct Kept {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
    next: AtomicU64,
}

impl Kept {
    /// Opens a folder, and makes it ours alone: who can write to it, or read the key, decides what runs here.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        let path = folder.join(KEY_FILE);
        let read = fs::read(&path).ok().and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
        let key = match read {
            Some(key) => key,
            None => new_key(&path)?,
        };
        Ok(Self { folder: folder.to_owned(), key, next: AtomicU64::new(0) })
    }

    /// The code that is kept under a name. One that was changed is gone with this.
    pub(super) fn get(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.path(name);
        let mut bytes = fs::read(&path).ok()?;
        let code = bytes.len().checked_sub(MAC_BYTES).map(|at| bytes.split_off(at));
        if code.is_some_and(|code| self.mac(name, &bytes).verify_slice(&code).is_ok()) {
            return Some(bytes);
        }
        tracing::warn!(file = %path.display(), "compiled code was changed on disk: it is not used, and compiled anew");
        let _gone = fs::remove_file(&path).is_err();
        None
    }

    /// Keeps code under a name.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let part =
            self.folder.join(format!("{}-{}.part", std::process::id(), self.next.fetch_add(1, Ordering::Relaxed)));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.write_all(&self.mac(name, bytes).finalize().into_bytes())?;
        // Lost in a crash or cut off, it is compiled anew: nothing waits for the disk.
        fs::rename(&part, self.path(name))?;
        self.make_room()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{ENDING}"))
    }

    fn mac(&self, name: &str, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new((&self.key).into());
        // A name has no NUL, so no name runs on into what comes after it.
        mac.update(name.as_bytes());
        mac.update(&[0]);
        mac.update(bytes);
        mac
    }

    fn make_room(&self) -> io::Result<()> {
        let mut all: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name() != KEY_FILE {
                let metadata = entry.metadata()?;
                all.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        all.sort();
        let mut total: u64 = all.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in all {
            if total <= KEPT_BYTES_MAX {
                break;
            }
            let _gone = fs::remove_file(path).is_err();
            total = total.saturating_sub(size);
        }
        Ok(())
    }
}

/// What a component's code is kept under: its bytes, and what the engine was built for.
pub(super) fn name(component: &[u8], engine: &str) -> String {
    format!("{}-{engine}", hex::encode(Sha256::digest(component)))
}

fn new_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    // Linux gives up to 256 bytes whole (getrandom(2)).
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
    let part = path.with_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(&key)?;
    fs::rename(&part, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_again_by_whoever_has_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::open(folder.path()).unwrap();
        kept.put("a", b"code").unwrap();
        assert_eq!(kept.get("a").as_deref(), Some(&b"code"[..]));
        assert_eq!(Kept::open(folder.path()).unwrap().get("a").as_deref(), Some(&b"code"[..]), "after a restart");
        assert_eq!(kept.get("b"), None);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&folder.path().join(KEY_FILE))), (0o700, 0o600));
    }

    /// Threat T48: whatever is changed, the code is not used.
    #[test]
    fn code_that_was_changed_is_never_used() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::open(folder.path()).unwrap();
        let path = kept.path("a");
        kept.put("a", b"code").unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).unwrap();
            assert_eq!(kept.get("a"), None, "byte {at}");
            assert!(!path.exists(), "it is compiled anew");
        }
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(kept.get("a"), None, "{cut} bytes");
        }
        kept.put("b", b"other").unwrap();
        fs::rename(kept.path("b"), &path).unwrap();
        assert_eq!(kept.get("a"), None, "under another name");
        kept.put("a", b"code").unwrap();
        fs::write(folder.path().join(KEY_FILE), [7; KEY_BYTES]).unwrap();
        assert_eq!(Kept::open(folder.path()).unwrap().get("a"), None, "under another key");
    }
}
