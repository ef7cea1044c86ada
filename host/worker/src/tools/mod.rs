//! Native tools: a granted program, by the operator's plan, in a sandbox that dies with
//! the stage.

pub mod cache;
pub mod init;
pub mod network;
pub mod process;
mod relay;
pub mod sandbox;

pub use process::{ToolEvent, ToolProcess};
pub use sandbox::{Availability, probe};

use crate::runtime::wit::v0::slipway::stage::tools::Command;
use crate::session::Session;
use cache::Caches;
use network::Proxy;
use process::Input;
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
    init: PathBuf,
    caches: Arc<Caches>,
}

impl Tools {
    /// Tools whose caches live below `folder`. `init` is the program that starts inside the
    /// sandbox and starts the tool: this program itself, with [`init::COMMAND`].
    pub fn new(folder: PathBuf, init: PathBuf) -> Self {
        let caches = Arc::new(Caches::new(folder.join("caches")));
        Self { folder, init, caches }
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
        let layout = sandbox::Layout {
            work: &work,
            inputs: &session.workspace.inputs(),
            scratch: &scratch,
            init: &self.init,
            caches: &binds,
            plan: &plan,
            command: &command,
        };
        let program = sandbox::command(&layout)?;
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
        process::spawn(Arc::clone(session), seq, program, scratch, &command.program, Input { stdin, proxy })
    }

    /// Takes back the caches that were lent to an attempt, so that the next one is warm.
    pub fn take_back(&self, session: &Session) {
        self.caches.take_back(&session.workspace.work());
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
