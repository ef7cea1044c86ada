//! What can be read of runs: where they stand, what they left, what they said.

use super::super::Store;
use super::super::rows::{ArtifactRow, AttemptRow, ChangeRow, EventRecord, Micros, RunRow, StageRow, TestCaseRow};
use super::{LAST, json, signed, unsigned};
use sqlx::sqlite::SqliteRow;
use sqlx::{Result, Row};
use std::collections::BTreeMap;

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only those of a pipeline.
    pub pipeline: Option<String>,
    /// Only those older than this one.
    pub before: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// A piece of a log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogPage {
    /// The entries, as JSON objects with `seq`, `stage`, `phase` and `attempt`.
    pub entries: Vec<serde_json::Value>,
    /// Whether there are more.
    pub more: bool,
}

impl Store {
    /// A run by id.
    pub async fn run(&self, id: &str) -> Result<Option<RunRow>> {
        let row = sqlx::query("SELECT * FROM run WHERE id = ?").bind(id).fetch_optional(&self.readers).await?;
        row.as_ref().map(run).transpose()
    }

    /// The run that a caller's key stands for, with the hash of what was asked.
    pub async fn run_by_key(&self, pipeline: &str, key: &str) -> Result<Option<(String, Option<String>)>> {
        let row = sqlx::query("SELECT id, request_hash FROM run WHERE pipeline = ? AND idempotency_key = ?")
            .bind(pipeline)
            .bind(key)
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }

