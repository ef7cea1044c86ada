//! The arguments of commands that speak to a server.

use super::Server;
use super::values::{app_name, parameter, pipeline_name, run_id, stage_name, tier, token_name};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use slipway_domain::grant::Tier;
use std::path::PathBuf;

#[derive(Debug, ClapArgs)]
pub(crate) struct PipelineCommand {
    #[command(subcommand)]
    pub(crate) command: PipelineAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineAction {
    /// Add a pipeline, or give it another repository.
    Add {
        /// The pipeline's name, as its `slipway.toml` says.
        #[arg(value_parser = pipeline_name)]
        name: String,
        /// A folder of this machine, an absolute path on the server, or an https, http or ssh URL.
        repository: String,
        #[command(flatten)]
        server: Server,
    },
    /// List the pipelines with their repositories.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Check a pipeline at a ref, as a trigger would, and run nothing.
    Check {
        /// The pipeline.
        #[arg(value_parser = pipeline_name)]
        name: String,
        /// A branch, a tag or a full commit id.
        reference: String,
        /// The trust tier to check for: `untrusted` (a fork), `trusted` (a branch), `protected`.
        #[arg(long, value_name = "TIER", value_parser = tier, default_value = "protected")]
        tier: Tier,
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Audit {
    /// Only what was refused.
    #[arg(long)]
    pub(crate) refused: bool,

    /// Only what stages of this run did.
    #[arg(long, value_name = "RUN", value_parser = run_id)]
    pub(crate) run: Option<String>,

    /// How many entries, the newest first.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) limit: u32,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Trigger {
    /// The pipeline.
    #[arg(value_parser = pipeline_name)]
    pub(crate) pipeline: String,

    /// A branch, a tag or a full commit id, as the repository has it.
    pub(crate) reference: String,

    /// A parameter for the stages. May be given several times.
    #[arg(short, long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) parameters: Vec<(String, String)>,

    /// How far the run is trusted at most: `untrusted` (a fork), `trusted` (a branch), `protected`.
    #[arg(long, value_name = "TIER", value_parser = tier, default_value = "protected")]
    pub(crate) tier: Tier,

    /// Print the run's id and do not wait for its end.
    #[arg(long)]
    pub(crate) detach: bool,

    /// Show the log while it runs.
    #[arg(long, conflicts_with = "detach")]
    pub(crate) logs: bool,

    /// A word of yours for this trigger: the same key again gives the same run, not a second one.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Artifacts {
    /// The run.
    #[arg(value_parser = run_id)]
    pub(crate) run: String,

    /// Only those of this stage.
    #[arg(long, value_parser = stage_name)]
    pub(crate) stage: Option<String>,

    /// Write them into this folder, as `STAGE/NAME`, over what is there.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Runs {
    /// A run, to see its stages.
    #[arg(value_parser = run_id)]
    pub(crate) run: Option<String>,

    /// Only the runs of this pipeline.
    #[arg(long, conflicts_with = "run", value_parser = pipeline_name)]
    pub(crate) pipeline: Option<String>,

    /// How many, at most 200.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) limit: u32,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Logs {
    /// The run, as `slipway runs` lists it.
    #[arg(value_parser = run_id)]
    pub(crate) run: String,

    /// Only this stage.
    #[arg(long, value_parser = stage_name)]
    pub(crate) stage: Option<String>,

    /// Go on until the run ends, then tell how, with the exit code of the run.
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
    /// The run, as `slipway runs` lists it.
    #[arg(value_parser = run_id)]
    pub(crate) run: String,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Releases {
    /// The app; without it, all apps with their live releases.
    #[arg(value_parser = app_name)]
    pub(crate) app: Option<String>,

    /// How many of the app's releases, at most 200.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) limit: u32,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rollback {
    /// The app, as `slipway releases` lists it.
    #[arg(value_parser = app_name)]
    pub(crate) app: String,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TokenCommand {
    #[command(subcommand)]
    pub(crate) command: TokenAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Make a token and print it, this once.
    ///
    /// Standard output gets the token alone:
    /// `(umask 077; slipway token create --role worker --name build-2 > build-2.token)`.
    Create {
        /// What its holder may do.
        #[arg(long)]
        role: Role,
        /// A name that no other token has: 1 to 40 of a-z, 0-9 and `-`. Records give it as who did something.
        #[arg(long, value_parser = token_name)]
        name: String,
        #[command(flatten)]
        server: Server,
    },
    /// List the tokens by name, without what is secret of them.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Revoke a token, at once: a worker that holds it is cut off.
    Revoke {
        /// The token's name.
        #[arg(value_parser = token_name)]
        name: String,
        #[command(flatten)]
        server: Server,
    },
}

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// Everything.
    Admin,
    /// Look at everything but tokens, and change nothing.
    Reader,
    /// Take stages as a worker, and nothing else.
    Worker,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Reader => "reader",
            Self::Worker => "worker",
        }
    }
}
