//! The commands that speak to a server.

use super::parameters;
use crate::args::{Cancel, Logs, Releases, Rollback, Runs, Server, Trigger};
use crate::client::{Api, text};
use crate::diagnostics;
use crate::follow::{Show, detached, duration, ended, follow, glyph, print_log, summary};
use crate::{exit, output};
use reqwest::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The first letters of a commit, as git shows them.
fn short(revision: &str) -> &str {
    revision.get(..10).unwrap_or(revision)
}

pub(super) async fn add(server: &Server, name: &str, repository: &str, as_json: bool) -> anyhow::Result<()> {
    let body = json!({ "repository": repository });
    let added = Api::new(server)?.put(&format!("/v1/pipelines/{name}"), &body).await?;
    if as_json {
        output::json(&added);
    } else {
        output::line(format!("pipeline `{name}` follows `{}`", text(&added, "repository")));
    }
    Ok(())
}

pub(super) async fn pipelines(server: &Server, as_json: bool) -> anyhow::Result<()> {
    let found = Api::new(server)?.get("/v1/pipelines").await?;
    if as_json {
        output::json(&found);
    } else {
        for pipeline in list(&found, "pipelines") {
            output::line(format!("{:<24} {}", text(pipeline, "name"), text(pipeline, "repository")));
        }
    }
    Ok(())
}

pub(super) async fn check(server: &Server, name: &str, reference: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let api = Api::new(server)?;
    let request = api.request(Method::GET, &format!("/v1/pipelines/{name}/check")).query(&[("reference", reference)]);
    let checked = match api.send(request).await {
        Ok(checked) => checked,
        Err(error) => return diagnostics::show_problem(error, as_json),
    };
    if as_json {
        output::json(&checked);
        return Ok(ExitCode::from(exit::OK));
    }
    for stage in list(&checked, "stages") {
        let grants: Vec<&str> = list(stage, "grants").filter_map(Value::as_str).collect();
        let runs = if stage.get("runs") == Some(&Value::Bool(true)) { "" } else { "  (not for this ref)" };
        output::line(format!(
            "{:<16} {:<7} {:<20} {}{runs}",
            text(stage, "name"),
            text(stage, "kind"),
            text(stage, "plugin"),
            if grants.is_empty() { "no grants".to_owned() } else { grants.join(", ") }
        ));
    }
    output::line(format!("nothing is wrong with `{name}` at {}", text(&checked, "reference")));
    Ok(ExitCode::from(exit::OK))
}

pub(super) async fn trigger(args: Trigger, as_json: bool) -> anyhow::Result<ExitCode> {
    let api = Api::new(&args.server)?;
    let body = json!({ "reference": args.reference, "parameters": parameters(&args.parameters)? });
    let mut request = api.request(Method::POST, &format!("/v1/pipelines/{}/runs", args.pipeline)).json(&body);
    if let Some(key) = &args.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let run = match api.send(request).await {
        Ok(run) => run,
        Err(error) => return diagnostics::show_problem(error, as_json),
    };
    let id = text(&run, "id").to_owned();
    if args.detach {
        if as_json {
            output::json(&detached(&run));
        } else {
            output::line(&id);
        }
        return Ok(ExitCode::from(exit::OK));
    }
    if !as_json {
        output::line(format!("run {id}: {} at {}", args.pipeline, short(text(&run, "revision"))));
    }
    let run = follow(&api, &id, Show { logs: args.logs, debug: false, json: as_json }).await?;
    Ok(exit::of_state(text(&run, "state")))
}

pub(super) async fn runs(args: Runs, as_json: bool) -> anyhow::Result<()> {
    let api = Api::new(&args.server)?;
    if let Some(id) = &args.run {
        let run = api.get(&format!("/v1/runs/{id}")).await?;
        if as_json {
            output::json(&run);
            return Ok(());
        }
        output::line(summary(&run));
        for stage in list(&run, "stages") {
            output::line(ended(stage));
        }
        return Ok(());
    }
    let path = match &args.pipeline {
        Some(pipeline) => format!("/v1/pipelines/{pipeline}/runs?limit={}", args.limit),
        None => format!("/v1/runs?limit={}", args.limit),
    };
    let found = api.get(&path).await?;
    if as_json {
        output::json(&found);
        return Ok(());
    }
    for run in list(&found, "runs") {
        let reference = text(run, "reference");
        let reference =
            reference.strip_prefix("refs/tags/").or(reference.strip_prefix("refs/heads/")).unwrap_or(short(reference));
        output::line(format!(
            "{} {}  {:<20} {:<16} {}  {:<10} {}",
            glyph(text(run, "state")),
            text(run, "id"),
            text(run, "pipeline"),
            reference,
            short(text(run, "revision")),
            text(run, "state"),
            duration(run.get("duration_ms"))
        ));
    }
    Ok(())
}

pub(super) async fn logs(args: Logs, as_json: bool) -> anyhow::Result<()> {
    let api = Api::new(&args.server)?;
    let show = Show { logs: true, debug: args.debug, json: as_json };
    print_log(&api, &args.run, args.stage.as_deref(), args.follow, show, None).await
}

pub(super) async fn cancel(args: &Cancel, as_json: bool) -> anyhow::Result<()> {
    let run = Api::new(&args.server)?.post(&format!("/v1/runs/{}/cancel", args.run), &json!({})).await?;
    if as_json {
        output::json(&run);
    } else {
        output::line(summary(&run));
    }
    Ok(())
}

pub(super) async fn releases(args: &Releases, as_json: bool) -> anyhow::Result<()> {
    let api = Api::new(&args.server)?;
    let Some(app) = &args.app else {
        let found = api.get("/v1/apps").await?;
        if as_json {
            output::json(&found);
            return Ok(());
        }
        for app in list(&found, "apps") {
            let live = app.get("live").map_or("", |live| text(live, "version"));
            output::line(format!("{:<24} {:<12} {}", text(app, "name"), live, text(app, "address")));
        }
        return Ok(());
    };
    let found = api.get(&format!("/v1/apps/{app}/releases")).await?;
    if as_json {
        output::json(&found);
        return Ok(());
    }
    output::line(format!("{app} is at {}", text(&found, "address")));
    for release in list(&found, "releases") {
        let version = match text(release, "version") {
            "" => short(text(release, "revision")),
            version => version,
        };
        output::line(format!(
            "{:<10} {:<12} {}  run {}  {}",
            text(release, "state"),
            version,
            short(text(release, "revision")),
            text(release, "run"),
            text(release, "created_at")
        ));
    }
    Ok(())
}

pub(super) async fn rollback(args: &Rollback, as_json: bool) -> anyhow::Result<()> {
    let live = Api::new(&args.server)?.post(&format!("/v1/apps/{}/rollback", args.app), &json!({})).await?;
    if as_json {
        output::json(&live);
    } else {
        let version = match text(&live, "version") {
            "" => short(text(&live, "revision")),
            version => version,
        };
        output::line(format!("{} runs {version} again", args.app));
    }
    Ok(())
}
