//! The audit, as it is read.

use super::super::Store;
use super::unsigned;
use crate::store::rows::Micros;
use sqlx::{QueryBuilder, Result, Row, Sqlite};

/// Which entries of the audit.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Those before this one.
    pub before: Option<u64>,
    /// Those with this outcome.
    pub outcome: Option<String>,
    /// Those of stages of this run.
    pub run: Option<String>,
    /// How many at most.
    pub limit: u32,
}

/// An entry of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number.
    pub id: u64,
    /// When.
    pub at: Micros,
    /// A person's token, or `run/stage`.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// `done` or `refused`.
    pub outcome: String,
}

impl Store {
    /// Entries of the audit, newest first.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>> {
        let before = filter.before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        let mut query =
            QueryBuilder::<Sqlite>::new("SELECT id, at, actor, action, object, outcome FROM audit WHERE id < ");
        query.push_bind(before);
        if let Some(outcome) = &filter.outcome {
            query.push(" AND outcome = ").push_bind(outcome);
        }
        if let Some(run) = &filter.run {
            // Ids have one length, and no stage has a slash in its name.
            query.push(" AND substr(actor, 1, instr(actor, '/') - 1) = ").push_bind(run);
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(filter.limit);
        let rows = query.build().fetch_all(&self.readers).await?;
        let record = |row: &sqlx::sqlite::SqliteRow| {
            Ok(AuditRecord {
                id: unsigned(row.try_get("id")?),
                at: row.try_get("at")?,
                actor: row.try_get("actor")?,
                action: row.try_get("action")?,
                object: row.try_get("object")?,
                outcome: row.try_get("outcome")?,
            })
        };
        rows.iter().map(record).collect()
    }
}
