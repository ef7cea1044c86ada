//! What can be written, and how.

use super::rows::{
    ArtifactRow, AttemptRow, AuditRow, ChangeRow, EventRecord, JournalRow, LogRow, Micros, PipelineRow, ReleaseRow,
    RunRow, SecretRow, StageRow, TestCaseRow,
};
use crate::secrets::Address;
use sqlx::SqliteConnection;
use std::collections::BTreeSet;

/// One thing to write. Rows that are known by a key are whole: writing one again replaces
/// it, so of several in one transaction only the last is written.
#[derive(Debug, Clone)]
pub enum Write {
    /// A token that is accepted from now on.
    Token {
        /// SHA-256 of it, in hex.
        hash: String,
        /// What it is called.
        name: String,
        /// What it may do.
        role: &'static str,
        /// When it was made.
        at: Micros,
    },
    /// A token that is accepted no more.
    TokenRevoked {
        /// SHA-256 of it, in hex.
        hash: String,
    },
    /// A secret.
    Secret(SecretRow),
    /// A secret that is kept no more.
    SecretRemoved {
        /// Where it was kept.
        address: Address,
    },
    /// An entry of the audit.
    Audit(AuditRow),
    /// A start of the server.
    Start {
        /// Its number.
        number: u64,
        /// When.
        at: Micros,
    },
    /// A pipeline.
    Pipeline(PipelineRow),
    /// What a component is.
    Plugin {
        /// Its digest.
        digest: String,
        /// Its size in bytes.
        size: u64,
        /// What it is, as JSON.
        description: String,
        /// The name of the token of the worker that says so.
        by: String,
        /// When it was looked at.
        at: Micros,
    },
    /// What the worker of a token has said of components: nobody believes it any more.
    PluginsForgotten {
        /// The name of the token.
        by: String,
    },
    /// A checked pipeline file.
    Definition {
        /// Its digest.
        digest: String,
        /// The file.
        text: String,
        /// What the check found, as JSON.
        facts: String,
    },
    /// A run.
    Run(RunRow),
    /// A stage.
    Stage(StageRow),
    /// An attempt.
    Attempt(AttemptRow),
    /// An event of a run.
    Event {
        /// The run.
        run: String,
        /// Its number in the run.
        seq: u64,
        /// When.
        at: Micros,
        /// What.
        record: EventRecord,
    },
    /// A call.
    Journal(JournalRow),
    /// The reply to a call that is on the journal.
    Reply {
        /// The run.
        run: String,
        /// The stage.
        stage: String,
        /// The lease.
        epoch: u64,
        /// The frame.
        seq: u64,
        /// The reply, as JSON.
        reply: String,
        /// When.
        at: Micros,
    },
    /// A piece of a log.
    Log(LogRow),
    /// An upload under a lease.
    Upload {
        /// The lease.
        epoch: u64,
        /// What was uploaded.
        digest: String,
        /// Its size in bytes.
        size: u64,
    },
    /// An artifact.
    Artifact(ArtifactRow),
    /// An output.
    Output {
        /// The run.
        run: String,
        /// The stage.
        stage: String,
        /// Its name.
        name: String,
        /// The lease.
        epoch: u64,
        /// Its value.
        value: String,
    },
    /// A test case.
    TestCase(TestCaseRow),
    /// A planned change.
    Change(ChangeRow),
    /// A release.
    Release(ReleaseRow),
    /// The releases that a run has made and that never got the traffic: it has ended.
    CandidatesRejected {
        /// The run.
        run: String,
        /// When.
        at: Micros,
    },
    /// Takes away what a lost attempt of a stage has left, before the next begins.
    Forget {
        /// The run.
        run: String,
        /// The stage.
        stage: String,
        /// The lost lease.
        epoch: u64,
    },
}

impl Write {
    /// The key under which a later write in the same transaction replaces this one.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are added, never replaced")]
    fn key(&self) -> Option<(u8, &str, &str, &str, u32)> {
        Some(match self {
            Self::Run(row) => (1, &row.id, "", "", 0),
            Self::Stage(row) => (2, &row.run, &row.name, "", 0),
            Self::Attempt(row) => (3, &row.run, &row.stage, &row.phase, row.number),
            Self::Definition { digest, .. } => (4, digest, "", "", 0),
            _ => return None,
        })
    }
}

