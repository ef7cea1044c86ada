//! `artifacts`: what was uploaded under the lease gets a name.

use super::{Broker, Done, Keep};
use crate::clock;
use crate::scheduler::CallContext;
use crate::store::Write;
use crate::store::rows::ArtifactRow;
use slipway_domain::key::{NAME_RULE, is_media_type, is_name};
use slipway_protocol::Reply;
use slipway_protocol::lease::Artifact;

/// The most artifacts of a stage.
const ARTIFACTS_MAX: usize = 1_000;

pub(super) async fn put(broker: &Broker, context: &CallContext, name: &str, media_type: &str, digest: &str) -> Done {
    let CallContext { run, stage, epoch, .. } = context;
    if !is_name(name) {
        return Done::refused(
            "invalid-name",
            format!("`{}` cannot name an artifact: {NAME_RULE}", name.escape_debug()),
        );
    }
    if !is_media_type(media_type) {
        return Done::refused("invalid-media-type", format!("`{}` is no media type", media_type.escape_debug()));
    }
    // What a stage names has to be what it uploaded, so that it cannot point at another's.
    let size = match context.upload_size {
        Some(size) => Some(size),
        None => match broker.store.upload(*epoch, digest).await {
            Ok(size) => size,
            Err(error) => {
                tracing::error!(%error, "uploads cannot be read");
                None
            }
        },
    };
    let Some(size) = size else {
        return Done::refused("unknown-upload", "this attempt has uploaded no such bytes");
    };
    let artifact =
        Artifact { name: name.to_owned(), digest: digest.to_owned(), size, media_type: media_type.to_owned() };
    if let Some((_, before)) = context.left.artifacts.iter().find(|(_, before)| before.name == name) {
        return if *before == artifact {
            Done::reply(Reply::Artifact(artifact))
        } else {
            Done::refused("exists", format!("this stage has stored another artifact `{name}` already"))
        };
    }
    if context.left.artifacts.len() >= ARTIFACTS_MAX {
        return Done::refused("too-many", format!("a stage has at most {ARTIFACTS_MAX} artifacts"));
    }
    let row = ArtifactRow {
        run: run.to_string(),
        stage: stage.to_string(),
        name: name.to_owned(),
        epoch: *epoch,
        digest: digest.to_owned(),
        size,
        media_type: media_type.to_owned(),
        created_at: clock::now(),
    };
    Done {
        reply: Reply::Artifact(artifact.clone()),
        writes: vec![Write::Artifact(row)],
        keep: Keep::Artifact(*epoch, artifact),
    }
}
