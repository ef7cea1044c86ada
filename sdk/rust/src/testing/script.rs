//! What a fake program does.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::fake::refusal;
use crate::Failure;
use crate::host::RunningProcess;
use crate::tools::{Event, Exit, Output, Stream};

/// The signal that `kill` sends.
const SIGKILL: i32 = 9;

/// What a program writes and how it ends: by default nothing, with status 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub(super) outputs: VecDeque<Output>,
    pub(super) exit: Exit,
    pub(super) refused: Option<Failure>,
    pub(super) lost: bool,
    pub(super) hangs: bool,
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
        let exit = Exit { code: Some(0), ..Exit::default() };
        Self { outputs: VecDeque::new(), exit, refused: None, lost: false, hangs: false }
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

    /// Writes what it writes and then does not end by itself.
    #[must_use]
    pub fn hangs(mut self) -> Self {
        self.hangs = true;
        self
    }

    /// Is lost by the host after what it writes.
    #[must_use]
    pub fn lost(mut self) -> Self {
        self.lost = true;
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
    exit: RefCell<Exit>,
    lost: bool,
    hangs: Cell<bool>,
}

impl Running {
    pub(super) fn new(script: Script) -> Self {
        Self {
            outputs: RefCell::new(script.outputs),
            exit: RefCell::new(script.exit),
            lost: script.lost,
            hangs: Cell::new(script.hangs),
        }
    }

    /// How it ended, if it has.
    fn end(&self) -> Result<Option<Exit>, Failure> {
        if self.lost {
            return Err(refusal("tool-lost", "the tool's end was not seen"));
        }
        Ok(if self.hangs.get() { None } else { Some(self.exit.borrow().clone()) })
    }
}

impl RunningProcess for Running {
    fn next(&self, _within_ms: u32) -> Result<Option<Event>, Failure> {
        let output = self.outputs.borrow_mut().pop_front();
        match output {
            Some(output) => Ok(Some(Event::Output(output))),
            None => Ok(self.end()?.map(|_| Event::Ended)),
        }
    }

    fn wait(&self, _within_ms: u32) -> Result<Option<Exit>, Failure> {
        self.outputs.borrow_mut().clear();
        self.end()
    }

    fn kill(&self) {
        // A program that has written everything may have ended by itself before.
        if self.hangs.take() || !self.outputs.borrow().is_empty() {
            let mut exit = self.exit.borrow_mut();
            (exit.code, exit.signal) = (None, Some(SIGKILL));
        }
        self.outputs.borrow_mut().clear();
    }
}
