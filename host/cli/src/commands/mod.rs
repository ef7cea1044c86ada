//! One file a command, or a few that belong together.

mod artifacts;
mod audit;
mod check;
mod doctor;
mod inspect;
mod pins;
mod remote;
mod run;
mod secret;
mod serve;
mod token;
mod worker;

use crate::args::{Args, Command, PipelineAction, PluginAction};
use crate::error::Told;
use crate::{built_in, exit, output};
use clap::CommandFactory;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Runs a command.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other command runs in the runtime")]
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let done = |()| ExitCode::from(exit::OK);
    match args.command {
        Command::Worker(worker) => worker::run(worker).map(done),
        Command::Apps { .. } => worker::apps().map(done),
        Command::Completions { shell } => {
            let mut completions = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "slipway", &mut completions);
            output::exact(String::from_utf8_lossy(&completions));
            Ok(ExitCode::from(exit::OK))
        }
        Command::Openapi => {
            output::exact(slipway_control::api::openapi().to_pretty_json()?);
            Ok(ExitCode::from(exit::OK))
        }
        command => {
            let runtime = tokio::runtime::Runtime::new()?;
            let code = runtime.block_on(Box::pin(run_async(command, json)));
            // A question to a repository may still be waiting for an answer.
            runtime.shutdown_background();
            code
        }
    }
}

async fn run_async(command: Command, json: bool) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::from(exit::OK);
    match command {
        Command::Run(args) => run::run(args, json).await,
        Command::Check(args) => check::run(&args, json).await,
        Command::Serve(args) => serve::run(args, json).await.map(done),
        Command::Pipeline(args) => match args.command {
            PipelineAction::Add { name, repository, server } => {
                remote::add(&server, &name, &repository, json).await.map(done)
            }
            PipelineAction::List { server } => remote::pipelines(&server, json).await.map(done),
            PipelineAction::Check { name, reference, tier, server } => {
                remote::check(&server, &name, &reference, tier, json).await
            }
        },
        Command::Trigger(args) => remote::trigger(args, json).await,
        Command::Runs(args) => remote::runs(args, json).await.map(done),
        Command::Logs(args) => remote::logs(args, json).await,
        Command::Artifacts(args) => artifacts::run(&args, json).await.map(done),
        Command::Cancel(args) => remote::cancel(&args, json).await.map(done),
        Command::Releases(args) => remote::releases(&args, json).await.map(done),
        Command::Rollback(args) => remote::rollback(&args, json).await.map(done),
        Command::Plugin(args) => match args.command {
            PluginAction::Inspect { file } => inspect::run(&file, json).await,
            PluginAction::List => inspect::list(json).await.map(done),
            PluginAction::Update(args) => pins::update(&args, json).await,
        },
        Command::Audit(args) => audit::run(&args, json).await.map(done),
        Command::Secret(args) => secret::run(args.command, json).await.map(done),
        Command::Token(args) => token::run(args.command, json).await.map(done),
        Command::Doctor(args) => doctor::run(args.config.as_deref(), json).await,
        Command::Worker(_) | Command::Apps { .. } | Command::Completions { .. } | Command::Openapi => {
            Ok(ExitCode::from(exit::OK))
        }
    }
}

/// Cancelled by Ctrl-C or SIGTERM.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            // A signal that cannot be heard is as good as one that never comes.
            result = tokio::signal::ctrl_c() => if result.is_err() { std::future::pending::<()>().await },
        }
        stopped.cancel();
    });
    Ok(stop)
}

/// The whole path of a folder: what it is handed to may stand somewhere else.
fn whole(folder: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(folder)
        .map_err(|error| Told::usage("no-folder", format!("`{}` is no folder", folder.display())).because(error))
}

/// What is said of a folder without a pipeline.
fn no_definition(folder: &Path) -> anyhow::Error {
    let file = slipway_control::definition::FILE;
    Told::usage("no-definition", format!("there is no `{file}` in `{}`", folder.display()))
        .hint("a pipeline is a file of that name: docs/quick-start.md shows one of a few lines")
        .into()
}

/// How a server ended, in the words of the command line.
fn started(result: Result<(), slipway_control::Error>) -> anyhow::Result<()> {
    result.map_err(|error| {
        let told = Told::errored("not-started", error.to_string());
        match error.hint() {
            Some(hint) => told.hint(hint).because(error),
            None => told.because(error),
        }
    })
}

/// The built-in plugins, or a hint when there are none.
fn plugins(folder: Option<&std::path::Path>) -> anyhow::Result<Vec<(String, bytes::Bytes)>> {
    let plugins = built_in::plugins(folder)?;
    if plugins.is_empty() {
        output::note(
            "warning: this build has no built-in plugins (`cargo xtask guests` builds them); add some with `--plugins`",
        );
    }
    Ok(plugins)
}

/// Parameters as an object; one that is given twice is nobody's wish.
fn parameters(given: Vec<(String, String)>) -> anyhow::Result<serde_json::Map<String, serde_json::Value>> {
    let mut parameters = serde_json::Map::new();
    for (name, value) in given {
        if parameters.insert(name.clone(), value.into()).is_some() {
            let message = format!("parameter `{}` is given twice", name.escape_debug());
            return Err(Told::usage("invalid-parameter", message).hint("give each parameter once").into());
        }
    }
    Ok(parameters)
}