    /// Runs, newest first.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>> {
        let before = filter.before.as_deref().unwrap_or(LAST);
        let query = match &filter.pipeline {
            Some(pipeline) => sqlx::query("SELECT * FROM run WHERE pipeline = ? AND id < ? ORDER BY id DESC LIMIT ?")
                .bind(pipeline)
                .bind(before)
                .bind(filter.limit),
            None => {
                sqlx::query("SELECT * FROM run WHERE id < ? ORDER BY id DESC LIMIT ?").bind(before).bind(filter.limit)
            }
        };
        query.fetch_all(&self.readers).await?.iter().map(run).collect()
    }

    /// Runs that have not ended, oldest first.
    pub async fn open_runs(&self) -> Result<Vec<RunRow>> {
        let rows = sqlx::query("SELECT * FROM run WHERE ended_at IS NULL ORDER BY id").fetch_all(&self.readers).await?;
        rows.iter().map(run).collect()
    }

    /// The stages of a run, in the order of the definition.
    pub async fn stages(&self, run: &str) -> Result<Vec<StageRow>> {
        let rows =
            sqlx::query("SELECT * FROM stage WHERE run = ? ORDER BY position").bind(run).fetch_all(&self.readers);
        rows.await?.iter().map(stage).collect()
    }

    /// The attempts of a run, in the order in which they were given to workers.
    pub async fn attempts(&self, run: &str) -> Result<Vec<AttemptRow>> {
        let rows = sqlx::query("SELECT * FROM attempt WHERE run = ? ORDER BY epoch").bind(run).fetch_all(&self.readers);
        rows.await?.iter().map(attempt).collect()
    }

    /// The number of the last start.
    pub async fn last_start(&self) -> Result<u64> {
        let row = sqlx::query("SELECT max(number) FROM start").fetch_one(&self.readers).await?;
        Ok(unsigned(row.try_get::<Option<i64>, _>(0)?.unwrap_or(0)))
    }

    /// The events of a run after a number.
    pub async fn events(&self, run: &str, after: u64) -> Result<Vec<(u64, Micros, EventRecord)>> {
        let rows = sqlx::query("SELECT seq, at, record FROM event WHERE run = ? AND seq > ? ORDER BY seq")
            .bind(run)
            .bind(signed(after))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok((unsigned(row.try_get(0)?), row.try_get(1)?, json(row, "record")?))).collect()
    }

    /// The number of the last event of a run.
    pub async fn last_event(&self, run: &str) -> Result<u64> {
        let row = sqlx::query("SELECT max(seq) FROM event WHERE run = ?").bind(run).fetch_one(&self.readers).await?;
        Ok(unsigned(row.try_get::<Option<i64>, _>(0)?.unwrap_or(0)))
    }

    /// The number of the last log entry of a run.
    pub async fn last_log_entry(&self, run: &str) -> Result<u64> {
        let row = sqlx::query("SELECT max(last) FROM log WHERE run = ?").bind(run).fetch_one(&self.readers).await?;
        Ok(unsigned(row.try_get::<Option<i64>, _>(0)?.unwrap_or(0)))
    }

    /// Entries of a run's log after a number, of one stage or of all.
    pub async fn log(&self, run: &str, stage: Option<&str>, after: u64, limit: usize) -> Result<LogPage> {
        let first = sqlx::query("SELECT max(first) FROM log WHERE run = ? AND first <= ?")
            .bind(run)
            .bind(signed(after).saturating_add(1))
            .fetch_one(&self.readers)
            .await?
            .try_get::<Option<i64>, _>(0)?
            .unwrap_or(0);
        let chunks = limit.saturating_add(1).min(1000);
        let rows = sqlx::query(
            "SELECT first, stage, phase, attempt, entries FROM log
             WHERE run = ? AND first >= ? AND last > ? AND (? IS NULL OR stage = ?) ORDER BY first LIMIT ?",
        )
        .bind(run)
        .bind(first)
        .bind(signed(after))
        .bind(stage)
        .bind(stage)
        // No chunk is empty, so this many hold a page and one entry more.
        .bind(i64::try_from(chunks).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await?;
        let mut page = LogPage::default();
        for row in &rows {
            let first = unsigned(row.try_get("first")?);
            let entries: Vec<serde_json::Value> = json(row, "entries")?;
            for (seq, mut entry) in (first..).zip(entries) {
                if seq <= after {
                    continue;
                }
                if page.entries.len() >= limit {
                    page.more = true;
                    return Ok(page);
                }
                if let Some(object) = entry.as_object_mut() {
                    object.insert("seq".into(), seq.into());
                    object.insert("stage".into(), row.try_get::<String, _>("stage")?.into());
                    object.insert("phase".into(), row.try_get::<String, _>("phase")?.into());
                    object.insert("attempt".into(), row.try_get::<u32, _>("attempt")?.into());
                }
                page.entries.push(entry);
            }
        }
        page.more = rows.len() == chunks;
        Ok(page)
    }

    /// The artifacts of a run.
    pub async fn artifacts(&self, run: &str) -> Result<Vec<ArtifactRow>> {
        let rows =
            sqlx::query("SELECT * FROM artifact WHERE run = ? ORDER BY stage, name").bind(run).fetch_all(&self.readers);
        rows.await?.iter().map(artifact).collect()
    }

    /// The outputs of a run, by stage.
    pub async fn outputs(&self, run: &str) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        let rows = sqlx::query("SELECT stage, name, value FROM output WHERE run = ?")
            .bind(run)
            .fetch_all(&self.readers)
            .await?;
        let mut outputs: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for row in &rows {
            outputs.entry(row.try_get(0)?).or_default().insert(row.try_get(1)?, row.try_get(2)?);
        }
        Ok(outputs)
    }

    /// The outputs of a run: stage, name, lease and value.
    pub async fn outputs_with_epochs(&self, run: &str) -> Result<Vec<(String, String, u64, String)>> {
        let rows = sqlx::query("SELECT stage, name, epoch, value FROM output WHERE run = ?").bind(run);
        let rows = rows.fetch_all(&self.readers).await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, unsigned(row.try_get(2)?), row.try_get(3)?)))
            .collect()
    }

    /// The size of what was uploaded under a lease, by its digest.
    pub async fn upload(&self, epoch: u64, digest: &str) -> Result<Option<u64>> {
        let row =
            sqlx::query("SELECT size FROM upload WHERE epoch = ? AND digest = ?").bind(signed(epoch)).bind(digest);
        row.fetch_optional(&self.readers).await?.map(|row| Ok(unsigned(row.try_get(0)?))).transpose()
    }

    /// How many test cases and planned changes each stage has reported under each lease.
    pub async fn report_counts(&self, run: &str) -> Result<Vec<(String, u64, u64)>> {
        let rows = sqlx::query(
            "SELECT stage, epoch, count(*) FROM test_case WHERE run = ?1 GROUP BY stage, epoch
             UNION ALL SELECT stage, epoch, count(*) FROM change WHERE run = ?1 GROUP BY stage, epoch",
        )
        .bind(run)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, unsigned(row.try_get(1)?), unsigned(row.try_get(2)?)))).collect()
    }

    /// The test cases of a run.
    pub async fn test_cases(&self, run: &str) -> Result<Vec<TestCaseRow>> {
        let rows =
            sqlx::query("SELECT * FROM test_case WHERE run = ? ORDER BY stage, seq").bind(run).fetch_all(&self.readers);
        rows.await?.iter().map(test_case).collect()
    }

    /// The planned changes of a run.
    pub async fn changes(&self, run: &str) -> Result<Vec<ChangeRow>> {
        let rows =
            sqlx::query("SELECT * FROM change WHERE run = ? ORDER BY stage, seq").bind(run).fetch_all(&self.readers);
        rows.await?.iter().map(change).collect()
    }

    /// A call on the journal, with its reply when there is one, both as JSON.
    pub async fn journalled(
        &self,
        run: &str,
        stage: &str,
        epoch: u64,
        seq: u64,
    ) -> Result<Option<(String, Option<String>)>> {
        let row = sqlx::query("SELECT call, reply FROM journal WHERE run = ? AND stage = ? AND epoch = ? AND seq = ?")
            .bind(run)
            .bind(stage)
            .bind(signed(epoch))
            .bind(signed(seq))
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }
}

