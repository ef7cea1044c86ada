//! Repositories whose stages do nothing, or next to nothing.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::Bench;
use crate::git;
use crate::slipway::api::Api;

/// The tag that runs are triggered by.
pub(super) const TAG: &str = "v1.0.0";

/// A pipeline of guests.
pub(super) struct Pipeline {
    /// Its name.
    pub(super) name: &'static str,
    definition: &'static str,
    guests: &'static [&'static str],
}

/// Three stages that return at once.
pub(super) const NOOP: Pipeline = Pipeline {
    name: "noop",
    definition: r#"name = "noop"

[on]
tag = ["v*"]

[stages.build]
uses = "./plugins/noop_build.wasm"

[stages.test]
needs = ["build"]
uses = "./plugins/noop_test.wasm"

[stages.deploy]
needs = ["test"]
uses = "./plugins/noop_deploy.wasm"
when.tag = "v*"
"#,
    guests: &["noop_build", "noop_test", "noop_deploy"],
};

/// One stage that calls one host function.
pub(super) const ASKS_ONCE: Pipeline = Pipeline {
    name: "asks-once",
    definition: "name = \"asks-once\"\n\n[stages.only]\nuses = \"./plugins/asks_once.wasm\"\n",
    guests: &["asks_once"],
};

/// Adds the pipeline to a server; its repository is made the first time.
pub(super) fn add(bench: &Bench<'_>, api: &Api, pipeline: &Pipeline) -> Result<()> {
    let folder = repository(bench, pipeline)?;
    api.add_pipeline(pipeline.name, &folder.to_string_lossy())
}

fn repository(bench: &Bench<'_>, pipeline: &Pipeline) -> Result<PathBuf> {
    let folder = bench.home(pipeline.name)?;
    if folder.join(".git").is_dir() {
        return Ok(folder);
    }
    let plugins = folder.join("plugins");
    std::fs::create_dir_all(&plugins)?;
    std::fs::write(folder.join("slipway.toml"), pipeline.definition)?;
    for guest in pipeline.guests {
        let file = format!("{guest}.wasm");
        let built = bench.env.guests().join(&file);
        std::fs::copy(&built, plugins.join(&file)).with_context(|| format!("cannot copy `{}`", built.display()))?;
    }
    git::run(&folder, &["init", "--quiet", "--initial-branch=main"])?;
    git::run(&folder, &["add", "--all"])?;
    git::run(&folder, &["commit", "--quiet", "--message", "Do nothing"])?;
    git::run(&folder, &["tag", TAG])?;
    Ok(folder)
}
