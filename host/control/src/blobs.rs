//! Blobs: bytes addressed by their digest, which is computed here and nowhere else.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use sha2::{Digest as _, Sha256};
use slipway_domain::Digest;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncReadExt;

/// The largest blob, in bytes.
pub const BYTES_MAX: u64 = slipway_protocol::ARTIFACT_BYTES_MAX;
/// What is read from a file at once, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Why a blob was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too large.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    /// The sender broke off.
    #[error("the bytes did not arrive whole")]
    Broken(#[source] io::Error),
    /// The store of blobs.
    #[error("the blob store failed")]
    Store(#[source] object_store::Error),
    /// The folder for what is on its way.
    #[error("cannot write a blob")]
    Disk(#[source] io::Error),
}

/// A stored blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// The blobs.
#[derive(Debug, Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    incoming: std::path::PathBuf,
}

impl Blobs {
    /// Blobs in a folder of this machine.
    pub fn local(folder: &std::path::Path) -> io::Result<Self> {
        let incoming = folder.join("incoming");
        match std::fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        std::fs::create_dir_all(&incoming)?;
        let stored = folder.join("stored");
        std::fs::create_dir_all(&stored)?;
        let store = LocalFileSystem::new_with_prefix(stored).map_err(io::Error::other)?.with_fsync(true);
        Ok(Self { store: Arc::new(store), incoming })
    }

    /// Stores bytes that are in memory.
    pub async fn put(&self, bytes: Bytes) -> Result<Stored, Error> {
        let digest = digest(Sha256::digest(&bytes).as_slice());
        let size = bytes.len() as u64;
        self.store.put(&location(&digest), PutPayload::from_bytes(bytes)).await.map_err(Error::Store)?;
        Ok(Stored { digest, size })
    }

    /// Stores bytes that are in memory, unless they are stored already.
    pub async fn put_if_absent(&self, bytes: Bytes) -> Result<Stored, Error> {
        let digest = digest(Sha256::digest(&bytes).as_slice());
        if self.size(&digest).await? == Some(bytes.len() as u64) {
            return Ok(Stored { digest, size: bytes.len() as u64 });
        }
        self.put(bytes).await
    }

    /// Stores bytes as they arrive, hashing them on the way. No more than `bytes_max` are taken,
    /// nor more than [`BYTES_MAX`].
    pub async fn put_stream<E>(
        &self,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        bytes_max: u64,
    ) -> Result<Stored, Error>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let file = tempfile::NamedTempFile::new_in(&self.incoming).map_err(Error::Disk)?;
        let mut out = tokio::fs::File::from_std(file.reopen().map_err(Error::Disk)?);
        let mut hash = Sha256::new();
        let mut size = 0;
        while let Some(piece) = body.try_next().await.map_err(|error| Error::Broken(io::Error::other(error)))? {
            size += piece.len() as u64;
            if size > bytes_max.min(BYTES_MAX) {
                return Err(Error::TooLarge(bytes_max.min(BYTES_MAX)));
            }
            hash.update(&piece);
            tokio::io::AsyncWriteExt::write_all(&mut out, &piece).await.map_err(Error::Disk)?;
        }
        tokio::io::AsyncWriteExt::flush(&mut out).await.map_err(Error::Disk)?;
        let digest = digest(hash.finalize().as_slice());
        self.put_file(&location(&digest), file.path()).await?;
        Ok(Stored { digest, size })
    }

    /// Stores a file under a name of the host's own, such as a revision's archive.
    pub async fn put_named(&self, name: &str, file: &std::path::Path) -> Result<(), Error> {
        self.put_file(&Path::from(name), file).await
    }

    /// Whether a named blob is there.
    pub async fn has_named(&self, name: &str) -> Result<bool, Error> {
        match self.store.head(&Path::from(name)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(Error::Store(error)),
        }
    }

    /// Removes the oldest named blobs of a folder until neither their number nor their size is
    /// more than it may be. Who is reading one reads it to its end.
    pub async fn keep_newest(&self, folder: &str, count_max: usize, bytes_max: u64) -> Result<(), Error> {
        let listed = self.store.list(Some(&Path::from(folder)));
        let mut listed: Vec<_> = listed.try_collect().await.map_err(Error::Store)?;
        listed.sort_by_key(|blob| std::cmp::Reverse(blob.last_modified));
        let (mut count, mut bytes) = (0, 0_u64);
        for blob in listed {
            (count, bytes) = (count + 1, bytes.saturating_add(blob.size));
            if count > count_max || (bytes > bytes_max && count > 1) {
                match self.store.delete(&blob.location).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(Error::Store(error)),
                }
            }
        }
        Ok(())
    }

    /// The size of a blob in bytes; `None` when there is no such blob.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match self.store.head(&location(digest)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::Store(error)),
        }
    }

    /// The bytes of a blob, as a stream, and their number; `None` when there is no such blob.
    pub async fn get(
        &self,
        digest: &Digest,
    ) -> Result<Option<(u64, impl Stream<Item = io::Result<Bytes>> + use<>)>, Error> {
        self.get_named(location(digest).as_ref()).await
    }

    /// The bytes of a named blob, as [`Self::get`].
    pub async fn get_named(
        &self,
        name: &str,
    ) -> Result<Option<(u64, impl Stream<Item = io::Result<Bytes>> + use<>)>, Error> {
        match self.store.get(&Path::from(name)).await {
            Ok(found) => Ok(Some((found.meta.size, found.into_stream().map(|piece| piece.map_err(io::Error::other))))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::Store(error)),
        }
    }

    /// All bytes of a blob.
    pub async fn read(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        match self.store.get(&location(digest)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(Error::Store),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::Store(error)),
        }
    }

    /// A place for a file that is on its way.
    pub fn incoming(&self) -> Result<tempfile::NamedTempFile, Error> {
        tempfile::NamedTempFile::new_in(&self.incoming).map_err(Error::Disk)
    }

    async fn put_file(&self, to: &Path, file: &std::path::Path) -> Result<(), Error> {
        let mut file = tokio::fs::File::open(file).await.map_err(Error::Disk)?;
        let mut upload = self.store.put_multipart(to).await.map_err(Error::Store)?;
        loop {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            if (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece).await.map_err(Error::Disk)? == 0 {
                break;
            }
            upload.put_part(PutPayload::from(piece)).await.map_err(Error::Store)?;
        }
        upload.complete().await.map(drop).map_err(Error::Store)
    }
}

