//! The folders that a stage sees: the revision at `/work`, the artifacts of earlier
//! stages at `/inputs`. Made when first looked at, since many stages never do, and
//! thrown away with the attempt.

use crate::beneath::Root;
use crate::remove::remove_all;
use crate::transfer::{self, Proof, Transfer};
use slipway_domain::Digest;
use slipway_protocol::Lease;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

/// Why the folders cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data did not arrive.
    #[error("cannot fetch what the stage works on")]
    Transfer(#[from] transfer::Error),
    /// The disk of the worker.
    #[error("cannot lay out the workspace")]
    Disk(#[from] io::Error),
    /// The archive holds what no revision may hold.
    #[error("the revision has an entry `{path}` that cannot be laid out: {why}")]
    Entry {
        /// Its path.
        path: String,
        /// Why.
        why: String,
    },
}

/// The folders of one attempt.
pub struct Workspace {
    folder: PathBuf,
    transfer: Transfer,
    proof: Proof,
    revision: String,
    inputs: Vec<(String, Digest)>,
    /// Whether anything of it may be on the disk.
    begun: AtomicBool,
    /// Laying out, which goes on when nobody waits for it any more.
    laying_out: TaskTracker,
    root: OnceCell<Root>,
}

impl Workspace {
    /// Folders to be made below `folder` for a lease.
    pub fn new(folder: &Path, transfer: Transfer, lease: &Lease) -> Self {
        let inputs = lease.inputs.iter().flat_map(|input| {
            input.artifacts.iter().filter_map(|artifact| {
                let digest = Digest::new(artifact.digest.clone()).ok()?;
                Some((format!("{}/{}", input.stage, artifact.name), digest))
            })
        });
        Self {
            folder: folder.join(lease.epoch.to_string()),
            transfer,
            proof: Proof::of(lease),
            revision: lease.revision.clone(),
            inputs: inputs.collect(),
            begun: AtomicBool::new(false),
            laying_out: TaskTracker::new(),
            root: OnceCell::new(),
        }
    }

    /// The folder that is `/work`. Exists once [`Self::root`] has returned.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// The folder that is `/inputs`. Exists once [`Self::root`] has returned.
    pub fn inputs(&self) -> PathBuf {
        self.folder.join("inputs")
    }

    /// A new file of the host's beside the folders, without a name: nothing else sees it, and
    /// it is gone once it is closed.
    pub fn unnamed_file(&self) -> io::Result<std::fs::File> {
        self.begun.store(true, Ordering::Relaxed);
        std::fs::create_dir_all(&self.folder)?;
        tempfile::tempfile_in(&self.folder)
    }

    /// Lays the folders out, once, and returns `/work`.
    pub async fn root(&self) -> Result<&Root, Error> {
        self.root.get_or_try_init(|| self.lay_out()).await
    }

    async fn lay_out(&self) -> Result<Root, Error> {
        let archive = self.transfer.source(&self.proof, &self.revision).await?;
        let mut inputs = Vec::new();
        for (path, digest) in &self.inputs {
            inputs.push((path.clone(), self.transfer.artifact(&self.proof, digest).await?));
        }
        self.begun.store(true, Ordering::Relaxed);
        let (work, to) = (self.work(), self.inputs());
        let lay_out = move || -> Result<Root, Error> {
            std::fs::create_dir_all(&work)?;
            std::fs::create_dir_all(&to)?;
            let root = Root::open(&work)?;
            extract(archive, &root)?;
            let inputs_root = Root::open(&to)?;
            for (path, mut from) in inputs {
                let mut file = inputs_root.create(&path, false)?;
                io::copy(&mut from, &mut file)?;
            }
            Ok(root)
        };
        self.laying_out.spawn_blocking(lay_out).await.map_err(io::Error::other)?
    }

    /// Removes the folders, if they were made, wholly or in part. Nothing may write there any
    /// more; laying them out is waited for.
    pub async fn remove(&self) {
        self.laying_out.close();
        self.laying_out.wait().await;
        if self.begun.load(Ordering::Relaxed) {
            let folder = self.folder.clone();
            let removed = tokio::task::spawn_blocking(move || remove_all(&folder)).await;
            if let Ok(Err(error)) = removed {
                tracing::warn!(folder = %self.folder.display(), %error, "cannot remove a workspace");
            }
        }
    }
}

/// Lays out the files, folders and links of an archive. Anything else in it, and any path
/// that leads out, is refused. Files get the time of now, so that a build tool that
/// compares times with its cache never takes a new revision for an old one.
#[expect(clippy::wildcard_enum_match_arm, reason = "only these three kinds are laid out")]
fn extract(archive: std::fs::File, root: &Root) -> Result<(), Error> {
    let mut archive = tar::Archive::new(io::BufReader::with_capacity(256 << 10, archive));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refuse = |why: &str| Error::Entry { path: path.escape_debug().to_string(), why: why.to_owned() };
        match entry.header().entry_type() {
            tar::EntryType::Regular => {
                let executable = entry.header().mode()? & 0o100 != 0;
                let mut file = root.create(&path, executable).map_err(|error| refuse(&error.to_string()))?;
                io::copy(&mut entry, &mut file)?;
            }
            tar::EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(|| refuse("a link without a target"))?;
                let target = String::from_utf8_lossy(&target).into_owned();
                root.symlink(&path, &target).map_err(|error| refuse(&error.to_string()))?;
            }
            tar::EntryType::Directory => {
                root.create_folder(&path).map_err(|error| refuse(&error.to_string()))?;
            }
            _ => return Err(refuse("it is neither a file, a folder nor a link")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    fn extracted(build: impl FnOnce(&mut tar::Builder<&mut std::fs::File>)) -> (tempfile::TempDir, Result<(), Error>) {
        let folder = tempfile::tempdir().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let mut builder = tar::Builder::new(&mut file);
        build(&mut builder);
        builder.finish().unwrap();
        drop(builder);
        file.rewind().unwrap();
        let root = Root::open(folder.path()).unwrap();
        let result = extract(file, &root);
        (folder, result)
    }

    fn entry(builder: &mut tar::Builder<&mut std::fs::File>, kind: tar::EntryType, path: &str, target: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(0);
        // Written past the checks of the builder, as a hostile archive would be.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        builder.append(&header, io::empty()).unwrap();
    }

    #[test]
    fn files_folders_and_links_are_laid_out() {
        let (folder, result) = extracted(|builder| {
            entry(builder, tar::EntryType::Regular, "src/main.rs", "");
            entry(builder, tar::EntryType::Symlink, "link", "src/main.rs");
            entry(builder, tar::EntryType::Directory, "empty", "");
        });
        result.unwrap();
        assert!(folder.path().join("link").exists() && folder.path().join("empty").is_dir());
    }

    #[test]
    fn what_leads_out_or_is_no_file_is_refused() {
        use tar::EntryType as Kind;
        for (kind, path, target) in [
            (Kind::Regular, "../out", ""),
            (Kind::Regular, "/tmp/slipway-out", ""),
            (Kind::Regular, "a/../../out", ""),
            (Kind::Link, "hard", "/etc/passwd"),
            (Kind::Fifo, "pipe", ""),
            (Kind::Char, "device", ""),
        ] {
            let (_folder, result) = extracted(|builder| entry(builder, kind, path, target));
            assert!(matches!(result, Err(Error::Entry { .. })), "{kind:?} {path}");
        }
        let (_folder, result) = extracted(|builder| {
            entry(builder, Kind::Symlink, "dir", "/tmp");
            entry(builder, Kind::Regular, "dir/through-the-link", "");
        });
        assert!(result.is_err());
        assert!(!Path::new("/tmp/through-the-link").exists());
    }
}
