//! The command line.

mod local;
mod remote;
mod secret;
mod values;

pub(crate) use local::{Check, Doctor, PluginAction, PluginCommand, PluginUpdate, Run, Serve, Worker};
pub(crate) use remote::{
    Artifacts, Audit, Cancel, Logs, PipelineAction, PipelineCommand, Releases, Rollback, Runs, TokenAction,
    TokenCommand, Trigger,
};
pub(crate) use secret::{Secret, SecretAction, SecretCommand};

use crate::exit;
use clap::{Args as ClapArgs, Parser, Subcommand};
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
    /// List the artifacts of a run, or bring them here.
    Artifacts(Artifacts),
    /// Cancel a run: what runs of it is told to stop; a deployment that has begun is finished.
    Cancel(Cancel),
    /// List the releases of an app, newest first, or all apps with their live releases.
    Releases(Releases),
    /// Give an app's traffic back to the release before the live one, at once.
    ///
    /// The live one counts as rejected from then on.
    Rollback(Rollback),
    /// Set, list and remove secrets: what stages use and nobody sees.
    Secret(SecretCommand),
    /// Show who set and removed secrets, and what stages were refused.
    Audit(Audit),
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
