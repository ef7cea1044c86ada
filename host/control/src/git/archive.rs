//! A commit's files as a tar archive, made of the objects themselves.
//!
//! Not `git archive`, whose result depends on attributes in the tree (`export-subst`,
//! `export-ignore`): what a stage sees is what the commit holds, byte for byte.

use super::command::{git, run};
use super::error::Error;
use slipway_domain::Revision;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// The most files of a revision.
const FILES_MAX: usize = 200_000;
/// The most bytes of a revision.
const BYTES_MAX: u64 = 2 << 30;
/// The longest target of a link, in bytes.
const LINK_BYTES_MAX: u64 = 4096;
/// The longest line with which git announces an object, in bytes.
const HEAD_BYTES_MAX: u64 = 256;
/// How long listing may take.
const LIST: Duration = Duration::from_secs(60);
/// How long the whole may take.
const WRITE: Duration = Duration::from_secs(300);

/// One entry of a tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) mode: &'a str,
    pub(super) kind: &'a str,
    pub(super) object: String,
    pub(super) size: u64,
    pub(super) path: &'a [u8],
}

/// Reads what `git ls-tree -z -l` prints.
pub(super) fn entries(listed: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    listed.split(|byte| *byte == 0).filter_map(|line| {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let (head, path) = (line.get(..tab)?, line.get(tab + 1..)?);
        let mut words = std::str::from_utf8(head).ok()?.split_ascii_whitespace();
        let (mode, kind, object) = (words.next()?, words.next()?, words.next()?.to_owned());
        let size = words.next()?.parse().unwrap_or(0);
        Some(Entry { mode, kind, object, size, path })
    })
}

/// Refuses a revision that cannot be laid out, and returns what git lists of it.
pub(super) async fn check(mirror: &Path, revision: &Revision) -> Result<Vec<u8>, Error> {
    let mut command = git(Some(mirror));
    command.args(["ls-tree", "-r", "-z", "-l", "--full-tree", "--end-of-options", revision.as_str()]);
    let listed = run(command, LIST).await?;
    let unusable = |reason: String| Error::Unusable { revision: revision.to_string(), reason };
    let entries: Vec<Entry<'_>> = blobs(&listed).collect();
    let bytes: u64 = entries.iter().map(|entry| entry.size).sum();
    if entries.len() > FILES_MAX || bytes > BYTES_MAX {
        return Err(unusable(format!(
            "it has {} files and {bytes} bytes; at most {FILES_MAX} files and {BYTES_MAX} bytes are laid out",
            entries.len()
        )));
    }
    for entry in &entries {
        check_path(entry.path).map_err(|why| {
            unusable(format!("its entry `{}` {why}", String::from_utf8_lossy(entry.path).escape_debug()))
        })?;
    }
    drop(entries);
    Ok(listed)
}

fn blobs(listed: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    entries(listed).filter(|entry| entry.kind == "blob")
}

/// Writes the archive.
pub(super) async fn write(mirror: &Path, revision: &Revision, to: &Path) -> Result<(), Error> {
    let listed = check(mirror, revision).await?;
    let entries = blobs(&listed).map(|entry| OwnEntry::of(&entry)).collect();
    match tokio::time::timeout(WRITE, copy(mirror, entries, to)).await {
        Ok(result) => result.map_err(|source| Error::Io { what: "cannot write a revision's archive", source }),
        Err(_elapsed) => Err(Error::Timeout { seconds: WRITE.as_secs() }),
    }
}

/// A tree can be made by hand, with names that no git would check out.
fn check_path(path: &[u8]) -> Result<(), &'static str> {
    if path.len() > 4096 {
        return Err("has too long a path");
    }
    for part in path.split(|byte| *byte == b'/') {
        if part.is_empty() || part == b"." || part == b".." || part.contains(&0) {
            return Err("leads out of the tree");
        }
        if part.eq_ignore_ascii_case(b".git") {
            return Err("would be a repository's own data");
        }
    }
    Ok(())
}

