//! The one writer: takes what is queued, commits it in one transaction, tells who waits.

use super::Store;
use super::rows::RunRow;
use super::write::{Write, apply, coalesce, run};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, Row, SqliteConnection};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The most jobs in one transaction.
const GROUP_MAX: usize = 512;
/// How long the writer waits before it tries a commit again that the disk had no room for.
const RETRY: Duration = Duration::from_millis(500);

/// Why something is not durable.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The disk is full. What was refused has left no trace.
    #[error("the disk is full")]
    DiskFull,
    /// The database refused it.
    #[error("the database refused the write: {0}")]
    Refused(Arc<sqlx::Error>),
    /// The writer has stopped.
    #[error("the store is closed")]
    Closed,
}

/// A run to be accepted.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The run.
    pub run: RunRow,
    /// What belongs to it: its definition, stages and first event.
    pub rest: Vec<Write>,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// It is stored.
    New,
    /// The same was submitted before under the same key: that run's id.
    Before(String),
    /// Something else was submitted before under the same key.
    KeyUsed,
}

/// Tells when what was queued is durable.
#[must_use = "what is queued is durable only once the ticket says so"]
pub struct Ticket(oneshot::Receiver<Result<(), CommitError>>);

impl Ticket {
    /// Waits until it is durable.
    pub async fn durable(self) -> Result<(), CommitError> {
        self.0.await.unwrap_or(Err(CommitError::Closed))
    }
}

pub(super) enum Job {
    Commit { writes: Vec<Write>, done: oneshot::Sender<Result<(), CommitError>> },
    Try { writes: Vec<Write>, done: oneshot::Sender<Result<(), CommitError>> },
    Submit { submission: Box<Submission>, done: oneshot::Sender<Result<Submitted, CommitError>> },
    Close { done: oneshot::Sender<()> },
}

impl Store {
    /// Queues writes that follow from what is already decided: they are tried until they
    /// are durable.
    pub fn commit(&self, writes: Vec<Write>) -> Ticket {
        let (done, ticket) = oneshot::channel();
        self.enqueue(Job::Commit { writes, done });
        Ticket(ticket)
    }

    /// Commits writes of a request that can still be refused, and waits.
    pub async fn try_commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        let (done, ticket) = oneshot::channel();
        self.enqueue(Job::Try { writes, done });
        Ticket(ticket).durable().await
    }

    /// Commits what is queued, closes the database, and leaves the folder to others. What is
    /// queued later is refused.
    pub async fn close(&self) {
        self.readers.close().await;
        self.close_writer().await;
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Commits what is queued, and refuses what is queued later.
    pub(crate) async fn close_writer(&self) {
        let (done, closed) = oneshot::channel();
        self.enqueue(Job::Close { done });
        // A writer that has ended has closed it.
        let _ended = closed.await.is_err();
    }

    /// Puts a job in line. A queue that is closed gives it back: it is dropped here at once, and
    /// with it the sender that somebody waits for.
    fn enqueue(&self, job: Job) {
        if let Err(mpsc::error::SendError(refused)) = self.queue.send(job) {
            drop(refused);
        }
    }

    /// Accepts a run once, and waits until it is durable.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, CommitError> {
        let (done, ticket) = oneshot::channel();
        self.enqueue(Job::Submit { submission: Box::new(submission), done });
        ticket.await.unwrap_or(Err(CommitError::Closed))
    }
}

/// Starts the writer on its connection. It ends when the last [`Store`] is dropped.
pub(super) fn start(connection: SqliteConnection, options: SqliteConnectOptions) -> mpsc::UnboundedSender<Job> {
    let mut writer = Writer { connection, options, held: Vec::new(), told: false };
    let (queue, mut jobs) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut group = Vec::new();
        loop {
            if writer.held.is_empty() {
                if jobs.recv_many(&mut group, GROUP_MAX).await == 0 {
                    break;
                }
            } else if tokio::time::timeout(RETRY, jobs.recv_many(&mut group, GROUP_MAX)).await == Ok(0) {
                break;
            }
            let closing = group.iter().position(|job| matches!(job, Job::Close { .. }));
            let last = closing.map(|at| group.split_off(at));
            writer.commit(std::mem::take(&mut group)).await;
            if let Some(Job::Close { done }) = last.and_then(|jobs| jobs.into_iter().next()) {
                close(writer.connection).await;
                // Whoever asked may have gone.
                let _gone = done.send(());
                return;
            }
        }
        close(writer.connection).await;
    });
    queue
}

