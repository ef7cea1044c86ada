//! The side of whoever wants to run components.

use super::server::{folder_bytes, in_memory};
use super::{COMMAND, Outcome};
use crate::Unfit;
use crate::inspect::check_header;
use slipway_confine::wire;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Compiles components. Clones share it.
#[derive(Clone)]
pub struct Compiler(Option<Arc<Apart>>);

struct Apart {
    orders: Mutex<UnixStream>,
    /// Kept, so that it is waited for by nobody else.
    _child: Child,
}

impl Compiler {
    /// One that compiles in this process, without limits: for what is trusted, and for tests.
    pub const fn here() -> Self {
        Self(None)
    }

    /// Starts one beside this process, which keeps code in a folder. `program` is the `slipway` program.
    /// Called before this process gives up anything.
    pub fn start(program: &Path, folder: Option<&Path>) -> io::Result<Self> {
        let (orders, theirs) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command.arg(COMMAND).env_clear().envs(std::env::var_os("SLIPWAY_LOG").map(|filter| ("SLIPWAY_LOG", filter)));
        let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).spawn()?;
        wire::send(&orders, &folder_bytes(folder), &[])?;
        Ok(Self(Some(Arc::new(Apart { orders: Mutex::new(orders), _child: child }))))
    }

    /// Compiles a component. Takes long: call it where waiting is allowed.
    pub fn compile(&self, engine: &Engine, bytes: &[u8]) -> Result<Component, Unfit> {
        check_header(bytes)?;
        let Some(apart) = &self.0 else {
            return Component::from_binary(engine, bytes).map_err(|error| Unfit::invalid(&error));
        };
        let trouble = |error: io::Error| Unfit::NotNow(format!("it cannot be compiled now: {error}"));
        match apart.ask(bytes).map_err(trouble)? {
            (Outcome::Compiled, code) => load(engine, &code),
            (Outcome::Invalid(reason), _) => Err(Unfit::Invalid(reason)),
            (Outcome::TooMuch(reason), _) => Err(Unfit::TooMuch(reason)),
            (Outcome::Trouble(reason), _) => Err(Unfit::NotNow(reason)),
        }
    }
}

impl Apart {
    fn ask(&self, bytes: &[u8]) -> io::Result<(Outcome, Vec<u8>)> {
        let (component, mut code) = (in_memory(bytes)?, in_memory(&[])?);
        let (mut control, theirs) = UnixStream::pair()?;
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        wire::send(&orders, &[], &[component.as_fd(), code.as_fd(), theirs.as_fd()])?;
        drop((orders, theirs));
        let mut text = Vec::new();
        control.read_to_end(&mut text)?;
        let outcome = serde_json::from_slice(&text).map_err(|_| io::Error::other("the compiler has ended"))?;
        let mut compiled = Vec::new();
        code.seek(SeekFrom::Start(0))?;
        code.read_to_end(&mut compiled)?;
        Ok((outcome, compiled))
    }
}

/// Takes up code that the process beside this one has made.
#[expect(unsafe_code, reason = "the only way to take up compiled code; see below")]
fn load(engine: &Engine, code: &[u8]) -> Result<Component, Unfit> {
    // SAFETY: the code is the output of `Engine::precompile_component` of this same program, in a process that
    // this one has started before it ran anything else, over a socket that only the two have. On disk it is
    // kept under a key that only that process has, and used only if its code of authenticity holds. Whether it
    // was made for this engine, `deserialize` checks itself.
    unsafe { Component::deserialize(engine, code) }
        .map_err(|error| Unfit::NotNow(format!("its code cannot be taken up: {error:#}")))
}
