//! How secrets are kept: each value under a key of its own, which is kept under the server's.
//!
//! The server's keys are in a file beside the database, so that a copy of the database alone gives
//! nothing away. What a ciphertext belongs to (pipeline, environment, name, version) is part of what
//! is authenticated: put into another row, it does not open. The cipher is XChaCha20-Poly1305
//! (draft-irtf-cfrg-xchacha-03), whose nonces may be random.

use crate::private::{self, random};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use slipway_domain::{PipelineName, SecretName};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A nonce, in bytes.
const NONCE_BYTES: usize = 24;

/// What a secret belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The environment, or `None` for all of them.
    pub environment: Option<String>,
    /// Its name.
    pub name: SecretName,
}

impl Address {
    /// What is authenticated with a ciphertext. No part holds a NUL byte.
    fn bound(&self, version: u64) -> Vec<u8> {
        let environment = self.environment.as_deref().map_or_else(|| "*".to_owned(), |name| format!("={name}"));
        format!("slipway secret 1\0{}\0{environment}\0{}\0{version}", self.pipeline, self.name).into_bytes()
    }
}

/// A value as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The server's key that the value's key is kept under.
    pub key_id: u32,
    /// The value's key.
    pub wrapped_key: Vec<u8>,
    /// The value.
    pub ciphertext: Vec<u8>,
}

/// Why a secret cannot be kept or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with the keys.
    #[error("the keys of the secrets cannot be used: `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file with the keys holds something else.
    #[error("`{}` does not hold keys of secrets", .0.display())]
    Damaged(PathBuf),
    /// A key that is not there.
    #[error("secret `{name}` is kept under key {key_id}, which is not in the file of keys")]
    KeyMissing {
        /// The secret.
        name: SecretName,
        /// The key.
        key_id: u32,
    },
    /// What is stored was changed, or belongs to another secret.
    #[error("what is stored of secret `{0}` is not what was stored")]
    Forged(SecretName),
}

/// The server's keys, newest last.
pub struct Keyring {
    path: PathBuf,
    keys: BTreeMap<u32, Zeroizing<[u8; 32]>>,
}

impl Keyring {
    /// The keys of a data folder. The first is made with the first secret.
    pub fn open(data: &Path) -> Result<Self, Error> {
        let path = data.join("secrets.keys");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { path, keys: BTreeMap::new() }),
            Err(source) => return Err(Error::File { path, source }),
        };
        let line = |line: &str| {
            let (id, key) = line.split_once(' ')?;
            let mut bytes = Zeroizing::new([0; 32]);
            hex::decode_to_slice(key, bytes.as_mut()).ok()?;
            Some((id.parse().ok()?, bytes))
        };
        let keys: Option<BTreeMap<u32, Zeroizing<[u8; 32]>>> = text.lines().map(line).collect();
        keys.map(|keys| Self { path: path.clone(), keys }).ok_or(Error::Damaged(path))
    }

    /// The newest key, by its number.
    pub fn newest(&self) -> Option<u32> {
        self.keys.last_key_value().map(|(id, _)| *id)
    }

    /// Adds a key, under which everything is kept from now on. It is in the file when this returns.
    pub fn add(&mut self) -> Result<u32, Error> {
        let id = self.newest().map_or(1, |id| id + 1);
        self.keys.insert(id, Zeroizing::new(random()));
        self.write().inspect_err(|_| drop(self.keys.remove(&id)))?;
        Ok(id)
    }

    /// Takes away all keys but the newest.
    pub fn keep_newest(&mut self) -> Result<(), Error> {
        if let Some(newest) = self.newest() {
            self.keys.retain(|id, _| *id == newest);
            self.write()?;
        }
        Ok(())
    }

    fn write(&self) -> Result<(), Error> {
        let lines = self.keys.iter().map(|(id, key)| Zeroizing::new(format!("{id} {}\n", hex::encode(key.as_slice()))));
        let text = lines.fold(Zeroizing::new(String::new()), |mut text, line| {
            text.push_str(&line);
            text
        });
        let failed = |source| Error::File { path: self.path.clone(), source };
        private::write(&self.path, text.as_bytes()).map_err(failed)
    }

    /// Seals a value.
    pub fn seal(&mut self, address: &Address, version: u64, value: &[u8]) -> Result<Sealed, Error> {
        let key_id = match self.newest() {
            Some(id) => id,
            None => self.add()?,
        };
        let key = Zeroizing::new(random());
        let bound = address.bound(version);
        let ciphertext = encrypt(&key, &bound, value).ok_or_else(|| Error::Forged(address.name.clone()))?;
        let wrapped_key = self.wrap(address, key_id, &bound, &key)?;
        Ok(Sealed { key_id, wrapped_key, ciphertext })
    }

    /// Opens a value.
    pub fn open_sealed(&self, address: &Address, version: u64, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Error> {
        let bound = address.bound(version);
        let key = self.unwrap_key(address, &bound, sealed)?;
        decrypt(&key, &bound, &sealed.ciphertext).ok_or_else(|| Error::Forged(address.name.clone()))
    }

    /// Puts a value's key under the newest of the server's keys. The value stays as it is.
    pub fn rewrap(&self, address: &Address, version: u64, sealed: &Sealed) -> Result<Sealed, Error> {
        let bound = address.bound(version);
        let key = self.unwrap_key(address, &bound, sealed)?;
        let key_id = self.newest().unwrap_or(sealed.key_id);
        let wrapped_key = self.wrap(address, key_id, &bound, &key)?;
        Ok(Sealed { key_id, wrapped_key, ciphertext: sealed.ciphertext.clone() })
    }

    fn wrap(&self, address: &Address, key_id: u32, bound: &[u8], key: &[u8; 32]) -> Result<Vec<u8>, Error> {
        encrypt(self.key(address, key_id)?, bound, key).ok_or_else(|| Error::Forged(address.name.clone()))
    }

    fn unwrap_key(&self, address: &Address, bound: &[u8], sealed: &Sealed) -> Result<Zeroizing<[u8; 32]>, Error> {
        let opened = decrypt(self.key(address, sealed.key_id)?, bound, &sealed.wrapped_key);
        let key = opened.and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok());
        key.map(Zeroizing::new).ok_or_else(|| Error::Forged(address.name.clone()))
    }

    fn key(&self, address: &Address, key_id: u32) -> Result<&[u8; 32], Error> {
        let missing = || Error::KeyMissing { name: address.name.clone(), key_id };
        self.keys.get(&key_id).map(|key| &**key).ok_or_else(missing)
    }
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(Key::from_slice(key))
}

