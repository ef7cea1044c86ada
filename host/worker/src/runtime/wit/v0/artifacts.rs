//! `artifacts`: files that outlive the stage, and those of earlier stages.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other reply than a call's own is one case: a fault of the host"
)]

use super::run::input;
use super::slipway::stage::artifacts;
use super::{Answer, Failure, failure, odd};
use crate::runtime::state::State;
use crate::session::Session;
use bytes::Bytes;
use slipway_domain::Digest;
use slipway_domain::key::{NAME_RULE, is_media_type, is_name};
use slipway_domain::text::cut;
use slipway_protocol::{ARTIFACT_BYTES_MAX, Call, Reply};
use std::io::{Read, Seek, SeekFrom};
use wasmtime::component::Resource;

/// The most bytes that one call carries.
const CALL_BYTES_MAX: usize = 4 << 20;

/// The most artifacts that a stage writes at the same time.
const WRITERS_MAX: usize = 16;

/// An artifact that a guest is writing, in a file of the host's.
pub struct Writer {
    name: String,
    media_type: String,
    file: std::fs::File,
    bytes: u64,
}

/// The artifacts that a guest is writing, all together.
#[derive(Default)]
pub struct Writing {
    writers: usize,
    bytes: u64,
}

impl artifacts::Host for State {
    async fn put(&mut self, name: String, media_type: String, bytes: Vec<u8>) -> Answer<artifacts::Artifact> {
        if bytes.len() > CALL_BYTES_MAX {
            return Ok(Err(failure("too-large", "one call carries at most 4 MiB: use `create` or `put-file`")));
        }
        if let Err(failure) = check(&name, &media_type) {
            return Ok(Err(failure));
        }
        let bytes = Bytes::from(bytes);
        store(&self.session, name, media_type, || Ok(bytes.clone().into())).await
    }

    async fn put_file(&mut self, name: String, media_type: String, path: String) -> Answer<artifacts::Artifact> {
        if let Err(failure) = check(&name, &media_type) {
            return Ok(Err(failure));
        }
        let file = self.session.workspace.root().await?.read(&path);
        match file {
            Ok(file) => store(&self.session, name, media_type, || from_start(&file)).await,
            Err(error) => Ok(Err(failure("no-such-file", format!("cannot read `{}`: {error}", path.escape_debug())))),
        }
    }

    async fn create(&mut self, name: String, media_type: String) -> Answer<Resource<Writer>> {
        if let Err(failure) = check(&name, &media_type) {
            return Ok(Err(failure));
        }
        if self.writing.writers >= WRITERS_MAX {
            let message = format!("at most {WRITERS_MAX} artifacts are written at the same time");
            return Ok(Err(failure("too-many", message)));
        }
        let file = self.session.workspace.unnamed_file()?;
        let writer = self.table.push(Writer { name, media_type, file, bytes: 0 })?;
        self.writing.writers += 1;
        Ok(Ok(writer))
    }

    async fn inputs(&mut self, stage: String) -> Answer<Vec<artifacts::Artifact>> {
        Ok(input(&self.session, &stage, |input| input.artifacts.iter().cloned().map(Into::into).collect()))
    }

    async fn read(&mut self, digest: String, offset: u64, length: u32) -> Answer<Vec<u8>> {
        let length = length as usize;
        if length > CALL_BYTES_MAX {
            return Ok(Err(failure("too-large", "one call carries at most 4 MiB: read piece by piece")));
        }
        let known = match Digest::new(digest.clone()) {
            Ok(digest) if self.session.may_read(&digest) => digest,
            Ok(_) | Err(_) => {
                let message = format!("`{}` is neither an input nor an artifact of this stage", digest.escape_debug());
                return Ok(Err(failure("unknown-artifact", message)));
            }
        };
        let mut file = self.session.artifact(&known).await?;
        let read = move || {
            let mut bytes = Vec::new();
            if offset >= file.metadata()?.len() {
                return Ok(bytes);
            }
            file.seek(SeekFrom::Start(offset))?;
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
        let more = bytes.len() as u64;
        let writer = self.table.get_mut(&writer)?;
        if writer.bytes + more > ARTIFACT_BYTES_MAX {
            return Ok(Err(failure("too-large", "an artifact has at most 2 GiB")));
        }
        if self.writing.bytes + more > self.session.upload_bytes_left() {
            return Ok(Err(failure("too-large", "an attempt stores at most 8 GiB")));
        }
        std::io::Write::write_all(&mut writer.file, &bytes)?;
        writer.bytes += more;
        self.writing.bytes += more;
        Ok(Ok(()))
    }

    async fn finish(&mut self, writer: Resource<Writer>) -> Answer<artifacts::Artifact> {
        let written = self.table.get(&writer)?;
        let (name, media_type) = (written.name.clone(), written.media_type.clone());
        let file = written.file.try_clone()?;
        store(&self.session, name, media_type, || from_start(&file)).await
    }

    async fn drop(&mut self, writer: Resource<Writer>) -> wasmtime::Result<()> {
        let writer = self.table.delete(writer)?;
        self.writing.writers = self.writing.writers.saturating_sub(1);
        self.writing.bytes = self.writing.bytes.saturating_sub(writer.bytes);
        Ok(())
    }
}

/// Refuses at once what control would refuse after the upload.
fn check(name: &str, media_type: &str) -> Result<(), Failure> {
    if !is_name(name) {
        let name = cut(name, 256);
        return Err(failure("invalid-name", format!("`{}` cannot name an artifact: {NAME_RULE}", name.escape_debug())));
    }
    if !is_media_type(media_type) {
        let text = cut(media_type, 256);
        return Err(failure("invalid-media-type", format!("`{}` is no media type", text.escape_debug())));
    }
    Ok(())
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
            session.stored(&artifact);
            Ok(Ok(artifact.into()))
        }
        Reply::Refused(failure) => Ok(Err(failure.into())),
        other => odd(&other),
    }
}

impl From<slipway_protocol::lease::Artifact> for artifacts::Artifact {
    fn from(artifact: slipway_protocol::lease::Artifact) -> Self {
        let slipway_protocol::lease::Artifact { name, digest, size, media_type } = artifact;
        Self { name, digest, size, media_type, details: Vec::new() }
    }
}