fn run(row: &SqliteRow) -> Result<RunRow> {
    Ok(RunRow {
        id: row.try_get("id")?,
        pipeline: row.try_get("pipeline")?,
        repository: row.try_get("repository")?,
        reference: row.try_get("reference")?,
        revision: row.try_get("revision")?,
        version: row.try_get("version")?,
        tier: row.try_get("tier")?,
        definition: row.try_get("definition")?,
        triggered_by: row.try_get("triggered_by")?,
        parameters: json(row, "parameters")?,
        idempotency_key: row.try_get("idempotency_key")?,
        request_hash: row.try_get("request_hash")?,
        state: row.try_get("state")?,
        culprit: row.try_get("culprit")?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}

fn stage(row: &SqliteRow) -> Result<StageRow> {
    Ok(StageRow {
        run: row.try_get("run")?,
        name: row.try_get("name")?,
        position: row.try_get("position")?,
        state: row.try_get("state")?,
        phase: row.try_get("phase")?,
        attempt: row.try_get("attempt")?,
        detail: json(row, "detail")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}

fn attempt(row: &SqliteRow) -> Result<AttemptRow> {
    Ok(AttemptRow {
        run: row.try_get("run")?,
        stage: row.try_get("stage")?,
        phase: row.try_get("phase")?,
        number: row.try_get("number")?,
        epoch: unsigned(row.try_get("epoch")?),
        worker: row.try_get("worker")?,
        stored_seq: unsigned(row.try_get("stored_seq")?),
        outcome: row.try_get("outcome")?,
        metering: row.try_get("metering")?,
        leased_at: row.try_get("leased_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}

fn artifact(row: &SqliteRow) -> Result<ArtifactRow> {
    Ok(ArtifactRow {
        run: row.try_get("run")?,
        stage: row.try_get("stage")?,
        name: row.try_get("name")?,
        epoch: unsigned(row.try_get("epoch")?),
        digest: row.try_get("digest")?,
        size: unsigned(row.try_get("size")?),
        media_type: row.try_get("media_type")?,
        created_at: row.try_get("created_at")?,
    })
}

fn test_case(row: &SqliteRow) -> Result<TestCaseRow> {
    Ok(TestCaseRow {
        run: row.try_get("run")?,
        stage: row.try_get("stage")?,
        epoch: unsigned(row.try_get("epoch")?),
        seq: unsigned(row.try_get("seq")?),
        case: slipway_protocol::call::TestCase {
            suite: row.try_get("suite")?,
            name: row.try_get("name")?,
            outcome: row.try_get("outcome")?,
            time_us: row.try_get::<Option<i64>, _>("time_us")?.map(unsigned),
            message: row.try_get("message")?,
            details: row
                .try_get::<Option<String>, _>("details")?
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default(),
        },
    })
}

fn change(row: &SqliteRow) -> Result<ChangeRow> {
    Ok(ChangeRow {
        run: row.try_get("run")?,
        stage: row.try_get("stage")?,
        epoch: unsigned(row.try_get("epoch")?),
        seq: unsigned(row.try_get("seq")?),
        action: row.try_get("action")?,
        object: row.try_get("object")?,
        before: row.try_get("before")?,
        after: row.try_get("after")?,
    })
}
