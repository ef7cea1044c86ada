//! The fake's store of artifacts.

use std::cell::RefCell;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::fake::{State, refusal};
use crate::Failure;
use crate::artifacts::{Artifact, BYTES_MAX};
use crate::host::WritingArtifact;

/// The longest name.
const NAME_BYTES_MAX: usize = 128;
/// The longest media type.
const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// The most artifacts that are written at the same time.
const WRITERS_MAX: usize = 16;
/// The most artifacts of a stage.
const ARTIFACTS_MAX: usize = 1_000;

/// Returns the digest of bytes, as the host writes it.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Says whether a name is a key: nothing in it could be taken for a path.
pub(super) fn is_key(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && name.chars().all(|character| character.is_ascii_alphanumeric() || "._-+".contains(character))
}

/// Returns where `path` lies below `root`, or `None` where it would leave it.
pub(super) fn below(root: &Path, path: &str) -> Option<PathBuf> {
    let mut result = root.to_path_buf();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(result)
}

impl State {
    /// Hashes and keeps bytes.
    pub(super) fn keep(&self, name: &str, media_type: &str, bytes: &[u8]) -> Artifact {
        let digest = digest(bytes);
        self.blobs.borrow_mut().insert(digest.clone(), bytes.to_vec());
        let size = bytes.len() as u64;
        Artifact { name: name.into(), digest, size, media_type: media_type.into(), details: Vec::new() }
    }

    /// Refuses what cannot become an artifact of this stage.
    pub(super) fn check_artifact(&self, name: &str, media_type: &str) -> Result<(), Failure> {
        if self.is_withdrawn("artifacts", "") {
            return Err(refusal("not-granted", "this stage may not store artifacts"));
        }
        if !is_key(name) {
            return Err(refusal("invalid-name", &format!("`{name}` cannot name an artifact")));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-/;= ".contains(&byte);
        let is_media_type = media_type.len() <= MEDIA_TYPE_BYTES_MAX
            && media_type.split('/').count() == 2
            && media_type.bytes().all(plain);
        if !is_media_type {
            return Err(refusal("invalid-media-type", &format!("`{media_type}` is no media type")));
        }
        Ok(())
    }

    /// Refuses a writer beyond those that may be open.
    pub(super) fn check_writers(&self) -> Result<(), Failure> {
        if self.writers.get() >= WRITERS_MAX {
            return Err(refusal("too-many", "at most 16 artifacts are written at the same time"));
        }
        self.writers.set(self.writers.get() + 1);
        Ok(())
    }

    /// Stores an artifact of this stage.
    pub(super) fn store(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<Artifact, Failure> {
        self.check_artifact(name, media_type)?;
        let artifact = self.keep(name, media_type, bytes);
        let mut artifacts = self.artifacts.borrow_mut();
        match artifacts.iter().find(|before| before.name == name) {
            Some(before) if *before == artifact => {}
            Some(_) => return Err(refusal("exists", &format!("there is another artifact `{name}` already"))),
            None if artifacts.len() >= ARTIFACTS_MAX => {
                return Err(refusal("too-many", "a stage has at most 1,000 artifacts"));
            }
            None => artifacts.push(artifact.clone()),
        }
        Ok(artifact)
    }

    /// Returns bytes that this stage may see.
    pub(super) fn readable(&self, digest: &str) -> Result<Vec<u8>, Failure> {
        let own = self.artifacts.borrow().iter().any(|artifact| artifact.digest == digest);
        let input =
            self.inputs.borrow().values().any(|stage| stage.artifacts.iter().any(|artifact| artifact.digest == digest));
        let blobs = self.blobs.borrow();
        match blobs.get(digest) {
            Some(bytes) if own || input => Ok(bytes.clone()),
            _ => Err(refusal("unknown-artifact", &format!("there is no artifact `{digest}`"))),
        }
    }
}

/// An artifact that is written piece by piece.
pub(super) struct Writing {
    pub(super) state: Rc<State>,
    pub(super) name: String,
    pub(super) media_type: String,
    pub(super) bytes: RefCell<Vec<u8>>,
}

impl WritingArtifact for Writing {
    fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        too_large(bytes)?;
        self.bytes.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&self) -> Result<Artifact, Failure> {
        self.state.store(&self.name, &self.media_type, &self.bytes.borrow())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.state.writers.set(self.state.writers.get().saturating_sub(1));
    }
}

/// Refuses more bytes than one call carries.
pub(super) fn too_large(bytes: &[u8]) -> Result<(), Failure> {
    if bytes.len() > BYTES_MAX {
        return Err(refusal("too-large", "one call carries at most 4 MiB"));
    }
    Ok(())
}
