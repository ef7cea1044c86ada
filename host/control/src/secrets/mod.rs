//! Secrets: kept encrypted, used by the host, shown to nobody.
//!
//! A secret belongs to a pipeline, and to one environment of it or to all. What a stage of an
//! environment opens is that environment's, or else the pipeline's.

mod encodings;
mod mask;
mod vault;

pub use mask::{BYTES_MIN, MASK, Masker};
pub use vault::{Address, Error as VaultError, Keyring, Sealed};

use crate::clock;
use crate::store::rows::{AuditRow, SecretRow};
use crate::store::{CommitError, Store, Write};
use slipway_domain::check::SecretsSet;
use slipway_domain::{PipelineName, SecretName};
use slipway_protocol::secret::Confidential;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;

/// The largest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// The most secrets of a pipeline: each makes masking a little slower.
pub const SECRETS_MAX: usize = 200;

/// Why a secret was not kept, found or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("there is no secret `{0}`")]
    Unknown(SecretName),
    /// There is no such pipeline.
    #[error("there is no pipeline `{0}`")]
    UnknownPipeline(PipelineName),
    /// A value that cannot be one.
    #[error("a secret has 1 to {VALUE_BYTES_MAX} bytes, and this one has {0}")]
    Size(usize),
    /// Too many.
    #[error("a pipeline has at most {SECRETS_MAX} secrets")]
    TooMany,
    /// The keys, or what is stored.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store.
    #[error("the secret was not stored")]
    Store(#[from] CommitError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Read(#[from] sqlx::Error),
}

/// The secrets of a server. Clones share them.
#[derive(Clone)]
pub struct Secrets {
    store: Store,
    keys: Arc<Mutex<Keyring>>,
    maskers: Arc<RwLock<HashMap<PipelineName, Arc<Masker>>>>,
}

impl Secrets {
    /// The secrets of a data folder.
    pub fn open(store: Store, data: &Path) -> Result<Self, VaultError> {
        let keys = Arc::new(Mutex::new(Keyring::open(data)?));
        Ok(Self { store, keys, maskers: Arc::default() })
    }

    /// Keeps a value. Returns which value of the secret it is.
    pub async fn set(&self, address: Address, value: &[u8], by: &str) -> Result<SecretRow, Error> {
        if value.is_empty() || value.len() > VALUE_BYTES_MAX {
            return Err(Error::Size(value.len()));
        }
        let pipeline = address.pipeline.as_str();
        if self.store.pipeline(pipeline).await?.is_none() {
            return Err(Error::UnknownPipeline(address.pipeline));
        }
        // Held until it is stored, so that no other value gets the same version.
        let mut keys = self.keys.lock().await;
        let before = self.store.secret(&address).await?;
        if before.is_none() && self.store.secrets(Some(pipeline)).await?.len() >= SECRETS_MAX {
            return Err(Error::TooMany);
        }
        let version = before.map_or(1, |before| before.version + 1);
        let sealed = keys.seal(&address, version, value)?;
        let row = SecretRow { address, version, sealed, changed_at: clock::now(), changed_by: by.to_owned() };
        let audit = audit(by, "secret.set", &row.address);
        self.store.try_commit(vec![Write::Secret(row.clone()), audit]).await?;
        drop(keys);
        self.learn(&row.address.pipeline).await?;
        Ok(row)
    }

    /// Keeps a secret no more. Returns what was kept.
    pub async fn remove(&self, address: &Address, by: &str) -> Result<SecretRow, Error> {
        let _keys = self.keys.lock().await;
        let row = self.store.secret(address).await?.ok_or_else(|| Error::Unknown(address.name.clone()))?;
        let removed = Write::SecretRemoved { address: address.clone() };
        self.store.try_commit(vec![removed, audit(by, "secret.remove", address)]).await?;
        // What masks it goes on doing so: a run that has it may still tell it.
        Ok(row)
    }

    /// The secrets of a pipeline, without their values.
    pub async fn list(&self, pipeline: &PipelineName) -> Result<Vec<SecretRow>, Error> {
        if self.store.pipeline(pipeline.as_str()).await?.is_none() {
            return Err(Error::UnknownPipeline(pipeline.clone()));
        }
        Ok(self.store.secrets(Some(pipeline.as_str())).await?)
    }

