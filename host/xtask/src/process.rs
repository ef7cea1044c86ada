//! Other programs: quiet while they work, heard in full when they fail.

use std::fmt;
use std::io::{BufRead as _, BufReader, PipeReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::ui::Step;

/// How often a silent program is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// How long after its end a program's output is waited for: something that it left behind
/// may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a program wrote, both streams in the order in which it wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Transcript {
    command: String,
    status: ExitStatus,
    timed_out: bool,
    /// What it wrote.
    pub(crate) text: String,
}

impl Transcript {
    /// Whether the program says that all went well.
    pub(crate) fn is_success(&self) -> bool {
        self.status.success()
    }

    /// Returns the text, or an error that has all of it.
    pub(crate) fn check(self) -> Result<String> {
        if self.is_success() { Ok(self.text) } else { Err(anyhow::Error::msg(self.to_string())) }
    }

    /// Returns the line that most likely says what went wrong.
    pub(crate) fn reason(&self) -> String {
        if self.timed_out {
            return "it took too long".into();
        }
        let lines = || self.text.lines().map(str::trim).filter(|line| !line.is_empty());
        let told =
            lines().find(|line| line.starts_with("error") || line.starts_with("E:")).or_else(|| lines().next_back());
        told.map_or_else(|| self.status.to_string(), str::to_owned)
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.timed_out { "took too long".into() } else { format!("ended with {}", self.status) };
        write!(formatter, "`{}` {end}", self.command)?;
        if !self.text.trim().is_empty() {
            write!(formatter, ":\n\n{}\n", self.text.trim_end())?;
        }
        Ok(())
    }
}

/// Runs a program to its end, for at most `limit`, and hands over each line as it comes.
pub(crate) fn follow(mut command: Command, limit: Option<Duration>, mut each: impl FnMut(&str)) -> Result<Transcript> {
    let shown = shown(&command);
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    // The command holds the pipe's other end, which has to be closed here.
    drop(command);

    let lines = lines(reader);
    let (mut text, mut timed_out) = (String::new(), false);
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match lines.recv_timeout(GLANCE) {
            Ok(line) => {
                each(line.trim_end());
                text.push_str(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => match ended {
                Some((_, at)) if at.elapsed() > LAST_WORDS => break,
                Some(_) => {}
                None => ended = child.try_wait()?.map(|status| (status, Instant::now())),
            },
        }
        if !timed_out && limit.is_some_and(|limit| started.elapsed() > limit) {
            timed_out = true;
            kill(&mut child);
        }
    }
    let status = match ended {
        Some((status, _)) => status,
        None => child.wait().with_context(|| format!("cannot wait for `{shown}`"))?,
    };
    Ok(Transcript { command: shown, status, timed_out, text })
}

/// Runs a program that has to succeed, as a part of `step`.
pub(crate) fn run(step: &Step, command: Command) -> Result<String> {
    follow(command, None, |line| step.detail(line))?.check()
}

/// Runs a program that is quick, and returns what it answers on standard output.
pub(crate) fn ask(mut command: Command) -> Result<String> {
    let shown = shown(&command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("`{shown}` ended with {}: {}", output.status, told.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` did not answer in UTF-8"))
}

/// Whether a program can be started and succeeds.
pub(crate) fn works(mut command: Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn kill(child: &mut Child) {
    // It may have ended by itself just now.
    let _ended = child.kill();
}

/// Reads lines on a thread of its own.
fn lines(reader: PipeReader) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    receiver
}

/// The command as one would type it, without folders in the program's name.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(name.into()).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_kept_in_order() {
        let mut seen = Vec::new();
        let script = "echo one; echo two >&2; echo three";
        let told = follow(sh(script), None, |line| seen.push(line.to_owned())).unwrap();
        assert!(told.is_success());
        assert_eq!(told.text, "one\ntwo\nthree\n");
        assert_eq!(seen, ["one", "two", "three"]);
    }

    #[test]
    fn a_failure_tells_everything() {
        let told = follow(sh("echo begin; echo error: no disk; echo end; exit 3"), None, |_| {}).unwrap();
        assert_eq!(told.reason(), "error: no disk");
        let message = told.check().unwrap_err().to_string();
        assert!(message.contains("exit status: 3:\n\nbegin\nerror: no disk\nend\n"), "{message}");
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let told = follow(sh("echo begin; exec sleep 60"), Some(Duration::from_millis(200)), |_| {}).unwrap();
        assert!(!told.is_success());
        assert_eq!(told.reason(), "it took too long");
    }

    #[test]
    fn what_a_program_leaves_behind_is_not_waited_for() {
        let started = Instant::now();
        let told = follow(sh("sleep 30 & echo done"), None, |_| {}).unwrap();
        assert!(told.is_success() && started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = follow(Command::new("/no/such/program"), None, |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "cannot start `program`");
        assert!(!works(Command::new("/no/such/program")));
    }
}
