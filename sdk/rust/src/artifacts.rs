//! Files that outlive the stage, named by people and addressed by digest.
//!
//! The host hashes what it is given; a stage cannot claim a digest.

use std::io;

use crate::Failure;
#[cfg(target_arch = "wasm32")]
use crate::host::Host as _;
use crate::host::{self, WritingArtifact};

/// The most bytes that one call carries.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;

/// One stored artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The name that the stage gave it: a key, never a path.
    pub name: String,
    /// `sha256:` and 64 hex digits, computed by the host.
    pub digest: String,
    /// Size in bytes.
    pub size: u64,
    /// Media type, such as `application/wasm`.
    pub media_type: String,
    /// More facts. None are known yet.
    pub details: Vec<(String, String)>,
}

/// Stores `bytes` under `name`: at most [`BYTES_MAX`], [`create`] and [`put_file`] take
/// more.
///
/// # Errors
/// Fails with `invalid-name`, `invalid-media-type`, `exists` (a name is given once),
/// `too-large` (2 GiB an artifact, 8 GiB an attempt) or `too-many` (1,000 a stage).
pub fn put(name: &str, media_type: &str, bytes: &[u8]) -> Result<Artifact, Failure> {
    host::with(|host| host.artifacts_put(name, media_type, bytes))
}

/// Stores a file of the workspace, by its path relative to `/work`.
///
/// # Errors
/// Fails like [`put`], and with `no-such-file`.
pub fn put_file(name: &str, media_type: &str, path: &str) -> Result<Artifact, Failure> {
    host::with(|host| host.artifacts_put_file(name, media_type, path))
}

/// Begins an artifact that is written piece by piece.
///
/// # Errors
/// Fails with `invalid-name`, `invalid-media-type` or `too-many` (16 at the same time).
pub fn create(name: &str, media_type: &str) -> Result<Writer, Failure> {
    Ok(Writer { handle: host::with(|host| host.artifacts_create(name, media_type))? })
}

/// Returns the artifacts of an earlier stage that this one needs, or of this one by its own
/// name: what it has stored itself, in this call and in earlier phases.
///
/// # Errors
/// Fails with `not-an-input` when this stage does not need that one.
pub fn inputs(stage: &str) -> Result<Vec<Artifact>, Failure> {
    host::with(|host| host.artifacts_inputs(stage))
}

/// Reads `length` bytes (at most [`BYTES_MAX`]) of an input or an own artifact from
/// `offset`. Shorter at the end, empty past it.
///
/// # Errors
/// Fails with `unknown-artifact` or `too-large`.
pub fn read(digest: &str, offset: u64, length: u32) -> Result<Vec<u8>, Failure> {
    host::with(|host| host.artifacts_read(digest, offset, length))
}

/// Reads the whole of an input or an own artifact.
///
/// # Errors
/// Fails with `unknown-artifact`.
pub fn read_all(digest: &str) -> Result<Vec<u8>, Failure> {
    let length = u32::try_from(BYTES_MAX).unwrap_or(u32::MAX);
    let mut bytes = Vec::new();
    loop {
        let piece = read(digest, bytes.len() as u64, length)?;
        if piece.is_empty() {
            return Ok(bytes);
        }
        bytes.extend(piece);
    }
}

/// An artifact being written, with [`io::Write`]. Dropped before
/// [`finish`](Writer::finish), it leaves nothing behind.
///
/// Every write is a call to the host: put an [`io::BufWriter`] around it where the pieces
/// are small.
pub struct Writer {
    handle: Box<dyn WritingArtifact>,
}

impl Writer {
    /// Appends bytes.
    ///
    /// # Errors
    /// Fails with `too-large`.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        bytes.chunks(BYTES_MAX).try_for_each(|piece| self.handle.write(piece))
    }

    /// Stores what was written.
    ///
    /// # Errors
    /// Fails like [`put`].
    pub fn finish(self) -> Result<Artifact, Failure> {
        self.handle.finish()
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Writer").finish_non_exhaustive()
    }
}
