//! Refs of a repository of this machine, read from its files: a trigger of what is known already
//! then starts no process.
//!
//! Only the plain layout is read (gitrepository-layout(5): a file for each ref, and
//! `packed-refs`), and only by exact names. Whatever is unusual, git itself is asked about.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest `packed-refs` that is looked through, in bytes.
const PACKED_BYTES_MAX: u64 = 1 << 20;
/// More than a ref that names its object has, in bytes: 64 hex digits and a line's end.
const LOOSE_BYTES_MAX: u64 = 65;

/// What the files say of a ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The name of its object: a commit, or the tag object that points to one.
    Object(String),
    /// There is no such ref.
    Nothing,
    /// Git has to be asked.
    AskGit,
}

/// The folder with the refs of a repository. `None` for a layout that is not read here.
pub(super) fn folder(repository: &Path) -> Option<PathBuf> {
    let inner = repository.join(".git");
    let folder = match std::fs::symlink_metadata(&inner) {
        Ok(metadata) if metadata.is_dir() => inner,
        // A working tree of a repository that is elsewhere.
        Ok(_) => return None,
        Err(_) => repository.to_owned(),
    };
    let whole = folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir();
    let other = folder.join("reftable").exists() || folder.join("commondir").exists();
    (whole && !other).then_some(folder)
}

/// Looks a ref up by its full name, which follows the rules of git-check-ref-format(1).
pub(super) fn read(folder: &Path, name: &str) -> Found {
    // In this order: git moves a ref into `packed-refs` before it removes the ref's own file.
    match loose(&folder.join(name)) {
        Found::Nothing => packed(&folder.join("packed-refs"), name),
        found @ (Found::Object(_) | Found::AskGit) => found,
    }
}

fn loose(path: &Path) -> Found {
    let mut file = match open(path) {
        Ok(file) => file,
        // Not there, or a part of the path is a ref itself.
        Err(Errno::NOENT | Errno::NOTDIR) => return Found::Nothing,
        Err(_) => return Found::AskGit,
    };
    match file.metadata() {
        // There are refs below this name.
        Ok(metadata) if metadata.is_dir() => return Found::Nothing,
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) | Err(_) => return Found::AskGit,
    }
    let mut text = String::new();
    match (&mut file).take(LOOSE_BYTES_MAX + 1).read_to_string(&mut text) {
        Ok(_) => object(text.strip_suffix('\n').unwrap_or(&text)),
        Err(_) => Found::AskGit,
    }
}

fn packed(path: &Path, name: &str) -> Found {
    let mut file = match open(path) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Found::Nothing,
        Err(_) => return Found::AskGit,
    };
    let plain = file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= PACKED_BYTES_MAX);
    let mut text = String::new();
    if !plain || (&mut file).take(PACKED_BYTES_MAX + 1).read_to_string(&mut text).is_err() {
        return Found::AskGit;
    }
    let line = text.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' '));
    line.map_or(Found::Nothing, object)
}

/// Never waits, as it would for a pipe, and follows no link at the end of the path.
fn open(path: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map(File::from)
}

fn object(text: &str) -> Found {
    let hex = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    // A ref that names another ref, for one.
    if hex { Found::Object(text.to_owned()) } else { Found::AskGit }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn repository() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        for folder in [".git/objects", ".git/refs/tags", ".git/refs/heads/team"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        let folder = folder(root.path()).unwrap();
        (root, folder)
    }

    #[test]
    fn a_ref_of_its_own_file_comes_before_the_packed_one() {
        let (_root, folder) = repository();
        assert_eq!(read(&folder, "refs/tags/v1"), Found::Nothing);
        let packed = format!("# pack-refs with: peeled\n{ONE} refs/tags/v1\n^{TWO}\n{TWO} refs/tags/sub/v1\n");
        std::fs::write(folder.join("packed-refs"), packed).unwrap();
        assert_eq!(read(&folder, "refs/tags/v1"), Found::Object(ONE.into()));
        assert_eq!(read(&folder, "refs/tags/v"), Found::Nothing, "only whole names");
        assert_eq!(read(&folder, "v1"), Found::Nothing, "not the end of another's name");
        std::fs::write(folder.join("refs/tags/v1"), format!("{TWO}\n")).unwrap();
        assert_eq!(read(&folder, "refs/tags/v1"), Found::Object(TWO.into()));
        assert_eq!(read(&folder, "refs/heads/team"), Found::Nothing, "a folder of refs");
        assert_eq!(read(&folder, "refs/tags/v1/x"), Found::Nothing, "below a ref");
    }

    #[test]
    fn git_is_asked_about_what_is_unusual() {
        let (_root, folder) = repository();
        let tag = folder.join("refs/tags/v1");
        for text in ["ref: refs/heads/main\n", "", "11111\n", &format!("{ONE} \n"), &"1".repeat(100)] {
            std::fs::write(&tag, text).unwrap();
            assert_eq!(read(&folder, "refs/tags/v1"), Found::AskGit, "{text:?}");
        }
        std::fs::remove_file(&tag).unwrap();
        std::os::unix::fs::symlink(folder.join("HEAD"), &tag).unwrap();
        assert_eq!(read(&folder, "refs/tags/v1"), Found::AskGit, "a link");
        std::fs::remove_file(&tag).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &tag, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(read(&folder, "refs/tags/v1"), Found::AskGit, "a pipe that nobody writes to");
        std::fs::remove_file(&tag).unwrap();
        let large = format!("{ONE} refs/tags/v2\n").repeat(20_000);
        std::fs::write(folder.join("packed-refs"), large).unwrap();
        assert_eq!(read(&folder, "refs/tags/v1"), Found::AskGit, "too much to look through");
    }

    #[test]
    fn other_layouts_are_left_to_git() {
        let (root, inner) = repository();
        assert_eq!(folder(&inner), Some(inner.clone()), "a bare one");
        assert_eq!(folder(&root.path().join("nowhere")), None);
        std::fs::create_dir(inner.join("reftable")).unwrap();
        assert_eq!(folder(root.path()), None);
        let tree = tempfile::tempdir().unwrap();
        std::fs::write(tree.path().join(".git"), "gitdir: /elsewhere\n").unwrap();
        assert_eq!(folder(tree.path()), None);
    }
}
