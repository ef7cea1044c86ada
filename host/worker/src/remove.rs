//! Removes what untrusted programs have left behind, however they have left it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Removes a folder and all in it; one that is not there is no error. Nothing may change it
/// meanwhile.
///
/// Some of it may be shut, or nested deeper than paths, open files and the stack reach: so each
/// folder inside is opened up and moved to the top, and none is ever deep.
pub fn remove_all(folder: &Path) -> io::Result<()> {
    match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_dir() => return fs::remove_file(folder),
        Ok(_) => {}
    }
    open_up(folder)?;
    // A new one beside what is inside, so that no name is taken.
    let pile = tempfile::Builder::new().prefix(".removed-").tempdir_in(folder)?;
    let mut count: u64 = 0;
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next)? {
            let entry = entry?;
            let path = entry.path();
            if path == pile.path() {
                continue;
            }
            if entry.file_type()?.is_dir() {
                // A folder that is moved is written to: its parent's entry in it changes.
                open_up(&path)?;
                let place = pile.path().join(count.to_string());
                fs::rename(&path, &place)?;
                waiting.push(place);
                count += 1;
            } else {
                fs::remove_file(&path)?;
            }
        }
    }
    fs::remove_dir_all(folder)
}

/// Gives the owner all permissions of a folder.
fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_removed_and_what_is_not_is_no_error() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("folder");
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::write(outer.path().join("kept"), "").unwrap();
        std::os::unix::fs::symlink(outer.path(), folder.join("a/link")).unwrap();
        std::os::unix::fs::symlink(&folder, outer.path().join("link")).unwrap();
        remove_all(&outer.path().join("link")).unwrap();
        assert!(folder.join("a/b").exists(), "a link is removed, not what it leads to");
        for _again in 0..2 {
            remove_all(&folder).unwrap();
            assert!(!folder.exists());
        }
        assert!(outer.path().join("kept").exists());
    }

    #[test]
    fn what_may_not_be_looked_into_is_opened_up_first() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("folder");
        fs::create_dir_all(folder.join("shut/inner/.removed-")).unwrap();
        fs::write(folder.join("shut/file"), "").unwrap();
        fs::write(outer.path().join("kept"), "").unwrap();
        std::os::unix::fs::symlink(outer.path(), folder.join("shut/inner/link")).unwrap();
        for shut in ["shut/inner", "shut", ""] {
            fs::set_permissions(folder.join(shut), Permissions::from_mode(0o000)).unwrap();
        }
        remove_all(&folder).unwrap();
        assert!(!folder.exists() && outer.path().join("kept").exists());
    }

    #[test]
    fn no_nesting_is_too_deep() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let mut below = rustix::fs::open(&folder, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        for _level in 0..5_000 {
            rustix::fs::mkdirat(&below, "d", rustix::fs::Mode::RWXU).unwrap();
            below = rustix::fs::openat(&below, "d", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        }
        remove_all(&folder).unwrap();
        assert!(!folder.exists());
    }
}
