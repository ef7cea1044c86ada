//! The command line.

use crate::exit;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use slipway_domain::name::InvalidName;
use slipway_domain::{AppName, PipelineName, RunId, StageName};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Build, test and deploy with sandboxed WebAssembly stages.
///
/// Start with `slipway run` in the folder of a project that has a `slipway.toml`: it needs
/// no server. `slipway serve` is the service for a team; `pipeline`, `trigger`, `runs`,
/// `logs`, `cancel`, `releases`, `rollback` and `token` speak to one.
#[derive(Debug, Parser)]
#[command(name = "slipway", version, propagate_version = true, max_term_width = 100, after_help = exit::HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print JSON on standard output, errors too (`{"error": {"code", "message", "hint"}}`).
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Log on standard error what the program does (`-v`), and how (`-vv`).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run this folder's pipeline here, without a server.
    ///
    /// Takes the files as they are, committed or not (what .gitignore names stays out), and
    /// runs them through the same engine as a server does. Apps that it releases are reached
    /// only while it runs.
    Run(Run),
    /// Check a pipeline file: every mistake with its line and how to mend it.
    ///
    /// Needs no server and runs nothing. `slipway pipeline check` does the same for a ref
    /// that a server knows.
    Check(Check),
    /// Start the service: API, scheduler, one worker, and the embedded app host.
    ///
    /// The first start makes the data folder, and in it the file `token` with a token of
    /// role `admin`, which the other commands find by themselves on this machine. It runs
    /// until Ctrl-C or SIGTERM; runs that are under way are taken up at the next start.
    Serve(Serve),
    /// Start a worker that takes stages from a server, on this or another machine.
    ///
    /// It dials the server and needs a token of role `worker`:
    /// `slipway token create --role worker --name build-2 > build-2.token` makes one.
    Worker(Worker),
    /// Add a pipeline to the server, list them, or check one at a ref.
    Pipeline(PipelineCommand),
    /// Trigger a pipeline at a ref and follow the run to its end.
    ///
    /// Ends with the exit code of the run. The run goes on when this command is stopped:
    /// `slipway logs -f RUN` follows it again, `slipway cancel RUN` ends it.
    Trigger(Trigger),
    /// List runs, newest first, or show one with its stages.
    Runs(Runs),
    /// Show the log of a run, and with `--follow` how it ends.
    Logs(Logs),
    /// Cancel a run: what runs of it is told to stop; a deployment that has begun is finished.
    Cancel(Cancel),
    /// List the releases of an app, newest first, or all apps with their live releases.
    Releases(Releases),
    /// Give an app's traffic back to the release before the live one, at once.
    ///
    /// The live one counts as rejected from then on.
    Rollback(Rollback),
    /// Make, list and revoke tokens: who may do what on the server.
    Token(TokenCommand),
    /// Look at plugins: what they can touch, and how they are configured.
    Plugin(PluginCommand),
    /// Find out whether this machine has what Slipway needs, and what to do where it has not.
    Doctor(Doctor),
    /// Print completions for a shell.
    ///
    /// For bash: `slipway completions bash > ~/.local/share/bash-completion/completions/slipway`.
    /// For zsh, into a folder of `$fpath`: `slipway completions zsh > ~/.zfunc/_slipway`.
    /// For fish: `slipway completions fish > ~/.config/fish/completions/slipway.fish`.
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
    /// The server's address.
    #[arg(long, value_name = "URL", env = "SLIPWAY_SERVER", default_value = "http://127.0.0.1:7077")]
    pub(crate) server: String,

    /// The file with the token. Without it: `$SLIPWAY_TOKEN`, then `token` in the default data folder.
    #[arg(long, value_name = "FILE", env = "SLIPWAY_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// The project's folder, which has a `slipway.toml` in it.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,

    /// A parameter for the stages. May be given several times.
    #[arg(short, long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) parameters: Vec<(String, String)>,

    /// The operator's configuration; without it the defaults, with the Rust toolchain that is found.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// A folder with more plugins (`NAME.wasm`), which win over built-in ones of their name.
    #[arg(long, value_name = "FOLDER")]
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

    /// The operator's configuration, which names the tools that can be granted.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// A folder with more plugins (`NAME.wasm`), which win over built-in ones of their name.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plugins: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// The folder of all that is kept. Without it: `$XDG_DATA_HOME/slipway`, else `~/.local/share/slipway`.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,

    /// The operator's configuration (TOML): addresses, slots, tools.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where the API listens, as plain HTTP; port 0 takes a free one [default: 127.0.0.1:7077].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,

    /// Where apps are reached, as plain HTTP; port 0 takes a free one [default: 127.0.0.1:7080].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) apps_listen: Option<SocketAddr>,

    /// How many stages the embedded worker runs at once; 0 for no embedded worker [default: 4].
    #[arg(long, value_name = "COUNT")]
    pub(crate) worker_slots: Option<u32>,

    /// A folder with more plugins (`NAME.wasm`), which win over built-in ones of their name.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plugins: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Worker {
    /// The server's address.
    #[arg(
        long,
        visible_alias = "control",
        value_name = "URL",
        env = "SLIPWAY_SERVER",
        default_value = "http://127.0.0.1:7077"
    )]
    pub(crate) server: String,

    /// The file with a token of role `worker`.
    #[arg(long, value_name = "FILE", env = "SLIPWAY_WORKER_TOKEN_FILE", required_unless_present = "embedded")]
    pub(crate) token_file: Option<PathBuf>,

    /// The folder for workspaces and caches. Without it: `remote-worker` in the default data folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,

    /// How many stages to run at once.
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
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
        #[command(flatten)]
        server: Server,
    },
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