/// Leaves out rows that a later one of the same transaction replaces. The first write of a
/// key keeps its place, since others refer to the row, and takes the last one's value.
pub(super) fn coalesce(writes: Vec<Write>) -> Vec<Write> {
    let mut seen = BTreeSet::new();
    let mut keep = vec![true; writes.len()];
    let mut latest = std::collections::BTreeMap::new();
    for (index, write) in writes.iter().enumerate() {
        if let Some(key) = write.key() {
            let first = *latest.entry(key).or_insert((index, index));
            latest.insert(key, (first.0, index));
            if !seen.insert(key)
                && let Some(kept) = keep.get_mut(index)
            {
                *kept = false;
            }
        }
    }
    let moves: Vec<(usize, usize)> = latest.into_values().filter(|(first, last)| first != last).collect();
    let mut writes: Vec<Option<Write>> = writes.into_iter().map(Some).collect();
    for (first, last) in moves {
        let value = writes.get_mut(last).and_then(Option::take);
        if let Some(place) = writes.get_mut(first) {
            *place = value;
        }
    }
    writes.into_iter().zip(keep).filter_map(|(write, keep)| write.filter(|_| keep)).collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Writes one thing within the transaction of `to`. What a worker has caused is never in conflict
/// with what is there; should it be all the same, the first stays, and the writer goes on.
pub(super) async fn apply(write: &Write, to: &mut SqliteConnection) -> sqlx::Result<()> {
    let query = match write {
        Write::Token { hash, name, role, at } => {
            sqlx::query("INSERT OR IGNORE INTO token (hash, name, role, created_at) VALUES (?, ?, ?, ?)")
                .bind(hash).bind(name).bind(*role).bind(at)
        }
        Write::TokenRevoked { hash } => sqlx::query("DELETE FROM token WHERE hash = ?").bind(hash),
        Write::Secret(row) => {
            let SecretRow { address, version, sealed, changed_at, changed_by } = row;
            sqlx::query(
                "INSERT OR REPLACE INTO secret (pipeline, environment, name, version, key_id, wrapped_key, ciphertext,
                     changed_at, changed_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(address.pipeline.as_str()).bind(address.environment.as_deref().unwrap_or_default())
            .bind(address.name.as_str()).bind(signed(*version)).bind(sealed.key_id).bind(&sealed.wrapped_key)
            .bind(&sealed.ciphertext).bind(changed_at).bind(changed_by)
        }
        Write::SecretRemoved { address } => {
            sqlx::query("DELETE FROM secret WHERE pipeline = ? AND environment = ? AND name = ?")
                .bind(address.pipeline.as_str()).bind(address.environment.as_deref().unwrap_or_default())
                .bind(address.name.as_str())
        }
        Write::Audit(row) => {
            let AuditRow { at, actor, action, object, outcome } = row;
            sqlx::query("INSERT INTO audit (at, actor, action, object, outcome) VALUES (?, ?, ?, ?, ?)")
                .bind(at).bind(actor).bind(action).bind(object).bind(*outcome)
        }
        Write::Start { number, at } => {
            sqlx::query("INSERT INTO start (number, at) VALUES (?, ?)").bind(signed(*number)).bind(at)
        }
        Write::Pipeline(row) => sqlx::query(
            "INSERT INTO pipeline (name, repository, created_at) VALUES (?, ?, ?)
             ON CONFLICT (name) DO UPDATE SET repository = excluded.repository",
        )
        .bind(&row.name).bind(&row.repository).bind(row.created_at),
        Write::Plugin { digest, size, description, by, at } => sqlx::query(
            "INSERT INTO plugin (digest, size, description, described_by, described_at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (digest) DO UPDATE SET description = excluded.description,
             described_by = excluded.described_by, described_at = excluded.described_at",
        )
        .bind(digest).bind(signed(*size)).bind(description).bind(by).bind(at),
        Write::PluginsForgotten { by } => sqlx::query("DELETE FROM plugin WHERE described_by = ?").bind(by),
        Write::Definition { digest, text, facts } => {
            sqlx::query("INSERT OR IGNORE INTO definition (digest, text, facts) VALUES (?, ?, ?)")
                .bind(digest).bind(text).bind(facts)
        }
        Write::Run(row) => run(row),
        Write::Stage(row) => sqlx::query(
            "INSERT INTO stage (run, name, position, state, phase, attempt, detail, started_at, ended_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (run, name) DO UPDATE SET state = excluded.state, phase = excluded.phase,
             attempt = excluded.attempt, detail = excluded.detail, started_at = excluded.started_at,
             ended_at = excluded.ended_at",
        )
        .bind(&row.run).bind(&row.name).bind(row.position).bind(&row.state).bind(&row.phase).bind(row.attempt)
        .bind(json(&row.detail)).bind(row.started_at).bind(row.ended_at),
        Write::Attempt(row) => sqlx::query(
            "INSERT INTO attempt (run, stage, phase, number, epoch, worker, stored_seq, outcome, metering, leased_at, ended_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (run, stage, phase, number) DO UPDATE SET stored_seq = excluded.stored_seq,
             outcome = excluded.outcome, metering = excluded.metering, ended_at = excluded.ended_at
             WHERE epoch = excluded.epoch AND ended_at IS NULL",
        )
        .bind(&row.run).bind(&row.stage).bind(&row.phase).bind(row.number).bind(signed(row.epoch)).bind(&row.worker)
        .bind(signed(row.stored_seq)).bind(&row.outcome).bind(&row.metering).bind(row.leased_at).bind(row.ended_at),
        Write::Event { run, seq, at, record } => {
            sqlx::query("INSERT INTO event (run, seq, at, record) VALUES (?, ?, ?, ?)")
                .bind(run).bind(signed(*seq)).bind(at).bind(json(record))
        }
        Write::Journal(row) => sqlx::query(
            "INSERT INTO journal (run, stage, epoch, seq, at, function, call) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO NOTHING",
        )
        .bind(&row.run).bind(&row.stage).bind(signed(row.epoch)).bind(signed(row.seq)).bind(row.at)
        .bind(row.function).bind(&row.call),
        Write::Reply { run, stage, epoch, seq, reply, at } => sqlx::query(
            "UPDATE journal SET reply = ?, replied_at = ? WHERE run = ? AND stage = ? AND epoch = ? AND seq = ?",
        )
        .bind(reply).bind(at).bind(run).bind(stage).bind(signed(*epoch)).bind(signed(*seq)),
        Write::Log(row) => sqlx::query(
            "INSERT INTO log (run, first, last, stage, phase, attempt, entries) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO NOTHING",
        )
        .bind(&row.run).bind(signed(row.first)).bind(signed(row.last)).bind(&row.stage).bind(&row.phase)
        .bind(row.attempt).bind(&row.entries),
        Write::Upload { epoch, digest, size } => {
            sqlx::query("INSERT OR IGNORE INTO upload (epoch, digest, size) VALUES (?, ?, ?)")
                .bind(signed(*epoch)).bind(digest).bind(signed(*size))
        }
        Write::Artifact(row) => sqlx::query(
            "INSERT INTO artifact (run, stage, name, epoch, digest, size, media_type, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(&row.run).bind(&row.stage).bind(&row.name).bind(signed(row.epoch)).bind(&row.digest)
        .bind(signed(row.size)).bind(&row.media_type).bind(row.created_at),
        Write::Output { run, stage, name, epoch, value } => sqlx::query(
            "INSERT INTO output (run, stage, name, epoch, value) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (run, stage, name) DO UPDATE SET value = excluded.value, epoch = excluded.epoch",
        )
        .bind(run).bind(stage).bind(name).bind(signed(*epoch)).bind(value),
        Write::TestCase(row) => sqlx::query(
            "INSERT INTO test_case (run, stage, epoch, seq, suite, name, outcome, time_us, message, details)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(&row.run).bind(&row.stage).bind(signed(row.epoch)).bind(signed(row.seq)).bind(&row.case.suite)
        .bind(&row.case.name).bind(&row.case.outcome).bind(row.case.time_us.map(signed)).bind(&row.case.message)
        .bind(details(&row.case.details)),
        Write::Change(row) => sqlx::query(
            "INSERT INTO change (run, stage, epoch, seq, action, object, before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO NOTHING",
        )
        .bind(&row.run).bind(&row.stage).bind(signed(row.epoch)).bind(signed(row.seq)).bind(&row.action)
        .bind(&row.object).bind(&row.before).bind(&row.after),
        Write::Release(row) => sqlx::query(
            "INSERT INTO app_release (id, app, run, pipeline, revision, version, digest, state, created_at, changed_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET state = excluded.state, changed_at = excluded.changed_at",
        )
        .bind(row.release.id.as_str()).bind(row.release.app.as_str()).bind(row.release.run.as_str())
        .bind(&row.pipeline).bind(row.release.revision.as_str()).bind(&row.release.version)
        .bind(row.release.digest.as_str()).bind(row.release.state.as_str()).bind(row.created_at).bind(row.changed_at),
        Write::CandidatesRejected { run, at } => {
            sqlx::query("UPDATE app_release SET state = 'rejected', changed_at = ? WHERE run = ? AND state = 'candidate'")
                .bind(at).bind(run)
        }
        Write::Forget { run, stage, epoch } => {
            for table in [
                "DELETE FROM artifact WHERE run = ? AND stage = ? AND epoch = ?",
                "DELETE FROM output WHERE run = ? AND stage = ? AND epoch = ?",
                "DELETE FROM test_case WHERE run = ? AND stage = ? AND epoch = ?",
            ] {
                sqlx::query(table).bind(run).bind(stage).bind(signed(*epoch)).execute(&mut *to).await?;
            }
            sqlx::query("DELETE FROM change WHERE run = ? AND stage = ? AND epoch = ?")
                .bind(run).bind(stage).bind(signed(*epoch))
        }
    };
    query.execute(to).await.map(drop)
}

/// The facts of a test as text; none as nothing.
fn details(details: &[(String, String)]) -> Option<String> {
    if details.is_empty() { None } else { serde_json::to_string(details).ok() }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// A new run, or what has changed of one.
pub(super) fn run(row: &RunRow) -> Query<'_> {
    sqlx::query(
        "INSERT INTO run (id, pipeline, repository, reference, revision, version, tier, definition, triggered_by,
         parameters, idempotency_key, request_hash, state, culprit, created_at, started_at, ended_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, culprit = excluded.culprit,
         started_at = excluded.started_at, ended_at = excluded.ended_at",
    )
    .bind(&row.id)
    .bind(&row.pipeline)
    .bind(&row.repository)
    .bind(&row.reference)
    .bind(&row.revision)
    .bind(&row.version)
    .bind(&row.tier)
    .bind(&row.definition)
    .bind(&row.triggered_by)
    .bind(json(&row.parameters))
    .bind(&row.idempotency_key)
    .bind(&row.request_hash)
    .bind(&row.state)
    .bind(&row.culprit)
    .bind(row.created_at)
    .bind(row.started_at)
    .bind(row.ended_at)
}

/// JSON of a value that always has one: no maps with keys other than text.
fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_never| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, state: &str) -> Write {
        Write::Stage(StageRow {
            run: "r".into(),
            name: name.into(),
            position: 0,
            state: state.into(),
            phase: None,
            attempt: None,
            detail: Default::default(),
            started_at: None,
            ended_at: None,
        })
    }

    fn forget() -> Write {
        Write::Forget { run: "r".into(), stage: "a".into(), epoch: 1 }
    }

    #[test]
    #[expect(clippy::wildcard_enum_match_arm, reason = "a test of three of them")]
    fn of_several_writes_of_a_row_the_last_value_takes_the_first_place() {
        let writes =
            coalesce(vec![stage("a", "1"), forget(), stage("b", "1"), stage("a", "2"), stage("a", "3"), forget()]);
        let told: Vec<String> = writes
            .iter()
            .map(|write| match write {
                Write::Stage(row) => format!("{}{}", row.name, row.state),
                Write::Forget { .. } => "Forget".to_owned(),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(told, ["a3", "Forget", "b1", "Forget"]);
    }
}
