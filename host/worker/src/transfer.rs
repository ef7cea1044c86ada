//! Bulk data between worker and control: components, revisions and artifacts, by HTTP
//! beside the connection, under the same token and lease.

use bytes::Bytes;
use futures_util::TryStreamExt;
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use slipway_domain::Digest;
use slipway_protocol::{LEASE_HEADER, Lease, SELF_FENCE_SECONDS};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// How long one transfer may stand still.
const IDLE: Duration = Duration::from_secs(30);
/// How long an upload, or a revision, may take in all: longer than any stage.
const WHOLE: Duration = Duration::from_secs(24 * 3600);
/// For how long a control that cannot be reached is asked again: it may be restarting, and
/// the lease outlives that.
const RETRY: Duration = Duration::from_secs(SELF_FENCE_SECONDS);
/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a body that broke off is fetched again.
const BODY_TRIES: u32 = 20;
/// How many files of a kind are kept for the next stage.
const KEPT: usize = 64;

/// Why data did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Control cannot be reached or broke off.
    #[error("the transfer of {what} broke off")]
    Broken {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Control said no.
    #[error("control refused {what}: {status} {text}")]
    Refused {
        /// What.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        text: String,
    },
    /// What arrived is not what was asked for.
    #[error("{what} arrived with digest `{found}`")]
    WrongDigest {
        /// What.
        what: String,
        /// What arrived.
        found: String,
    },
    /// The disk of the worker.
    #[error("cannot store {what}")]
    Disk {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What control answers to an upload.
#[derive(Debug, Deserialize)]
pub struct Uploaded {
    /// The digest that control computed.
    pub digest: String,
    /// The size in bytes.
    pub size: u64,
}

/// What shows control that a lease is held here.
#[derive(Debug, Clone)]
pub struct Proof {
    epoch: u64,
    key: String,
}

impl Proof {
    /// The proof that a lease brings along.
    pub fn of(lease: &Lease) -> Self {
        Self { epoch: lease.epoch, key: lease.key.clone() }
    }
}

/// The way to control, and the folder for what came from it.
#[derive(Debug, Clone)]
pub struct Transfer {
    client: Client,
    /// Without a limit on the silence of control: it says nothing until it has all of an upload,
    /// and while it makes the archive of a large revision. It ends an upload that stands still.
    patient: Client,
    control: String,
    token: String,
    folder: PathBuf,
}

impl Transfer {
    /// A way to the control service at this URL.
    pub fn new(control: &str, token: &str, folder: PathBuf) -> reqwest::Result<Self> {
        Self::within(control, token, folder, IDLE)
    }

    fn within(control: &str, token: &str, folder: PathBuf, idle: Duration) -> reqwest::Result<Self> {
        let client = Client::builder().read_timeout(idle).tcp_nodelay(true).no_proxy().build()?;
        let patient = Client::builder().timeout(WHOLE).tcp_nodelay(true).no_proxy().build()?;
        Ok(Self { client, patient, control: control.trim_end_matches('/').to_owned(), token: token.to_owned(), folder })
    }

    /// Fetches a component by digest: that of a lease, or one that control has asked about.
    pub async fn component(&self, digest: &Digest, proof: Option<&Proof>) -> Result<Vec<u8>, Error> {
        let what = format!("component `{digest}`");
        let path = self.folder.join("components").join(digest.hex());
        if let Ok(bytes) = tokio::fs::read(&path).await
            && digest_of(&bytes) == digest.as_str()
        {
            return Ok(bytes);
        }
        let mut tries = Tries::default();
        let bytes = loop {
            let request = match proof {
                Some(proof) => self.get(&self.client, proof, "component"),
                None => self.client.get(format!("{}/worker/v1/components/{digest}", self.control)),
            };
            match self.send(request, &what).await?.bytes().await {
                Ok(bytes) => break bytes,
                Err(error) => tries.again(&what, error).await?,
            }
        };
        let found = digest_of(&bytes);
        if found != digest.as_str() {
            return Err(Error::WrongDigest { what, found });
        }
        self.keep(&path, &bytes).await.map_err(|source| Error::Disk { what, source })?;
        Ok(bytes.into())
    }

    /// Fetches the lease's revision as a tar file.
    pub async fn source(&self, proof: &Proof, revision: &str) -> Result<File, Error> {
        let what = format!("revision `{revision}`");
        let path = self.folder.join("revisions").join(format!("{revision}.tar"));
        if let Ok(file) = File::open(&path) {
            return Ok(file);
        }
        self.fetch(|| self.get(&self.patient, proof, "source"), &path, &what, None).await
    }

    /// Fetches an artifact that the lease may read.
    pub async fn artifact(&self, proof: &Proof, digest: &Digest) -> Result<File, Error> {
        let what = format!("artifact `{digest}`");
        let path = self.folder.join("artifacts").join(digest.hex());
        if let Ok(file) = File::open(&path) {
            return Ok(file);
        }
        let request = || self.get(&self.client, proof, &format!("blobs/{digest}"));
        self.fetch(request, &path, &what, Some(digest)).await
    }

    /// Fetches a file whole, and again when its body breaks off: control may be restarting.
    async fn fetch(
        &self,
        request: impl Fn() -> RequestBuilder,
        path: &Path,
        what: &str,
        digest: Option<&Digest>,
    ) -> Result<File, Error> {
        let mut tries = Tries::default();
        loop {
            let response = self.send(request(), what).await?;
            match self.download(response, path, what, digest).await {
                Err(Error::Broken { source, .. }) => tries.again(what, source).await?,
                fetched => return fetched,
            }
        }
    }

    /// Sends the bytes of an artifact; control hashes and stores them. `body` is asked for
    /// the bytes again when the connection broke.
    pub async fn upload(&self, proof: &Proof, body: impl Fn() -> io::Result<reqwest::Body>) -> Result<Uploaded, Error> {
        let what = "an artifact";
        let url = format!("{}/worker/v1/leases/{}/blobs", self.control, proof.epoch);
        let mut tries = Tries::default();
        loop {
            let response = self
                .retry(what, || {
                    let body = body().map_err(|source| Error::Disk { what: what.to_owned(), source })?;
                    Ok(self.patient.put(&url).header(LEASE_HEADER, &proof.key).body(body))
                })
                .await?;
            match response.json().await {
                Ok(uploaded) => return Ok(uploaded),
                Err(error) => tries.again(what, error).await?,
            }
        }
    }

    /// A request for something of a lease.
    fn get(&self, by: &Client, Proof { epoch, key }: &Proof, what: &str) -> RequestBuilder {
        by.get(format!("{}/worker/v1/leases/{epoch}/{what}", self.control)).header(LEASE_HEADER, key)
    }

    /// Sends a request that has no body.
    async fn send(&self, request: RequestBuilder, what: &str) -> Result<Response, Error> {
        self.retry(what, || {
            request.try_clone().ok_or_else(|| Error::Disk {
                what: what.to_owned(),
                source: io::Error::other("a request with a body that is read once"),
            })
        })
        .await
    }

    /// Sends a request, again and again while control cannot be reached.
    async fn retry(&self, what: &str, request: impl Fn() -> Result<RequestBuilder, Error>) -> Result<Response, Error> {
        let until = Instant::now() + RETRY;
        loop {
            let request = request()?.header(AUTHORIZATION, format!("Bearer {}", self.token));
            let response = match request.send().await {
                Ok(response) => response,
                Err(error) if Instant::now() < until => {
                    tracing::debug!(%error, what, "control cannot be reached: asking again");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(source) => return Err(broken(what, source)),
            };
            if response.status().is_success() {
                return Ok(response);
            }
            let status = response.status().as_u16();
            let text = response.text().await.unwrap_or_default().chars().take(500).collect();
            return Err(Error::Refused { what: what.to_owned(), status, text });
        }
    }

    /// Writes a body to a new file, and gives it its name once it is whole and right. Returns
    /// the open file, which stays whole when its name is given up for newer ones.
    async fn download(
        &self,
        response: Response,
        path: &Path,
        what: &str,
        digest: Option<&Digest>,
    ) -> Result<File, Error> {
        let disk = |source| Error::Disk { what: what.to_owned(), source };
        let folder = path.parent().unwrap_or(&self.folder);
        tokio::fs::create_dir_all(folder).await.map_err(disk)?;
        let temporary = tempfile::NamedTempFile::new_in(folder).map_err(disk)?;
        let mut file = tokio::fs::File::from_std(temporary.reopen().map_err(disk)?);
        let mut hash = Sha256::new();
        let mut body = response.bytes_stream();
        while let Some(piece) = body.try_next().await.map_err(|source| broken(what, source))? {
            hash.update(&piece);
            file.write_all(&piece).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)?;
        let found = format!("sha256:{}", hex::encode(hash.finalize()));
        if digest.is_some_and(|wanted| wanted.as_str() != found) {
            return Err(Error::WrongDigest { what: what.to_owned(), found });
        }
        // Before it has its name: after a power loss, a name with nothing in it would be believed.
        file.sync_all().await.map_err(disk)?;
        let whole = File::open(temporary.path()).map_err(disk)?;
        temporary.persist(path).map_err(|error| disk(error.error))?;
        tidy(folder);
        Ok(whole)
    }

    async fn keep(&self, path: &Path, bytes: &Bytes) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.folder).to_owned();
        let (path, bytes) = (path.to_owned(), bytes.clone());
        let write = move || {
            std::fs::create_dir_all(&folder)?;
            let temporary = tempfile::NamedTempFile::new_in(&folder)?;
            std::fs::write(temporary.path(), &bytes)?;
            temporary.persist(path)?;
            tidy(&folder);
            Ok(())
        };
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
    }
}

/// The digest of some bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Removes the oldest files of a folder that holds more than [`KEPT`]. One that is still
/// open stays readable for whoever has it open; one that is missed is fetched again.
fn tidy(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .collect();
    files.sort();
    for (_, path) in files.iter().take(files.len().saturating_sub(KEPT)) {
        if let Err(error) = std::fs::remove_file(path) {
            tracing::debug!(path = %path.display(), %error, "cannot remove an old file");
        }
    }
}

/// How often a body has broken off.
#[derive(Default)]
struct Tries(u32);

impl Tries {
    /// Waits a moment before it is asked for again; an error when that was often enough.
    async fn again(&mut self, what: &str, error: reqwest::Error) -> Result<(), Error> {
        if self.0 == BODY_TRIES {
            return Err(broken(what, error));
        }
        self.0 += 1;
        tracing::debug!(%error, what, "a transfer broke off: beginning again");
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

fn broken(what: &str, source: reqwest::Error) -> Error {
    Error::Broken { what: what.to_owned(), source }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