#[derive(Debug, ClapArgs)]
pub(crate) struct PluginCommand {
    #[command(subcommand)]
    pub(crate) command: PluginAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginAction {
    /// Show what a component is: its kind, what it can touch, its configuration, its digest.
    Inspect {
        /// A component's file, or the name of a built-in plugin, such as `cargo`.
        file: String,
    },
    /// List the built-in plugins.
    List,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// The operator's configuration, whose toolchain is looked at; without it the one that is found.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

fn pipeline_name(text: &str) -> Result<String, InvalidName> {
    PipelineName::new(text).map(|name| name.to_string())
}

fn stage_name(text: &str) -> Result<String, InvalidName> {
    StageName::new(text).map(|name| name.to_string())
}

fn app_name(text: &str) -> Result<String, InvalidName> {
    AppName::new(text).map(|name| name.to_string())
}

fn run_id(text: &str) -> Result<String, InvalidName> {
    RunId::new(text).map(|id| id.to_string())
}

fn token_name(text: &str) -> Result<String, InvalidName> {
    // The rule is that of the other names that people give.
    PipelineName::new(text).map(|name| name.to_string()).map_err(|error| InvalidName { kind: "a token name", ..error })
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_every_word_of_it_is_explained() {
        fn look(command: &clap::Command) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                assert!(arg.get_help().is_some(), "{name}: {}", arg.get_id());
            }
            command.get_subcommands().filter(|command| !command.is_hide_set()).for_each(look);
        }
        let command = Args::command();
        command.clone().debug_assert();
        look(&command);
    }

    #[test]
    fn names_are_checked_before_anything_is_asked() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        for good in [
            "slipway pipeline add shop ../shop",
            "slipway runs 01M84NT284EF246XG6BJM82Z61",
            "slipway rollback shop",
            "slipway trigger shop v1 -p a=b=c",
            "slipway token create --role worker --name build-2",
        ] {
            parse(good).unwrap();
        }
        for bad in [
            "slipway pipeline add a?b /x",
            "slipway runs ../apps",
            "slipway logs x",
            "slipway rollback a/b",
            "slipway trigger shop v1 -p =b",
            "slipway runs --limit 0",
            "slipway runs --limit 201",
            "slipway token create --role root --name x",
            "slipway token revoke ..",
        ] {
            assert_eq!(parse(bad).unwrap_err().exit_code(), i32::from(exit::USAGE), "{bad}");
        }
    }
}