fn digest(hash: &[u8]) -> Digest {
    Digest::new(format!("sha256:{}", hex::encode(hash))).expect("a SHA-256 hash has 64 hex digits")
}

fn location(digest: &Digest) -> Path {
    let hex = digest.hex();
    Path::from(format!("sha256/{}/{hex}", hex.get(..2).unwrap_or("00")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    #[tokio::test]
    async fn the_newest_named_blobs_stay_within_number_and_size() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(folder.path()).unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, [0; 10]).unwrap();
        let kept = blobs.put(Bytes::from_static(b"by its digest")).await.unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        for number in 0..6 {
            blobs.put_named(&format!("revisions/{number}.tar"), &file).await.unwrap();
            let stored = std::fs::File::open(folder.path().join(format!("stored/revisions/{number}.tar"))).unwrap();
            stored.set_modified(now + std::time::Duration::from_secs(number)).unwrap();
        }
        let there = async || {
            let mut there = Vec::new();
            for number in 0..6 {
                there.push(blobs.has_named(&format!("revisions/{number}.tar")).await.unwrap());
            }
            there
        };
        blobs.keep_newest("revisions", 6, 60).await.unwrap();
        assert_eq!(there().await, [true; 6]);
        let (_, reading) = blobs.get_named("revisions/0.tar").await.unwrap().unwrap();
        blobs.keep_newest("revisions", 4, 60).await.unwrap();
        assert_eq!(there().await, [false, false, true, true, true, true]);
        let read: Vec<Bytes> = reading.try_collect().await.unwrap();
        assert_eq!(read.concat().len(), 10, "who reads it reads it to its end");
        blobs.keep_newest("revisions", 4, 25).await.unwrap();
        assert_eq!(there().await, [false, false, false, false, true, true]);
        blobs.keep_newest("revisions", 4, 1).await.unwrap();
        assert_eq!(there().await, [false, false, false, false, false, true], "one stays, however large");
        assert!(blobs.get(&kept.digest).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn bytes_are_found_by_their_digest() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(folder.path()).unwrap();
        let whole = blobs.put(Bytes::from_static(b"hello")).await.unwrap();
        assert_eq!(whole.digest.as_str(), "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        let pieces = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"he")), Ok(Bytes::from_static(b"llo"))]);
        assert_eq!(blobs.put_stream(pieces, 5).await.unwrap(), whole);
        let pieces = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"hello"))]);
        assert!(matches!(blobs.put_stream(pieces, 4).await, Err(Error::TooLarge(4))));
        assert_eq!(blobs.read(&whole.digest).await.unwrap().unwrap(), "hello");
        let other = Digest::new(format!("sha256:{:064}", 0)).unwrap();
        assert_eq!(blobs.read(&other).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_breaks_off_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(folder.path()).unwrap();
        let broken = stream::iter([Ok(Bytes::from_static(b"he")), Err(io::Error::other("gone"))]);
        assert!(matches!(blobs.put_stream(broken, 5).await, Err(Error::Broken(_))));
        assert_eq!(std::fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(folder.path().join("stored")).unwrap().count(), 0);
    }
}