    /// Which secrets of a pipeline are set.
    pub async fn set_of(&self, pipeline: &PipelineName) -> sqlx::Result<SecretsSet> {
        let rows = self.store.secrets(Some(pipeline.as_str())).await?;
        Ok(rows.into_iter().map(|row| (row.address.environment, row.address.name)).collect())
    }

    /// The value that a stage of an environment gets.
    pub async fn value(
        &self,
        pipeline: &PipelineName,
        environment: Option<&str>,
        name: &SecretName,
    ) -> Result<Confidential, Error> {
        let environments = environment.map(|name| Some(name.to_owned())).into_iter().chain([None]);
        for environment in environments {
            let address = Address { pipeline: pipeline.clone(), environment, name: name.clone() };
            if let Some(row) = self.store.secret(&address).await? {
                let value = self.keys.lock().await.open_sealed(&address, row.version, &row.sealed)?;
                return Ok(Confidential::new(value.to_vec()));
            }
        }
        Err(Error::Unknown(name.clone()))
    }

    /// Puts everything under a new key of the server's, and throws the old ones away. Returns how many
    /// secrets there are. What breaks off in between is taken up by the next call: until the end, all
    /// keys are kept.
    pub async fn rotate(&self, by: &str) -> Result<usize, Error> {
        let mut keys = self.keys.lock().await;
        keys.add()?;
        let rows = self.store.secrets(None).await?;
        let count = rows.len();
        let mut writes = Vec::with_capacity(count + 1);
        for row in rows {
            let sealed = keys.rewrap(&row.address, row.version, &row.sealed)?;
            writes.push(Write::Secret(SecretRow { sealed, ..row }));
        }
        let (at, actor) = (clock::now(), by.to_owned());
        let (action, object) = ("secret.rotate".to_owned(), format!("{count} secrets"));
        writes.push(Write::Audit(AuditRow { at, actor, action, object, outcome: "done" }));
        self.store.try_commit(writes).await?;
        keys.keep_newest()?;
        Ok(count)
    }

    /// What masks the secrets of a pipeline. It masks nothing of a pipeline that [`Self::know`] was not
    /// called for.
    pub fn masker(&self, pipeline: &str) -> Arc<Masker> {
        let known = self.maskers.read().unwrap_or_else(PoisonError::into_inner);
        PipelineName::new(pipeline).ok().and_then(|pipeline| known.get(&pipeline).cloned()).unwrap_or_default()
    }

    /// Makes sure that a pipeline's secrets are masked.
    pub async fn know(&self, pipeline: &PipelineName) -> Result<(), Error> {
        let is_known = self.maskers.read().unwrap_or_else(PoisonError::into_inner).contains_key(pipeline);
        if is_known { Ok(()) } else { self.learn(pipeline).await }
    }

    /// Masks all that is set for a pipeline now, and what was masked before: a run may still tell it.
    async fn learn(&self, pipeline: &PipelineName) -> Result<(), Error> {
        let rows = self.store.secrets(Some(pipeline.as_str())).await?;
        let mut values = Vec::with_capacity(rows.len());
        let keys = self.keys.lock().await;
        for row in rows {
            match keys.open_sealed(&row.address, row.version, &row.sealed) {
                Ok(value) => values.push(value),
                // It cannot be used either.
                Err(error) => tracing::error!(%error, pipeline = %pipeline, "a secret cannot be opened"),
            }
        }
        drop(keys);
        let before = self.masker(pipeline.as_str());
        let make = move || Masker::with_before(Some(&before), values.iter().map(|value| value.as_slice()));
        // Where computing is allowed. That fails only when the server is ending.
        if let Ok(masker) = tokio::task::spawn_blocking(make).await {
            let mut known = self.maskers.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(pipeline.clone(), Arc::new(masker));
        }
        Ok(())
    }
}

fn audit(by: &str, action: &str, address: &Address) -> Write {
    let environment = address.environment.as_ref().map_or_else(String::new, |name| format!(" of environment `{name}`"));
    Write::Audit(AuditRow {
        at: clock::now(),
        actor: by.to_owned(),
        action: action.to_owned(),
        object: format!("secret `{}` of pipeline `{}`{environment}", address.name, address.pipeline),
        outcome: "done",
    })
}

#[cfg(test)]
mod tests;
