//! A program that runs beside this one, and ends with it, whichever way that goes.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// How long it may take to end when it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(15);

const GLANCE: Duration = Duration::from_millis(20);

/// A program in a process group of its own.
#[derive(Debug)]
pub(crate) struct Group {
    what: &'static str,
    child: Child,
}

impl Group {
    /// Starts a program; `what` names it in messages. Ctrl-C does not reach it: it is for
    /// this program, which then asks the other one to end.
    pub(crate) fn start(what: &'static str, mut command: Command) -> Result<Self> {
        let program = command.get_program().to_owned();
        let child = command.process_group(0).spawn();
        let child = child.with_context(|| format!("cannot start `{}`", program.display()))?;
        Ok(Self { what, child })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output, where that is piped and nobody has taken it before.
    pub(crate) fn stdout(&mut self) -> Result<ChildStdout> {
        self.child.stdout.take().with_context(|| format!("the output of {} is not piped", self.what))
    }

    /// Whether it has ended by itself, and how.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot tell whether {} runs", self.what))
    }

    /// Ends it.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_raw(i32::try_from(self.id()).context("a process id is small")?);
        kill(pid, Signal::SIGTERM).with_context(|| format!("cannot ask {} to end", self.what))?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_LIMIT {
            if self.ended()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(GLANCE);
        }
        killpg(pid, Signal::SIGKILL).with_context(|| format!("cannot end {}", self.what))?;
        self.child.wait()?;
        bail!("{} did not end within {} s of being asked to", self.what, STOP_LIMIT.as_secs())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            crate::ui::progress(&format!("{error:#}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Group {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(std::process::Stdio::null());
        Group::start("the shell", command).unwrap()
    }

    #[test]
    fn a_program_ends_with_its_holder() {
        let group = sh("while :; do sleep 0.05; done");
        let pid = Pid::from_raw(i32::try_from(group.id()).unwrap());
        assert!(kill(pid, None).is_ok());
        drop(group);
        assert!(kill(pid, None).is_err());
    }

    #[test]
    fn a_program_that_is_gone_needs_no_end() {
        let mut group = sh("exit 3");
        group.child.wait().unwrap();
        assert_eq!(group.ended().unwrap().unwrap().code(), Some(3));
        group.end().unwrap();
    }
}
