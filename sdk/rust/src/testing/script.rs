//! What a fake program does.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::Failure;
use crate::host::RunningProcess;
use crate::tools::{Exit, Output, Stream};

/// The signal that `kill` sends.
const SIGKILL: i32 = 9;

/// What a program writes and how it ends: by default nothing, with status 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub(super) outputs: VecDeque<Output>,
    pub(super) exit: Exit,
    pub(super) refused: Option<Failure>,
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

impl Script {
    /// Makes a program that writes nothing and ends with status 0.
    #[must_use]
    pub fn new() -> Self {
        Self { outputs: VecDeque::new(), exit: Exit { code: Some(0), ..Exit::default() }, refused: None }
    }

    /// Makes a program that the host does not start.
    #[must_use]
    pub fn refused(failure: Failure) -> Self {
        Self { refused: Some(failure), ..Self::new() }
    }

    /// Writes to standard output.
    #[must_use]
    pub fn stdout(self, bytes: impl AsRef<[u8]>) -> Self {
        self.output(Stream::Stdout, bytes.as_ref())
    }

    /// Writes to standard error.
    #[must_use]
    pub fn stderr(self, bytes: impl AsRef<[u8]>) -> Self {
        self.output(Stream::Stderr, bytes.as_ref())
    }

    /// Ends with a status.
    #[must_use]
    pub fn exit(mut self, code: i32) -> Self {
        self.exit.code = Some(code);
        self.exit.signal = None;
        self
    }

    /// Ends by a signal.
    #[must_use]
    pub fn signal(mut self, signal: i32) -> Self {
        self.exit.code = None;
        self.exit.signal = Some(signal);
        self
    }

    fn output(mut self, stream: Stream, bytes: &[u8]) -> Self {
        self.outputs.push_back(Output { stream, bytes: bytes.to_vec() });
        self
    }
}

/// A fake program that was started.
pub(super) struct Running {
    outputs: RefCell<VecDeque<Output>>,
    exit: Cell<Exit>,
}

impl Running {
    pub(super) fn new(script: Script) -> Self {
        Self { outputs: RefCell::new(script.outputs), exit: Cell::new(script.exit) }
    }
}

impl RunningProcess for Running {
    fn next(&self) -> Option<Output> {
        self.outputs.borrow_mut().pop_front()
    }

    fn wait(&self) -> Result<Exit, Failure> {
        self.outputs.borrow_mut().clear();
        Ok(self.exit.get())
    }

    fn kill(&self) {
        // A program that has written everything may have ended by itself before.
        if !self.outputs.borrow().is_empty() {
            self.exit.set(Exit { code: None, signal: Some(SIGKILL), ..self.exit.get() });
        }
        self.outputs.borrow_mut().clear();
    }
}
