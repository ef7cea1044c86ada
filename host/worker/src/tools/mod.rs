//! Native tools: a granted program, by the operator's plan, in a sandbox that dies with
//! the stage.

mod bare;
pub mod cache;
pub mod cgroup;
pub mod init;
pub mod launcher;
pub mod layers;
pub mod network;
pub mod process;
mod quota;
mod relay;
pub mod sandbox;

pub use layers::{Availability, probe};
pub use process::{ToolEvent, ToolProcess};

use crate::runtime::wit::v0::slipway::stage::tools::Command;
use crate::session::Session;
use cache::Caches;
use launcher::{Launcher, Order};
use network::Proxy;
use process::Input;
use sandbox::Words;
use slipway_protocol::call::ToolPlan;
use slipway_protocol::outcome::Failure;
use slipway_protocol::secret::{Place, ToolSecret};
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The most arguments and variables of a command.
const WORDS_MAX: usize = 4_096;
/// The most bytes of all arguments and variables together.
const WORDS_BYTES_MAX: usize = 1 << 20;

/// What a worker needs to run tools.
#[derive(Clone)]
pub struct Tools {
    folder: PathBuf,
    launcher: Launcher,
    caches: Arc<Caches>,
}

impl Tools {
    /// Tools whose caches live below `folder`, and which `launcher` starts.
    pub fn new(folder: PathBuf, launcher: Launcher) -> Self {
        let caches = Arc::new(Caches::new(folder.join("caches")));
        Self { folder, launcher, caches }
    }

    /// Starts a tool for a guest.
    pub async fn start(
        &self,
        session: &Arc<Session>,
        seq: u64,
        plan: ToolPlan,
        command: Command,
    ) -> Result<ToolProcess, Failure> {
        let root = session.workspace.root().await.map_err(|error| Failure::new("host", error.to_string()))?;
        let directory = if command.directory.is_empty() { "." } else { &command.directory };
        if !root.is_folder(directory) {
            let message = format!("`{}` is not a folder of the workspace", command.directory.escape_debug());
            return Err(Failure::new("invalid-directory", message));
        }
        let host = |error: std::io::Error| Failure::new("host", format!("cannot prepare the sandbox: {error}"));
        let scratch = self.folder.join("sandboxes").join(format!("{}-{seq}", session.lease.epoch));
        let work = session.workspace.work();
        let mut binds = Vec::new();
        for cache in &plan.caches {
            if let Some(bind) = self.caches.lend(cache, &work).map_err(host)? {
                binds.push((bind, cache.to.clone()));
            }
        }
        sandbox::prepare(&scratch).map_err(host)?;
        let mut stdin = Zeroizing::new(command.stdin.clone());
        for ToolSecret { secret, .. } in plan.secrets.iter().filter(|secret| secret.place == Place::Stdin) {
            stdin.extend_from_slice(secret.expose());
        }
        let proxy = if plan.has_network {
            let reach = &plan.reach;
            Some(Proxy::listen(Arc::clone(session), &command.tool, seq, reach, &scratch).map_err(host)?)
        } else {
            None
        };
        if plan.allow_unsandboxed {
            warn_of_no_sandbox(session);
        }
        let order = Order {
            scratch,
            work,
            inputs: session.workspace.inputs(),
            caches: binds,
            plan,
            words: Words { args: command.args, env: command.env, directory: command.directory },
        };
        let launched = self.launcher.launch(&order, !stdin.is_empty()).await.map_err(host)?;
        Ok(process::attend(Arc::clone(session), seq, launched, order.scratch, &command.program, Input { stdin, proxy }))
    }

    /// Takes back the caches that were lent to an attempt, so that the next one is warm.
    pub fn take_back(&self, session: &Session) {
        self.caches.take_back(&session.workspace.work());
    }
}

/// Says in the stage's log what the operator has chosen, where it makes a difference.
fn warn_of_no_sandbox(session: &Session) {
    for missing in layers::here().0 {
        let text = format!("WARNING: this tool runs without a whole sandbox, as the operator allows: {}", missing.what);
        session.log.write("host", "warn", text, Vec::new());
    }
}

/// Whether a guest may set a variable of this name. Those of the loader would put code into whatever
/// is run first.
pub fn is_variable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(plain) && !name.starts_with("LD_")
}

/// Refuses a command that cannot be run, whatever was granted.
pub fn check_words(command: &Command) -> Result<(), Failure> {
    let words = command.args.iter().chain(command.env.iter().flat_map(|(name, value)| [name, value]));
    let (count, bytes) = words.clone().fold((0, 0), |(count, bytes), word| (count + 1, bytes + word.len()));
    if count > WORDS_MAX || bytes > WORDS_BYTES_MAX {
        return Err(Failure::new("too-large", "a command has at most 4,096 words and 1 MiB"));
    }
    if words.clone().any(|word| word.contains('\0')) {
        return Err(Failure::new("invalid-command", "arguments and variables cannot hold a NUL byte"));
    }
    match command.env.iter().find(|(name, _)| !is_variable(name)) {
        Some((name, _)) => {
            Err(Failure::new("invalid-command", format!("variable `{}` cannot be set", name.escape_debug())))
        }
        None => Ok(()),
    }
}