/// Copies the objects into the archive, piece by piece, on a thread where waiting is allowed.
async fn copy(mirror: &Path, entries: Vec<OwnEntry>, to: &Path) -> io::Result<()> {
    let mut command = git(Some(mirror));
    command.args(["cat-file", "--batch", "--buffer"]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("git has no pipes"));
    };
    let (stdin, stdout) = (stdin.into_owned_fd()?, stdout.into_owned_fd()?);
    let asked: String = entries.iter().map(|entry| format!("{}\n", entry.object)).collect();
    let ask = tokio::task::spawn_blocking(move || File::from(stdin).write_all(asked.as_bytes()));
    let to = to.to_owned();
    let write = tokio::task::spawn_blocking(move || pack(&entries, File::from(stdout), &to));
    // When this future is dropped at the end of its time, the child is killed, and both
    // threads find their pipes closed.
    let (asked, written) = tokio::join!(ask, write);
    written.map_err(io::Error::other)??;
    asked.map_err(io::Error::other)?
}

/// An entry that goes into the archive.
struct OwnEntry {
    path: PathBuf,
    object: String,
    size: u64,
    mode: Mode,
}

enum Mode {
    File,
    Executable,
    Link,
}

impl OwnEntry {
    fn of(entry: &Entry<'_>) -> Self {
        let mode = match entry.mode {
            "120000" => Mode::Link,
            "100755" => Mode::Executable,
            _ => Mode::File,
        };
        let path = PathBuf::from(OsStr::from_bytes(entry.path));
        Self { path, object: entry.object.clone(), size: entry.size, mode }
    }
}

fn pack(entries: &[OwnEntry], objects: File, to: &Path) -> io::Result<()> {
    let mut objects = BufReader::with_capacity(256 << 10, objects);
    let mut builder = tar::Builder::new(io::BufWriter::with_capacity(256 << 10, File::create(to)?));
    for entry in entries {
        let mut head = String::new();
        (&mut objects).take(HEAD_BYTES_MAX).read_line(&mut head)?;
        let size: u64 = head.trim_end().rsplit(' ').next().and_then(|size| size.parse().ok()).unwrap_or(u64::MAX);
        if size != entry.size {
            return Err(io::Error::other(format!("git has no object `{}`", entry.object)));
        }
        append(&mut builder, entry, (&mut objects).take(size))?;
        objects.read_exact(&mut [0])?;
    }
    builder.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(())
}

fn append<W: Write>(builder: &mut tar::Builder<W>, entry: &OwnEntry, mut object: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    if let Mode::Link = entry.mode {
        if entry.size > LINK_BYTES_MAX {
            return Err(io::Error::other(format!("the link `{}` is too long", entry.path.display())));
        }
        let mut target = Vec::new();
        object.read_to_end(&mut target)?;
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        return builder.append_link(&mut header, &entry.path, Path::new(OsStr::from_bytes(&target)));
    }
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(entry.size);
    header.set_mode(if let Mode::Executable = entry.mode { 0o755 } else { 0o644 });
    builder.append_data(&mut header, &entry.path, object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read() {
        let listed = b"100644 blob 0123 12\tsrc/a b.rs\x00120000 blob 4567 3\tlink\x00160000 commit 89ab -\tsub\0";
        let read: Vec<_> = entries(listed).map(|entry| (entry.mode, entry.kind, entry.size, entry.path)).collect();
        assert_eq!(
            read,
            [
                ("100644", "blob", 12, &b"src/a b.rs"[..]),
                ("120000", "blob", 3, b"link"),
                ("160000", "commit", 0, b"sub")
            ]
        );
    }

    #[test]
    fn a_hostile_name_in_a_tree_is_refused() {
        for bad in [&b"../x"[..], b"/x", b"a//b", b".git/config", b"sub/.GIT/hooks/x", b"."] {
            assert!(check_path(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(check_path(b"src/.gitignore").is_ok());
    }
}
