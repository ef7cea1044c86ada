//! `slipway serve`.

use super::{plugins, started, stop_on_signal, whole};
use crate::args::Serve;
use crate::client::default_data;
use crate::error::Told;
use crate::output;
use anyhow::Context;
use serde_json::json;
use slipway_control::config::Config;
use slipway_control::{Options, Running};
use std::net::SocketAddr;
use std::path::Path;

/// The operator's configuration, or the defaults, with the tools of this machine.
pub(super) fn config(file: Option<&Path>, policy: Option<&Path>) -> anyhow::Result<Config> {
    let mut config = match file {
        Some(file) => Config::read(file).map_err(wrong)?,
        None => Config::default(),
    };
    if let Some(policy) = policy {
        config = config.with_policy(policy).map_err(wrong)?;
    }
    Ok(config.with_found_tools())
}

fn wrong(error: slipway_control::config::Error) -> anyhow::Error {
    Told::usage("invalid-config", error.to_string()).because(error)
}

/// What an operator should know of an address that others reach.
fn exposure(api: SocketAddr) -> Option<String> {
    (!api.ip().is_loopback()).then(|| {
        format!(
            "the API listens on `{api}`, beyond this machine, and speaks plain HTTP: whoever is on the way reads tokens \
             and logs. Let it listen on 127.0.0.1 behind a reverse proxy with TLS, a tunnel or a private network; \
             docs/operations.md shows how"
        )
    })
}

pub(super) async fn run(args: Serve, as_json: bool) -> anyhow::Result<()> {
    let mut config = config(args.config.as_deref(), args.policy.as_deref())?;
    config.listen = args.listen.unwrap_or(config.listen);
    config.apps_listen = args.apps_listen.unwrap_or(config.apps_listen);
    config.worker_slots = args.worker_slots.unwrap_or(config.worker_slots);
    config.check().map_err(wrong)?;
    let options = Options {
        config,
        data: whole(&args.data.unwrap_or_else(default_data))?,
        program: std::env::current_exe().context("cannot find this program's own file")?,
        plugins: plugins(args.plugins.as_deref())?,
        children_log: None,
    };
    let stop = stop_on_signal()?;
    started(slipway_control::run(options, |running| announce(running, as_json), stop).await)
}

fn announce(running: &Running, as_json: bool) {
    let Running { api, apps, token_file, token_is_new, recovered } = running;
    let exposure = exposure(*api);
    if as_json {
        if let Some(warning) = exposure {
            tracing::warn!("{warning}");
        }
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
    if let Some(warning) = exposure {
        output::note(format!("warning: {warning}"));
    }
    output::line("  add a pipeline with `slipway pipeline add NAME REPOSITORY`, then `slipway trigger NAME TAG`");
    // What these commands do not find by themselves.
    let mut needed = Vec::new();
    if api.port() != Config::default().listen.port() {
        needed.push(format!("--server http://{api}"));
    }
    if *token_file != default_data().join("token") {
        needed.push(format!("--token-file {}", token_file.display()));
    }
    if !needed.is_empty() {
        output::line(format!("  each with `{}`", needed.join(" ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_beyond_the_machine_is_warned() {
        for (address, warned) in [
            ("127.0.0.1:7077", false),
            ("[::1]:7077", false),
            ("0.0.0.0:7077", true),
            ("192.0.2.1:80", true),
            ("[::]:1", true),
        ] {
            let warning = exposure(address.parse().unwrap());
            assert_eq!(warning.is_some(), warned, "{address}");
            if let Some(warning) = warning {
                assert!(warning.contains("TLS") && warning.contains(address), "{warning}");
            }
        }
    }
}
