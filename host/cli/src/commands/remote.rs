//! The commands that speak to a server.

use super::parameters;
use crate::args::{Cancel, Logs, Releases, Rollback, Runs, Server, Trigger};
use crate::client::{Api, path, shown, text};
use crate::diagnostics;
use crate::error::Told;
use crate::follow::{Show, detached, duration, ended, follow, follow_log, glyph, print_log, summary};
use crate::table::{self, Shown};
use crate::{exit, output};
use reqwest::Method;
use serde_json::{Value, json};
use slipway_domain::grant::Tier;
use std::process::ExitCode;

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The first letters of a commit, as git shows them.
fn short(revision: &str) -> String {
    output::plain(revision.get(..10).unwrap_or(revision))
}

/// The version of a release, or its commit where no tag gave one.
fn version(release: &Value) -> String {
    match text(release, "version") {
        "" => short(text(release, "revision")),
        version => output::plain(version),
    }
}

/// The repository as the server has to know it: a path of this folder made absolute, since
/// the server does not know the folder. URLs and absolute paths are as they are.
fn location(api: &Api, repository: &str) -> anyhow::Result<String> {
    if repository.starts_with('/') || repository.contains("://") {
        return Ok(repository.to_owned());
    }
    let folder = std::path::Path::new(repository);
    if !folder.is_dir() {
        let message = format!("there is no folder `{repository}` here, and it is no URL");
        return Err(Told::usage("invalid-repository", message)
            .hint("give a folder, an absolute path on the server, or a URL such as `https://forge.example/shop.git`")
            .into());
    }
    if !api.is_here() {
        let message = format!("`{repository}` is a folder of this machine, and the server is `{}`", api.server());
        return Err(Told::usage("invalid-repository", message)
            .hint("give an absolute path on the server, or a URL that the server reaches")
            .into());
    }
    let unusable = || Told::usage("invalid-repository", format!("cannot use the folder `{repository}`"));
    let absolute = folder.canonicalize().map_err(|error| unusable().because(error))?;
    absolute.into_os_string().into_string().map_err(|_| unusable().hint("its path has to be UTF-8").into())
}

pub(super) async fn add(server: &Server, name: &str, repository: &str, as_json: bool) -> anyhow::Result<()> {
    let api = Api::new(server)?;
    let body = json!({ "repository": location(&api, repository)? });
    let added = api.put(&path(&["pipelines", name]), &body).await?;
    if as_json {
        output::json(&added);
    } else {
        output::line(format!("pipeline `{name}` follows `{}`", shown(&added, "repository")));
    }
    Ok(())
}

pub(super) async fn pipelines(server: &Server, as_json: bool) -> anyhow::Result<()> {
    let found = Api::new(server)?.get(&path(&["pipelines"])).await?;
    if as_json {
        output::json(&found);
    } else {
        for pipeline in list(&found, "pipelines") {
            output::line(format!("{:<24} {}", shown(pipeline, "name"), shown(pipeline, "repository")));
        }
    }
    Ok(())
}

pub(super) async fn check(
    server: &Server,
    name: &str,
    reference: &str,
    tier: Tier,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let api = Api::new(server)?;
    let asked = path(&["pipelines", name, "check"]).query("reference", reference).query("tier", tier.as_str());
    let checked = match api.get(&asked).await {
        Ok(checked) => checked,
        Err(error) => return diagnostics::show_problem(error, as_json),
    };
    if as_json {
        output::json(&checked);
        return Ok(ExitCode::from(exit::OK));
    }
    for stage in list(&checked, "stages") {
        let runs = if stage.get("runs") == Some(&Value::Bool(true)) { "" } else { "  (not for this ref)" };
        output::line(format!(
            "{:<16} {:<7} {}{runs}",
            shown(stage, "name"),
            shown(stage, "kind"),
            shown(stage, "plugin"),
        ));
    }
    table::print(&Shown::all(&checked));
    output::line(format!(
        "nothing is wrong with `{name}` at {} in a run of tier `{}`",
        shown(&checked, "reference"),
        tier.as_str()
    ));
    Ok(ExitCode::from(exit::OK))
}

