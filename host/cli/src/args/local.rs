//! The arguments of commands that need no server, or are one.

use super::Server;
use super::values::{parameter, tier};
use clap::{Args as ClapArgs, Subcommand};
use slipway_domain::grant::Tier;
use std::net::SocketAddr;
use std::path::PathBuf;

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

    /// The policy file: what stages may be granted at most. It wins over the one of the configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// A folder with more plugins (`NAME.wasm`), which win over built-in ones of their name.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plugins: Option<PathBuf>,

    /// How far the run is trusted at most: `untrusted` (a fork), `trusted` (a branch), `protected`.
    #[arg(long, value_name = "TIER", value_parser = tier, default_value = "protected")]
    pub(crate) tier: Tier,

    /// Write the artifacts into this folder, as `STAGE/NAME`, once the run has ended.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) artifacts: Option<PathBuf>,

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

    /// The policy file: what stages may be granted at most. It wins over the one of the configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// A folder with more plugins (`NAME.wasm`), which win over built-in ones of their name.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plugins: Option<PathBuf>,

    /// The trust tier to check for: `untrusted` (a fork), `trusted` (a branch), `protected`.
    #[arg(long, value_name = "TIER", value_parser = tier, default_value = "protected")]
    pub(crate) tier: Tier,
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

    /// The policy file: what stages may be granted at most. It wins over the one of the configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

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

    /// A folder of this machine that tools may be shown, read-only, when the server's configuration says so. May be
    /// given several times [default: /usr, /opt, /nix/store and the toolchains of rustup].
    #[arg(long = "tool-path", value_name = "FOLDER")]
    pub(crate) tool_paths: Vec<PathBuf>,

    /// How many stages to run at once.
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) slots: u32,

    /// Take orders from standard input.
    #[arg(long, hide = true)]
    pub(crate) embedded: bool,
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
    /// Pin the plugins of a project: write `slipway.lock`, and show first what they can do now and could not.
    Update(PluginUpdate),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PluginUpdate {
    /// The project's folder, which has a `slipway.toml` in it.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,

    /// Only look: exit with 1 when the file would change.
    #[arg(long)]
    pub(crate) check: bool,

    /// Agree to capabilities that plugins gain.
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Take plugins such as `cargo@1` for what the server has, and not for what this program has.
    #[arg(long)]
    pub(crate) from_server: bool,

    /// A folder with more plugins (`NAME.wasm`), which win over built-in ones of their name.
    #[arg(long, value_name = "FOLDER", conflicts_with = "from_server")]
    pub(crate) plugins: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// The operator's configuration, whose toolchain is looked at; without it the one that is found.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}
