//! A fast way to ask a repository of this machine what a ref stands for: one git process
//! a repository that stays and answers, instead of two new ones for each question.
//!
//! It only ever says what is there. Whatever it cannot answer is asked again in the slow way,
//! which has the right words for what is wrong.

use super::command::git;
use super::location::Location;
use slipway_domain::Revision;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How many processes are kept.
const KEPT: usize = 32;

/// The processes.
#[derive(Debug, Default)]
pub(super) struct Locals(Mutex<HashMap<Location, Arc<tokio::sync::Mutex<Option<Process>>>>>);

#[derive(Debug)]
struct Process {
    _child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Locals {
    /// What a ref stands for now; `None` when that is not known, for whatever reason. The
    /// name has to be a full one, and a valid one.
    pub(super) async fn resolve(&self, location: &Location, path: &Path, name: &str) -> Option<Revision> {
        let process = {
            let mut processes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if processes.len() >= KEPT && !processes.contains_key(location) {
                processes.clear();
            }
            Arc::clone(processes.entry(location.clone()).or_default())
        };
        let mut process = process.lock().await;
        let mut asked = match process.take() {
            Some(asked) => asked,
            None => start(path).ok()?,
        };
        // A process that does not answer as it should is dropped, and with it ended.
        let answer = tokio::time::timeout(ANSWER, asked.ask(name)).await.ok()?.ok()?;
        *process = Some(asked);
        let (revision, kind) = answer.rsplit_once(' ')?;
        Revision::new(revision).ok().filter(|_| kind == "commit")
    }
}

/// Starts a process in the repository itself, and in none around it.
fn start(path: &Path) -> io::Result<Process> {
    let mut command = git(None);
    command.env("GIT_CEILING_DIRECTORIES", path.parent().unwrap_or(path)).current_dir(path);
    command.args(["cat-file", "--batch-check=%(objectname) %(objecttype)"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("git has no pipes"));
    };
    Ok(Process { _child: child, questions, answers: BufReader::new(answers).lines() })
}

impl Process {
    async fn ask(&mut self, name: &str) -> io::Result<String> {
        self.questions.write_all(format!("{name}^{{commit}}\n").as_bytes()).await?;
        self.questions.flush().await?;
        self.answers.next_line().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
