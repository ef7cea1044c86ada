//! Paths below a folder, resolved by the kernel so that nothing leads out of it.
//!
//! Each path comes from a repository, a guest or a tool. `openat2` with
//! `RESOLVE_BENEATH` refuses `..`, absolute links and races between a check and its use.

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

/// A folder out of which no path leads.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// Opens a folder of the host's own.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, folder, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?))
    }

    /// Opens a file for reading. Links inside the folder are followed.
    pub fn read(&self, path: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = File::from(openat2(&self.0, path, flags, Mode::empty(), resolve).map_err(|error| match error {
            Errno::XDEV => refused(),
            error => error.into(),
        })?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
        }
    }

    /// Whether a path is a folder in which a program may start.
    pub fn is_folder(&self, path: &str) -> bool {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.0, path, flags, Mode::empty(), resolve).is_ok()
    }

    /// What a path stands for: the numbers of its device and its file. No link on the way is followed.
    pub fn identify(&self, path: &str) -> io::Result<(u64, u64)> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let found = rustix::fs::fstat(openat2(&self.0, path, flags, Mode::empty(), resolve)?)?;
        let is_link = FileType::from_raw_mode(found.st_mode) == FileType::Symlink;
        if is_link { Err(refused()) } else { Ok((found.st_dev, found.st_ino)) }
    }

    /// Makes a new file and the folders above it. No link is followed, and a name that is
    /// there already is refused.
    pub fn create(&self, path: &str, executable: bool) -> io::Result<File> {
        let (folder, name) = self.folder_of(path)?;
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat2(folder, name, flags, mode, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)?))
    }

    /// Makes a new symbolic link. Where it points is not checked: nothing here follows it
    /// out of the folder.
    pub fn symlink(&self, path: &str, target: &str) -> io::Result<()> {
        let (folder, name) = self.folder_of(path)?;
        Ok(symlinkat(target, folder, name)?)
    }

    /// Makes a folder and those above it.
    pub fn create_folder(&self, path: &str) -> io::Result<()> {
        self.walk(Path::new(path)).map(drop)
    }

    /// Gives a file another name in its folder, over what has that name.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let ((from_folder, from), (to_folder, to)) = (self.folder_of(from)?, self.folder_of(to)?);
        Ok(renameat(from_folder, from, to_folder, to)?)
    }

    /// Removes a file; one that is not there is no error.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.folder_of(path)?;
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The open folder that holds `path`, made where it is missing, and the last name.
    fn folder_of<'a>(&self, path: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let path = Path::new(path);
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(refused)?;
        let folder = self.walk(path.parent().unwrap_or_else(|| Path::new("")))?;
        Ok((folder, name))
    }

    fn walk(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = self.0.try_clone()?;
        for part in path.components() {
            let Component::Normal(name) = part else { return Err(refused()) };
            match mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            folder = openat(&folder, name, flags, Mode::empty())?;
        }
        Ok(folder)
    }
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the path leads out of its folder")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "outside").unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        let root = Root::open(&folder.path().join("root")).unwrap();
        (folder, root)
    }

    #[test]
    fn what_is_written_below_is_read_below() {
        let (_folder, root) = root();
        root.create("a/b/c.txt", false).unwrap().write_all(b"hello").unwrap();
        root.symlink("a/link", "b/c.txt").unwrap();
        let mut text = String::new();
        root.read("a/link").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        assert!(root.is_folder("a/b") && !root.is_folder("a/b/c.txt"));
    }

    #[test]
    fn no_path_leads_out() {
        let (folder, root) = root();
        root.symlink("up", "..").unwrap();
        root.symlink("away", folder.path().to_str().unwrap()).unwrap();
        root.symlink("self", "/proc/self/cwd").unwrap();
        for path in ["../secret", "up/secret", "away/secret", "self/Cargo.toml", "/etc/passwd", "a/../../secret"] {
            let error = root.read(path).unwrap_err();
            assert!(
                error.kind() == io::ErrorKind::NotFound || error.to_string().contains("leads out"),
                "{path}: {error}"
            );
            assert!(root.create(path, false).is_err(), "create {path}");
            assert!(root.symlink(path, "x").is_err(), "link {path}");
        }
        assert!(!root.is_folder("up") && !root.is_folder("away") && !root.is_folder(".."));
        assert_eq!(std::fs::read_to_string(folder.path().join("secret")).unwrap(), "outside");
    }

    #[test]
    fn a_file_that_is_renamed_replaces_a_link_and_not_what_it_leads_to() {
        let (folder, root) = root();
        root.create("a/new", false).unwrap().write_all(b"new").unwrap();
        root.symlink("a/b", folder.path().join("secret").to_str().unwrap()).unwrap();
        root.rename("a/new", "a/b").unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("root/a/b")).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(folder.path().join("secret")).unwrap(), "outside");
        assert!(root.rename("a/b", "../b").is_err() && root.rename("../secret", "a/b").is_err());
    }

    #[test]
    fn a_file_is_made_once_and_never_through_a_link() {
        let (_folder, root) = root();
        root.create("a", false).unwrap();
        assert!(root.create("a", false).is_err());
        root.symlink("b", "a").unwrap();
        assert!(root.create("b", false).is_err());
    }

    #[test]
    fn what_is_no_regular_file_is_not_read() {
        let (folder, root) = root();
        rustix::fs::mknodat(
            CWD,
            folder.path().join("root/pipe"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(root.read("pipe").is_err(), "and it does not wait for a writer");
    }
}
