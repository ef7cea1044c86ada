//! `slipway serve`.

use super::{plugins, stop_on_signal};
use crate::args::Serve;
use crate::client::default_data;
use crate::output::{self, Hinted};
use anyhow::Context;
use serde_json::json;
use slipway_control::config::Config;
use slipway_control::{Options, Running};
use std::path::Path;

/// The operator's configuration, or the defaults, with the tools of this machine.
pub(super) fn config(file: Option<&Path>) -> anyhow::Result<Config> {
    let config = match file {
        Some(file) => Config::read(file)?,
        None => Config::default(),
    };
    Ok(config.with_found_tools())
}

pub(super) async fn run(args: Serve, as_json: bool) -> anyhow::Result<()> {
    let mut config = config(args.config.as_deref())?;
    config.listen = args.listen.unwrap_or(config.listen);
    config.apps_listen = args.apps_listen.unwrap_or(config.apps_listen);
    config.worker_slots = args.worker_slots.unwrap_or(config.worker_slots);
    config.check()?;
    let options = Options {
        config,
        data: args.data.unwrap_or_else(default_data),
        program: std::env::current_exe().context("cannot find this program's own file")?,
        plugins: plugins(args.plugins.as_deref())?,
        children_log: None,
    };
    let stop = stop_on_signal()?;
    let result = slipway_control::run(options, |running| announce(running, as_json), stop).await;
    result.map_err(|error| match error.hint() {
        Some(hint) => {
            let message = error.to_string();
            anyhow::Error::new(error).context(Hinted { message, hint })
        }
        None => error.into(),
    })
}

fn announce(running: &Running, as_json: bool) {
    let Running { api, apps, token_file, token_is_new, recovered } = running;
    if as_json {
        return output::json(&json!({
            "ready": true, "api": format!("http://{api}"), "apps": apps, "token_file": token_file, "recovered": recovered,
        }));
    }
    output::line(format!("Slipway {} is ready", env!("CARGO_PKG_VERSION")));
    output::line(format!("  API     http://{api}   (OpenAPI at /openapi.json)"));
    output::line(format!("  apps    {apps}"));
    let new = if *token_is_new { ", made just now" } else { "" };
    output::line(format!("  token   in {}{new}", token_file.display()));
    if *recovered > 0 {
        output::line(format!("  {recovered} runs were taken up where they stood"));
    }
    output::line("  add a pipeline with `slipway pipeline add NAME REPOSITORY`, then `slipway trigger NAME TAG`");
}