/// The nonce, and then the ciphertext with its tag. `None` only for values of more than 256 GiB.
fn encrypt(key: &[u8; 32], bound: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let random = random();
    let nonce = random.get(..NONCE_BYTES)?;
    let ciphertext = cipher(key).encrypt(XNonce::from_slice(nonce), Payload { msg: value, aad: bound }).ok()?;
    Some([nonce, &ciphertext].concat())
}

fn decrypt(key: &[u8; 32], bound: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_BYTES)?;
    let opened = cipher(key).decrypt(XNonce::from_slice(nonce), Payload { msg: ciphertext, aad: bound });
    opened.ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(pipeline: &str, environment: Option<&str>, name: &str) -> Address {
        Address {
            pipeline: PipelineName::new(pipeline).unwrap(),
            environment: environment.map(str::to_owned),
            name: SecretName::new(name).unwrap(),
        }
    }

    #[test]
    fn a_value_opens_where_it_was_put_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = Keyring::open(folder.path()).unwrap();
        let mine = address("shop", Some("production"), "token");
        let sealed = keys.seal(&mine, 3, b"correct horse").unwrap();
        assert_eq!(keys.open_sealed(&mine, 3, &sealed).unwrap().as_slice(), b"correct horse");
        assert_eq!(
            Keyring::open(folder.path()).unwrap().open_sealed(&mine, 3, &sealed).unwrap().as_slice(),
            b"correct horse"
        );
        for (other, version) in [
            (address("till", Some("production"), "token"), 3),
            (address("shop", Some("staging"), "token"), 3),
            (address("shop", None, "token"), 3),
            (address("shop", Some("production"), "other"), 3),
            (mine.clone(), 4),
        ] {
            assert!(matches!(keys.open_sealed(&other, version, &sealed), Err(Error::Forged(_))), "{other:?} {version}");
        }
        for (at, of_key) in [(0, true), (40, true), (0, false), (30, false)] {
            let mut changed = sealed.clone();
            let bytes = if of_key { &mut changed.wrapped_key } else { &mut changed.ciphertext };
            bytes[at] ^= 1;
            assert!(matches!(keys.open_sealed(&mine, 3, &changed), Err(Error::Forged(_))));
        }
        let nothing = Sealed { ciphertext: vec![0; 5], ..sealed };
        assert!(matches!(keys.open_sealed(&mine, 3, &nothing), Err(Error::Forged(_))));
    }

    #[test]
    fn keys_can_be_changed_and_old_ones_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = Keyring::open(folder.path()).unwrap();
        let mine = address("shop", None, "token");
        let old = keys.seal(&mine, 1, b"correct horse").unwrap();
        assert_eq!((old.key_id, keys.add().unwrap()), (1, 2));
        let new = keys.rewrap(&mine, 1, &old).unwrap();
        assert_eq!((new.key_id, &new.ciphertext), (2, &old.ciphertext));
        keys.keep_newest().unwrap();
        let keys = Keyring::open(folder.path()).unwrap();
        assert_eq!(keys.open_sealed(&mine, 1, &new).unwrap().as_slice(), b"correct horse");
        assert!(matches!(keys.open_sealed(&mine, 1, &old), Err(Error::KeyMissing { key_id: 1, .. })));
    }

    #[test]
    fn the_keys_are_for_this_user_alone_and_a_damaged_file_is_not_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        Keyring::open(folder.path()).unwrap().add().unwrap();
        let path = folder.path().join("secrets.keys");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "1 zz\n").unwrap();
        assert!(matches!(Keyring::open(folder.path()), Err(Error::Damaged(_))));
    }
}
