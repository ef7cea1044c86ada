//! `slipway artifacts`: what the stages of a run have stored, listed or brought here.

use crate::args::Artifacts;
use crate::client::{Api, path, shown, text};
use crate::error::Told;
use crate::output;
use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use slipway_domain::key::is_name;
use slipway_worker::beneath::Root;
use std::io::Write;
use std::path::Path;

pub(super) async fn run(args: &Artifacts, as_json: bool) -> anyhow::Result<()> {
    let api = Api::new(&args.server)?;
    let found = list(&api, &args.run, args.stage.as_deref()).await?;
    if let Some(folder) = &args.to {
        fetch(&api, &args.run, &found, folder).await?;
    }
    if as_json {
        output::json(&json!({ "artifacts": found, "folder": args.to }));
    } else if found.is_empty() {
        output::note("the run has no artifacts");
    } else {
        for artifact in &found {
            let size = artifact.get("size").and_then(Value::as_u64).unwrap_or(0);
            let stage = shown(artifact, "stage");
            output::line(format!("{stage}/{}  {size} bytes  {}", shown(artifact, "name"), shown(artifact, "digest")));
        }
        match &args.to {
            Some(folder) => output::note(format!("they are in `{}`", folder.display())),
            None => output::note("`--to FOLDER` brings them here"),
        }
    }
    Ok(())
}

/// The artifacts of a run, all or those of a stage.
async fn list(api: &Api, run: &str, stage: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let mut answer = api.get(&path(&["runs", run, "artifacts"])).await?;
    let found = answer.get_mut("artifacts").map(Value::take).unwrap_or_default();
    let Value::Array(mut found) = found else { return Ok(Vec::new()) };
    found.retain(|artifact| stage.is_none_or(|stage| text(artifact, "stage") == stage));
    Ok(found)
}

/// Brings all artifacts of a run into a folder, as `STAGE/NAME`.
pub(super) async fn fetch_all(api: &Api, run: &str, to: &Path) -> anyhow::Result<usize> {
    let found = list(api, run, None).await?;
    fetch(api, run, &found, to).await?;
    Ok(found.len())
}

async fn fetch(api: &Api, run: &str, artifacts: &[Value], to: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write to `{}`", to.display());
    std::fs::create_dir_all(to).with_context(cannot)?;
    // Whatever a server names, nothing is written beside the folder.
    let folder = Root::open(to).with_context(cannot)?;
    for artifact in artifacts {
        let (stage, name) = (text(artifact, "stage"), text(artifact, "name"));
        if !is_name(stage) || !is_name(name) {
            return Err(Told::errored("odd-answer", "the server names an artifact that cannot be a file").into());
        }
        let place = format!("{stage}/{name}");
        // Under a name that no artifact has, until it is whole and the right one.
        let part = format!("{stage}/.{name}.part");
        let mut response = api.open(api.request(Method::GET, &path(&["runs", run, "artifacts", stage, name]))).await?;
        folder.remove(&part).with_context(cannot)?;
        let fetched = async {
            let mut file = folder.create(&part, false).with_context(cannot)?;
            let mut hash = Sha256::new();
            while let Some(piece) = response.chunk().await.with_context(|| format!("`{place}` did not arrive whole"))? {
                hash.update(&piece);
                file.write_all(&piece).with_context(cannot)?;
            }
            let found = format!("sha256:{}", hex::encode(hash.finalize()));
            if found != text(artifact, "digest") {
                return Err(Told::errored("wrong-digest", format!("`{place}` arrived as other bytes")).into());
            }
            folder.rename(&part, &place).with_context(cannot)
        };
        if let Err(error) = fetched.await {
            // What is there of it is of no use; the error is about something else.
            let _left = folder.remove(&part).is_err();
            return Err(error);
        }
    }
    Ok(())
}
