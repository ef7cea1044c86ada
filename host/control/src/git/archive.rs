//! A commit's files as a tar archive, made of the objects themselves.
//!
//! Not `git archive`, whose result depends on attributes in the tree (`export-subst`,
//! `export-ignore`): what a stage sees is what the commit holds, byte for byte.

use super::command::{git, run};
use super::source::Error;
use slipway_domain::Revision;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// The most files of a revision.
const FILES_MAX: usize = 200_000;
/// The most bytes of a revision.
const BYTES_MAX: u64 = 2 << 30;
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

/// Writes the archive.
pub(super) async fn write(mirror: &Path, revision: &Revision, to: &Path) -> Result<(), Error> {
    let mut command = git(Some(mirror));
    command.args(["ls-tree", "-r", "-z", "-l", "--full-tree", "--end-of-options", revision.as_str()]);
    let listed = run(command, LIST).await?;
    let unusable = |reason: String| Error::Unusable { revision: revision.to_string(), reason };
    let entries: Vec<Entry<'_>> = entries(&listed).filter(|entry| entry.kind == "blob").collect();
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
    match tokio::time::timeout(WRITE, copy(mirror, &entries, to)).await {
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

async fn copy(mirror: &Path, entries: &[Entry<'_>], to: &Path) -> io::Result<()> {
    let mut command = git(Some(mirror));
    command.args(["cat-file", "--batch", "--buffer"]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("git has no pipes"));
    };
    let asked: String = entries.iter().map(|entry| format!("{}\n", entry.object)).collect();
    let ask = async move {
        stdin.write_all(asked.as_bytes()).await?;
        stdin.shutdown().await
    };
    let mut objects = BufReader::with_capacity(256 << 10, stdout);
    let write = async {
        let mut builder = tar::Builder::new(io::BufWriter::with_capacity(256 << 10, std::fs::File::create(to)?));
        for entry in entries {
            let mut head = String::new();
            objects.read_line(&mut head).await?;
            let size: u64 = head.trim_end().rsplit(' ').next().and_then(|size| size.parse().ok()).unwrap_or(u64::MAX);
            if size != entry.size {
                return Err(io::Error::other(format!("git has no object `{}`", entry.object)));
            }
            let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
            objects.read_exact(&mut bytes).await?;
            objects.read_u8().await?;
            append(&mut builder, entry, &bytes)?;
        }
        builder.into_inner()?.into_inner().map_err(|error| error.into_error())?;
        Ok(())
    };
    let (asked, written) = tokio::join!(ask, write);
    written.and(asked)
}

fn append<W: io::Write>(builder: &mut tar::Builder<W>, entry: &Entry<'_>, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(entry.path));
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    if entry.mode == "120000" {
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        return builder.append_link(&mut header, path, Path::new(std::ffi::OsStr::from_bytes(bytes)));
    }
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(bytes.len() as u64);
    header.set_mode(if entry.mode == "100755" { 0o755 } else { 0o644 });
    builder.append_data(&mut header, path, bytes)
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
