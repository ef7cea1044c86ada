//! `artifacts`: files that outlive the stage, and those of earlier stages.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other reply than a call's own is one case: a fault of the host"
)]

use super::run::input;
use super::slipway::stage::artifacts;
use super::{Answer, failure, odd};
use crate::runtime::state::State;
use crate::session::Session;
use bytes::Bytes;
use slipway_domain::Digest;
use slipway_protocol::{Call, Reply};
use std::io::{Read, Seek, SeekFrom};
use wasmtime::component::Resource;

/// The most bytes that one call carries.
const CALL_BYTES_MAX: usize = 4 << 20;

/// An artifact that a guest is writing, in a file of the host's.
pub struct Writer {
    name: String,
    media_type: String,
    file: std::fs::File,
}

impl artifacts::Host for State {
    async fn put(&mut self, name: String, media_type: String, bytes: Vec<u8>) -> Answer<artifacts::Artifact> {
        if bytes.len() > CALL_BYTES_MAX {
            return Ok(Err(failure("too-large", "one call carries at most 4 MiB: use `create` or `put-file`")));
        }
        let bytes = Bytes::from(bytes);
        store(&self.session, name, media_type, || Ok(bytes.clone().into())).await
    }

    async fn put_file(&mut self, name: String, media_type: String, path: String) -> Answer<artifacts::Artifact> {
        let file = self.session.workspace.root().await?.read(&path);
        match file {
            Ok(file) => store(&self.session, name, media_type, || from_start(&file)).await,
            Err(error) => Ok(Err(failure("no-such-file", format!("cannot read `{}`: {error}", path.escape_debug())))),
        }
    }

    async fn create(&mut self, name: String, media_type: String) -> Answer<Resource<Writer>> {
        let file = tempfile::tempfile()?;
        Ok(Ok(self.table.push(Writer { name, media_type, file })?))
    }

    async fn inputs(&mut self, stage: String) -> Answer<Vec<artifacts::Artifact>> {
        Ok(input(&self.session, &stage).map(|input| input.artifacts.iter().cloned().map(Into::into).collect()))
    }

    async fn read(&mut self, digest: String, offset: u64, length: u32) -> Answer<Vec<u8>> {
        let known = match Digest::new(digest.clone()) {
            Ok(digest) if self.session.may_read(&digest) => digest,
            Ok(_) | Err(_) => {
                let message = format!("`{}` is neither an input nor an artifact of this stage", digest.escape_debug());
                return Ok(Err(failure("unknown-artifact", message)));
            }
        };
        let mut file = self.session.artifact(&known).await?;
        let length = (length as usize).min(CALL_BYTES_MAX);
        let read = move || {
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(length as u64).read_to_end(&mut bytes)?;
            std::io::Result::Ok(bytes)
        };
        Ok(Ok(tokio::task::spawn_blocking(read).await??))
    }
}

impl artifacts::HostWriter for State {
    async fn write(&mut self, writer: Resource<Writer>, bytes: Vec<u8>) -> Answer<()> {
        if bytes.len() > CALL_BYTES_MAX {
            return Ok(Err(failure("too-large", "one call carries at most 4 MiB")));
        }
        std::io::Write::write_all(&mut self.table.get_mut(&writer)?.file, &bytes)?;
        Ok(Ok(()))
    }

    async fn finish(&mut self, writer: Resource<Writer>) -> Answer<artifacts::Artifact> {
        let writer = self.table.get_mut(&writer)?;
        let (name, media_type) = (writer.name.clone(), writer.media_type.clone());
        let file = writer.file.try_clone()?;
        store(&self.session, name, media_type, || from_start(&file)).await
    }

    async fn drop(&mut self, writer: Resource<Writer>) -> wasmtime::Result<()> {
        self.table.delete(writer)?;
        Ok(())
    }
}

/// A file from its beginning, as a body.
fn from_start(file: &std::fs::File) -> std::io::Result<reqwest::Body> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(tokio::fs::File::from_std(file).into())
}

/// Sends the bytes to control, which hashes them, and then puts the artifact on the record.
async fn store(
    session: &Session,
    name: String,
    media_type: String,
    body: impl Fn() -> std::io::Result<reqwest::Body>,
) -> Answer<artifacts::Artifact> {
    let digest = match session.upload(body).await {
        Ok(uploaded) => uploaded.digest,
        Err(crate::transfer::Error::Refused { status: 413, text, .. }) => return Ok(Err(failure("too-large", text))),
        Err(error) => return Err(wasmtime::Error::new(error)),
    };
    match session.call(Call::PutArtifact { name, media_type, digest }).await? {
        Reply::Artifact(artifact) => {
            session.own(&artifact.digest);
            Ok(Ok(artifact.into()))
        }
        Reply::Refused(failure) => Ok(Err(failure.into())),
        other => odd(&other),
    }
}

impl From<slipway_protocol::lease::Artifact> for artifacts::Artifact {
    fn from(artifact: slipway_protocol::lease::Artifact) -> Self {
        let slipway_protocol::lease::Artifact { name, digest, size, media_type } = artifact;
        Self { name, digest, size, media_type }
    }
}
