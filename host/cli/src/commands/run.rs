//! `slipway run`: this folder's pipeline, here, through the same engine as a server's.

use super::inspect::cache;
use super::serve::config;
use super::{no_definition, parameters, plugins, started, stop_on_signal};
use crate::args::Run;
use crate::client::{Api, path, text};
use crate::diagnostics::{self, Mistake};
use crate::error::Told;
use crate::follow::{Show, follow};
use crate::{exit, files, output};
use anyhow::Context;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use slipway_control::definition::{BYTES_MAX, FILE, decode, read};
use slipway_control::git::snapshot;
use slipway_control::store::SCHEMA_VERSION;
use slipway_control::{Options, Running};
use slipway_domain::grant::Tier;
use std::path::Path;
use std::process::ExitCode;
use tokio::sync::oneshot;

pub(super) async fn run(args: Run, as_json: bool) -> anyhow::Result<ExitCode> {
    let parameters = parameters(args.parameters)?;
    if let Some(folder) = &args.artifacts {
        let told = || Told::usage("no-folder", format!("cannot write artifacts to `{}`", folder.display()));
        std::fs::create_dir_all(folder).map_err(|error| told().because(error))?;
    }
    let unusable = || Told::usage("no-folder", format!("there is no folder `{}`", args.folder.display()));
    let folder = args.folder.canonicalize().map_err(|error| unusable().because(error))?;
    if !folder.is_dir() {
        let message = format!("`{}` is no folder", args.folder.display());
        return Err(Told::usage("no-folder", message).hint("name the folder with the `slipway.toml`").into());
    }
    let file = folder.join(FILE);
    if !file.exists() {
        return Err(no_definition(&folder));
    }
    let bytes = files::named(&file, BYTES_MAX, "pipeline file")?;
    let (text, found) = match decode(&bytes) {
        Ok(text) => {
            let found = read(&text).1;
            (text, found)
        }
        Err(wrong) => (wrong.text, Err(vec![wrong.diagnostic])),
    };
    let name = match found {
        Ok(definition) => definition.name.to_string(),
        Err(diagnostics) => {
            let mistakes: Vec<Mistake> = diagnostics.into_iter().map(Into::into).collect();
            diagnostics::show(FILE, &text, &mistakes, as_json);
            return Ok(ExitCode::from(exit::FAILED));
        }
    };
    // Kept from run to run, so that caches are warm the next time.
    let data = cache().join("run").join(format!("{}-v{SCHEMA_VERSION}", key(&folder)));
    let repository = data.join("snapshot.git");
    let revision = snapshot(&folder, &repository).await.context("cannot take the folder's files as they are")?;

    let mut config = config(args.config.as_deref(), args.policy.as_deref())?;
    config.listen.set_port(0);
    config.apps_listen.set_port(0);
    let options = Options {
        config,
        data,
        program: std::env::current_exe().context("cannot find this program's own file")?,
        plugins: plugins(args.plugins.as_deref())?,
        // The run's own log is what is wanted here.
        children_log: Some("error".into()),
    };
    let stop = stop_on_signal()?;
    let (tell, ready) = oneshot::channel();
    let ready_now = |running: &Running| {
        // Whoever waited has been cancelled.
        let _gone = tell.send(running.clone());
    };
    let serving = tokio::spawn(slipway_control::run(options, ready_now, stop.clone()));
    let Ok(running) = ready.await else {
        started(serving.await?)?;
        anyhow::bail!("the engine did not start");
    };
    let wish = Wish {
        name: &name,
        repository: &repository,
        revision: &revision,
        parameters: Value::Object(parameters),
        tier: args.tier,
        artifacts: args.artifacts.as_deref(),
        show: Show { logs: !as_json, debug: args.debug, json: as_json },
    };
    let result = tokio::select! {
        result = drive(&running, &wish) => result,
        () = stop.cancelled() => Ok(ExitCode::from(exit::CANCELLED)),
    };
    stop.cancel();
    started(serving.await?)?;
    result
}

struct Wish<'a> {
    name: &'a str,
    repository: &'a Path,
    revision: &'a str,
    parameters: Value,
    tier: Tier,
    artifacts: Option<&'a Path>,
    show: Show,
}

async fn drive(running: &Running, wish: &Wish<'_>) -> anyhow::Result<ExitCode> {
    let token = std::fs::read_to_string(&running.token_file).context("cannot read the engine's token")?;
    let api = Api::at(&format!("http://{}", running.api), &token)?;
    let Wish { name, repository, revision, parameters, tier, artifacts, show } = wish;
    api.put(&path(&["pipelines", name]), &json!({ "repository": repository })).await?;
    let body = json!({ "reference": revision, "parameters": parameters, "tier": tier.as_str() });
    let run = match api.post(&path(&["pipelines", name, "runs"]), &body).await {
        Ok(run) => run,
        Err(error) => {
            let code = diagnostics::show_problem(error, show.json)?;
            output::note("nothing was run");
            return Ok(code);
        }
    };
    let run = follow(&api, text(&run, "id"), *show).await?;
    if let Some(folder) = artifacts {
        let count = super::artifacts::fetch_all(&api, text(&run, "id"), folder).await?;
        let word = if count == 1 { "artifact" } else { "artifacts" };
        output::note(format!("{count} {word} written to `{}`", folder.display()));
    }
    Ok(exit::of_state(text(&run, "state")))
}

/// A name for the folder's own data.
fn key(folder: &Path) -> String {
    let hash = hex::encode(Sha256::digest(folder.as_os_str().as_encoded_bytes()));
    hash.get(..16).unwrap_or(&hash).to_owned()
}