pub(super) async fn trigger(args: Trigger, as_json: bool) -> anyhow::Result<ExitCode> {
    let api = Api::new(&args.server)?;
    let parameters = parameters(args.parameters)?;
    let body = json!({ "reference": args.reference, "parameters": parameters, "tier": args.tier.as_str() });
    let mut request = api.request(Method::POST, &path(&["pipelines", &args.pipeline, "runs"])).json(&body);
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
            output::line(output::plain(&id));
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
        let run = api.get(&path(&["runs", id])).await?;
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
    let runs = match &args.pipeline {
        Some(pipeline) => path(&["pipelines", pipeline, "runs"]),
        None => path(&["runs"]),
    };
    let found = api.get(&runs.query("limit", args.limit)).await?;
    if as_json {
        output::json(&found);
        return Ok(());
    }
    if list(&found, "runs").next().is_none() {
        output::note("there are no runs yet: `slipway trigger PIPELINE REF` makes one");
    }
    for run in list(&found, "runs") {
        let reference = text(run, "reference");
        let name = reference.strip_prefix("refs/tags/").or(reference.strip_prefix("refs/heads/"));
        let reference = name.map_or_else(|| short(reference), output::plain);
        output::line(format!(
            "{} {}  {:<20} {:<16} {}  {:<10} {}",
            glyph(text(run, "state")),
            shown(run, "id"),
            shown(run, "pipeline"),
            reference,
            short(text(run, "revision")),
            shown(run, "state"),
            duration(run.get("duration_ms"))
        ));
    }
    Ok(())
}

pub(super) async fn logs(args: Logs, as_json: bool) -> anyhow::Result<ExitCode> {
    let api = Api::new(&args.server)?;
    let show = Show { logs: true, debug: args.debug, json: as_json };
    if args.follow {
        let run = follow_log(&api, &args.run, args.stage.as_deref(), show).await?;
        return Ok(exit::of_state(text(&run, "state")));
    }
    print_log(&api, &args.run, args.stage.as_deref(), false, show, None).await?;
    Ok(ExitCode::from(exit::OK))
}

pub(super) async fn cancel(args: &Cancel, as_json: bool) -> anyhow::Result<()> {
    let run = Api::new(&args.server)?.post(&path(&["runs", &args.run, "cancel"]), &json!({})).await?;
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
        let found = api.get(&path(&["apps"])).await?;
        if as_json {
            output::json(&found);
            return Ok(());
        }
        if list(&found, "apps").next().is_none() {
            output::note("there are no apps yet: one is there once a pipeline has released it");
        }
        for app in list(&found, "apps") {
            let live = app.get("live").filter(|live| live.is_object()).map(version).unwrap_or_default();
            output::line(format!("{:<24} {:<12} {}", shown(app, "name"), live, shown(app, "address")));
        }
        return Ok(());
    };
    let found = api.get(&path(&["apps", app, "releases"]).query("limit", args.limit)).await?;
    if as_json {
        output::json(&found);
        return Ok(());
    }
    output::line(format!("{app} is at {}", shown(&found, "address")));
    for release in list(&found, "releases") {
        output::line(format!(
            "{:<10} {:<12} {}  run {}  {}",
            shown(release, "state"),
            version(release),
            short(text(release, "revision")),
            shown(release, "run"),
            shown(release, "created_at")
        ));
    }
    Ok(())
}

pub(super) async fn rollback(args: &Rollback, as_json: bool) -> anyhow::Result<()> {
    let live = Api::new(&args.server)?.post(&path(&["apps", &args.app, "rollback"]), &json!({})).await?;
    if as_json {
        output::json(&live);
    } else {
        output::line(format!("{} runs {} again", args.app, version(&live)));
    }
    Ok(())
}
