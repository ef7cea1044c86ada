//! The command line.

use clap::{Args as ClapArgs, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Build, test and deploy with sandboxed WebAssembly stages.
///
/// Start with `slipway run` in the folder of a project that has a `slipway.toml`. It needs
/// no server. `slipway serve` is the service for a team; the other commands speak to it.
#[derive(Debug, Parser)]
#[command(name = "slipway", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 passed or done, 1 failed or mistakes found, 2 wrong usage,\n3 errored (the platform could not do its part), 4 cancelled."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print JSON instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Log more (`-v`: what the server does, `-vv`: how).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run this folder's pipeline here, without a server.
    ///
    /// Takes the files as they are, committed or not (what .gitignore names stays out), and
    /// runs them through the same engine as a server does.
    Run(Run),
    /// Check a pipeline file: every mistake with its line and how to mend it.
    Check(Check),
    /// Start the service: API, scheduler, one worker, and the embedded app host.
    Serve(Serve),
    /// Start a worker that takes stages from a server.
    Worker(Worker),
    /// Add a pipeline to the server, or show those it has.
    Pipeline(PipelineCommand),
    /// Trigger a pipeline and follow the run.
    Trigger(Trigger),
    /// List runs, newest first, or show one.
    Runs(Runs),
    /// Show the log of a run.
    Logs(Logs),
    /// Cancel a run.
    Cancel(Cancel),
    /// List the releases of an app, newest first.
    Releases(Releases),
    /// Give an app's traffic back to the release before the live one, at once.
    Rollback(Rollback),
    /// Look at plugins.
    Plugin(PluginCommand),
    /// Find out whether this machine has what Slipway needs.
    Doctor,
    /// Print completions for a shell.
    ///
    /// For example: `slipway completions bash > /etc/bash_completion.d/slipway`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// The embedded app host; started by `serve`.
    #[command(hide = true)]
    Apps {
        /// Take orders from standard input.
        #[arg(long, required = true)]
        embedded: bool,
    },
    /// Print the OpenAPI document.
    #[command(hide = true)]
    Openapi,
}

/// Which server, and who asks.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Server {
    /// The server.
    #[arg(long, env = "SLIPWAY_SERVER", default_value = "http://127.0.0.1:7077")]
    pub(crate) server: String,

    /// The file with the token. Without it: `$SLIPWAY_TOKEN`, then `token` in the default data folder.
    #[arg(long, env = "SLIPWAY_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// The folder.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,

    /// A parameter for the stages, as NAME=VALUE. May be given several times.
    #[arg(short, long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,

    /// The operator's configuration; without it the defaults, with the Rust toolchain that is found.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,

    /// A folder with more plugins.
    #[arg(long)]
    pub(crate) plugins: Option<PathBuf>,

    /// Show debug entries of the log too, such as what tools print on standard output.
    #[arg(long)]
    pub(crate) debug: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Check {
    /// The folder with the `slipway.toml`, or the file itself.
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// The operator's configuration.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,

    /// A folder with more plugins.
    #[arg(long)]
    pub(crate) plugins: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// The folder of all that is kept. Without it: `$XDG_DATA_HOME/slipway`.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,

    /// The operator's configuration (TOML).
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,

    /// Where the API listens [default: 127.0.0.1:7077].
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,

    /// Where apps are reached [default: 127.0.0.1:7080].
    #[arg(long)]
    pub(crate) apps_listen: Option<SocketAddr>,

    /// How many stages the embedded worker runs at once; 0 for no embedded worker [default: 4].
    #[arg(long)]
    pub(crate) worker_slots: Option<u32>,

    /// A folder with more plugins.
    #[arg(long)]
    pub(crate) plugins: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Worker {
    /// The server.
    #[arg(long, env = "SLIPWAY_SERVER", default_value = "http://127.0.0.1:7077")]
    pub(crate) server: String,

    /// The file with a worker's token.
    #[arg(long, env = "SLIPWAY_WORKER_TOKEN_FILE", required_unless_present = "embedded")]
    pub(crate) token_file: Option<PathBuf>,

    /// The folder for workspaces and caches.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,

    /// How many stages to run at once.
    #[arg(long, default_value_t = 4)]
    pub(crate) slots: u32,

    /// Take orders from standard input.
    #[arg(long, hide = true)]
    pub(crate) embedded: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PipelineCommand {
    #[command(subcommand)]
    pub(crate) command: PipelineAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineAction {
    /// Add a pipeline, or give it another repository.
    Add {
        /// Its name, as its file says.
        name: String,
        /// An absolute path on the server, or an https, http or ssh URL.
        repository: String,
        #[command(flatten)]
        server: Server,
    },
    /// List the pipelines.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Check a pipeline at a ref, as a trigger would.
    Check {
        /// The pipeline.
        name: String,
        /// A branch, a tag or a commit.
        reference: String,
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Trigger {
    /// The pipeline.
    pub(crate) pipeline: String,

    /// A branch, a tag or a commit.
    pub(crate) reference: String,

    /// A parameter for the stages, as NAME=VALUE. May be given several times.
    #[arg(short, long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,

    /// Print the run's id and do not wait for its end.
    #[arg(long)]
    pub(crate) detach: bool,

    /// Show the log while it runs.
    #[arg(long, conflicts_with = "detach")]
    pub(crate) logs: bool,

    /// The same key again gives the same run.
    #[arg(long)]
    pub(crate) idempotency_key: Option<String>,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Runs {
    /// A run, to see its stages.
    pub(crate) run: Option<String>,

    /// Only the runs of this pipeline.
    #[arg(long, conflicts_with = "run")]
    pub(crate) pipeline: Option<String>,

    /// How many.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u32,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Logs {
    /// The run.
    pub(crate) run: String,

    /// Only this stage.
    #[arg(long)]
    pub(crate) stage: Option<String>,

    /// Go on until the run ends.
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Show debug entries too, such as what tools print on standard output.
    #[arg(long)]
    pub(crate) debug: bool,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Cancel {
    /// The run.
    pub(crate) run: String,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Releases {
    /// The app; without it, all apps with their live releases.
    pub(crate) app: Option<String>,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rollback {
    /// The app.
    pub(crate) app: String,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PluginCommand {
    #[command(subcommand)]
    pub(crate) command: PluginAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginAction {
    /// Show what a component is: its kind, what it can touch, its configuration, its digest.
    Inspect {
        /// The component, or the name of a built-in plugin.
        file: String,
    },
    /// List the built-in plugins.
    List,
}
