//! The few files that only the server's own user may read, and random bits for them.

use crate::api::{self, Role, Tokens};
use crate::scheduler::LeaseKeys;
use crate::store::{CommitError, Store, Write};
use std::io;
use std::path::{Path, PathBuf};

/// The name of the token that a server makes by itself.
const FIRST: &str = "bootstrap";

/// Why a file was not made or a key not stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the data folder.
    #[error("cannot write `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the data folder that is there.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store.
    #[error("cannot store the first token")]
    Store(#[from] CommitError),
    /// The store cannot be read.
    #[error("cannot read the tokens")]
    Read(#[from] sqlx::Error),
}

/// 256 random bits.
pub(crate) fn random() -> [u8; 32] {
    let mut bytes = [0u8; 32];
    // Linux gives up to 256 bytes whole (getrandom(2)).
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    assert!(filled == Ok(bytes.len()), "the kernel gives random bytes");
    bytes
}

/// A token or secret, in hex.
pub(crate) fn secret() -> String {
    hex::encode(random())
}

/// The keys of leases. Their secret is kept, so that a worker that holds a lease through a
/// restart of this process can still show its key.
pub(crate) fn lease_keys(data: &Path) -> Result<LeaseKeys, Error> {
    let path = data.join("lease.key");
    let kept = match std::fs::read(&path) {
        Ok(bytes) => <[u8; 32]>::try_from(bytes).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(Error::Unreadable { path, source }),
    };
    let bytes = match kept {
        Some(bytes) => bytes,
        None => {
            let bytes = random();
            write(&path, &bytes).map_err(|source| Error::File { path, source })?;
            bytes
        }
    };
    Ok(LeaseKeys::new(bytes))
}

/// The file with the first token, and whether it was made just now: at the first start, or since
/// it is gone. Then the old one is of no use to anybody, and whoever starts the server has its
/// data folder in any case.
pub(crate) async fn first_token(store: &Store, data: &Path) -> Result<(PathBuf, bool), Error> {
    let path = data.join("token");
    let tokens = store.tokens().await?;
    let old = tokens.iter().find(|token| token.name == FIRST);
    let anybody = tokens.iter().any(|token| token.role == Role::Admin.as_str());
    // One that is empty or leads nowhere is as good as gone.
    let is_gone = std::fs::read(&path).map_or(true, |bytes| bytes.trim_ascii().is_empty());
    if anybody && !(is_gone && old.is_some()) {
        return Ok((path, false));
    }
    let token = api::new_token();
    let revoked = old.map(|old| Write::TokenRevoked { hash: old.hash.clone() });
    let writes = revoked.into_iter().chain([Tokens::write(&token, FIRST, Role::Admin)]);
    // Before the file: if this breaks off in between, the file is still missing at the next start.
    store.try_commit(writes.collect()).await?;
    let written = write(&path, format!("{token}\n").as_bytes());
    written.map_err(|source| Error::File { path: path.clone(), source })?;
    Ok((path, true))
}

/// Writes a file that only this user can read, whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let temporary = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn the_first_token_is_made_once_and_again_when_its_file_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let (path, is_new) = first_token(&store, folder.path()).await.unwrap();
        assert!(is_new);
        let first = std::fs::read_to_string(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!first_token(&store, folder.path()).await.unwrap().1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);

        std::fs::write(&path, "\n").unwrap();
        assert!(first_token(&store, folder.path()).await.unwrap().1, "an empty one is as good as gone");
        std::fs::remove_file(&path).unwrap();
        assert!(first_token(&store, folder.path()).await.unwrap().1);
        let second = std::fs::read_to_string(&path).unwrap();
        let known = async |token: &str| store.token_role(&api::token_hash(token.trim())).await.unwrap();
        assert_eq!(known(&first).await, None, "nobody has it any more");
        assert_eq!(known(&second).await.unwrap().0, FIRST);

        // Whoever has revoked it does without the file.
        let own = api::new_token();
        let revoked = Write::TokenRevoked { hash: api::token_hash(second.trim()) };
        store.try_commit(vec![Tokens::write(&own, "ann", Role::Admin), revoked]).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!first_token(&store, folder.path()).await.unwrap().1);
        assert!(!path.exists());
    }
}