/// Moves what is in the log into the database, and closes it.
async fn close(mut connection: SqliteConnection) {
    let moved = connection.execute(sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")).await;
    if let Err(error) = moved.map(drop).and(connection.close().await) {
        tracing::warn!(%error, "the database was not closed in good order");
    }
}

/// After a failed sync nobody knows what is on the disk (fsyncgate), so nothing is tried
/// again: what was acknowledged is there, and the next process reads it afresh.
fn end_if_broken(error: &sqlx::Error) {
    if is_broken(error) {
        tracing::error!(%error, "the disk failed: ending the process");
        std::process::abort();
    }
}

fn finish(job: Job, result: Result<Option<Submitted>, CommitError>) {
    // Whoever asked may have gone; the write stands.
    match job {
        Job::Commit { done, .. } | Job::Try { done, .. } => {
            let _gone = done.send(result.map(drop));
        }
        Job::Submit { done, .. } => {
            let _gone = done.send(result.map(|submitted| submitted.unwrap_or(Submitted::New)));
        }
        Job::Close { .. } => {}
    }
}

/// The connection that writes, and how to open it again.
struct Writer {
    connection: SqliteConnection,
    options: SqliteConnectOptions,
    /// What was decided and waits for room on the disk, in its order. While there is any, what can
    /// be refused is refused.
    held: Vec<Job>,
    /// Whether people were told that something waits.
    told: bool,
}

impl Writer {
    /// Commits what waits for room, then a group.
    async fn commit(&mut self, group: Vec<Job>) {
        let held = std::mem::take(&mut self.held);
        self.commit_group(held).await;
        self.commit_group(group).await;
        if self.held.is_empty() && std::mem::take(&mut self.told) {
            tracing::info!("there is room on the disk again");
        }
    }

    /// Commits a group. When that fails, commits each job by itself, so that what is wrong
    /// with one is not the others' trouble.
    async fn commit_group(&mut self, group: Vec<Job>) {
        if group.is_empty() {
            return;
        }
        if self.held.is_empty() {
            match self.attempt(&group).await {
                Ok(submitted) => {
                    for (job, submitted) in group.into_iter().zip(submitted) {
                        finish(job, Ok(submitted));
                    }
                    return;
                }
                Err(error) => {
                    end_if_broken(&error);
                    tracing::debug!(%error, jobs = group.len(), "a group of writes was not committed: committing one by one");
                }
            }
        }
        for job in group {
            if self.held.is_empty() {
                self.commit_alone(job).await;
            } else {
                self.hold(job);
            }
        }
    }

    async fn commit_alone(&mut self, job: Job) {
        let job = [job];
        let result = self.attempt(&job).await;
        let [job] = job;
        let error = match result {
            Ok(submitted) => return finish(job, Ok(submitted.into_iter().next().flatten())),
            Err(error) => error,
        };
        end_if_broken(&error);
        if is_full(&error) {
            return self.hold(job);
        }
        if matches!(job, Job::Commit { .. }) {
            // What is in memory would no longer be what is stored. The next process
            // takes up what is.
            tracing::error!(%error, "a write that follows from what was decided was refused: ending the process");
            std::process::abort();
        }
        finish(job, Err(CommitError::Refused(Arc::new(error))));
    }

    /// Lets what was decided wait for room, and refuses what can be refused.
    fn hold(&mut self, job: Job) {
        if matches!(job, Job::Commit { .. }) {
            if !std::mem::replace(&mut self.told, true) {
                tracing::error!("the disk is full: what was decided waits for room, and what is new is refused");
            }
            self.held.push(job);
        } else {
            finish(job, Err(CommitError::DiskFull));
        }
    }

    /// One transaction for all jobs. After one that was not committed, the connection is a
    /// new one: nobody has to know what the old one still holds.
    async fn attempt(&mut self, jobs: &[Job]) -> sqlx::Result<Vec<Option<Submitted>>> {
        let result = attempt(&mut self.connection, jobs).await;
        if result.is_err() {
            match self.options.clone().connect().await {
                Ok(fresh) => self.connection = fresh,
                Err(error) => tracing::error!(%error, "the database cannot be opened again"),
            }
        }
        result
    }
}

/// One transaction for all jobs.
async fn attempt(connection: &mut SqliteConnection, jobs: &[Job]) -> sqlx::Result<Vec<Option<Submitted>>> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut submitted = Vec::with_capacity(jobs.len());
    let mut writes = Vec::new();
    for job in jobs {
        match job {
            Job::Commit { writes: more, .. } | Job::Try { writes: more, .. } => {
                writes.extend(more.iter().cloned());
                submitted.push(None);
            }
            Job::Submit { submission, .. } => {
                let result = submit(&mut transaction, submission).await?;
                submitted.push(Some(result));
            }
            Job::Close { .. } => submitted.push(None),
        }
    }
    for write in coalesce(writes) {
        apply(&write, &mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(submitted)
}

async fn submit(connection: &mut SqliteConnection, submission: &Submission) -> sqlx::Result<Submitted> {
    let row = &submission.run;
    if row.idempotency_key.is_some() {
        let before = sqlx::query("SELECT id, request_hash FROM run WHERE pipeline = ? AND idempotency_key = ?")
            .bind(&row.pipeline)
            .bind(&row.idempotency_key)
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(before) = before {
            let hash: Option<String> = before.try_get(1)?;
            return Ok(if hash == row.request_hash {
                Submitted::Before(before.try_get(0)?)
            } else {
                Submitted::KeyUsed
            });
        }
    }
    for write in submission.rest.iter().filter(|write| matches!(write, Write::Definition { .. })) {
        apply(write, connection).await?;
    }
    connection.execute(run(row)).await?;
    for write in submission.rest.iter().filter(|write| !matches!(write, Write::Definition { .. })) {
        apply(write, connection).await?;
    }
    Ok(Submitted::New)
}

/// `SQLITE_FULL` (13): nothing was written.
fn is_full(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code & 0xff == 13)
}

/// `SQLITE_IOERR` (10) and `SQLITE_CORRUPT` (11).
fn is_broken(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| matches!(code & 0xff, 10 | 11)) || matches!(error, sqlx::Error::Io(_))
}

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
