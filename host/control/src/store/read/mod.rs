//! What can be read. Each query has an index under it, so that its cost does not grow with
//! history.

mod audit;
mod runs;

pub use audit::{AuditFilter, AuditRecord};
pub use runs::{LogPage, RunFilter};

use super::Store;
use super::rows::{PipelineRow, ReleaseRow, SecretRow, TokenRow};
use crate::secrets::{Address, Sealed};
use serde::de::DeserializeOwned;
use slipway_domain::name::ReleaseId;
use slipway_domain::release::{Release, ReleaseState};
use slipway_domain::{AppName, Digest, PipelineName, Revision, RunId, SecretName};
use sqlx::sqlite::SqliteRow;
use sqlx::{Result, Row};

/// What every id sorts before.
const LAST: &str = "~";

impl Store {
    /// Whether the store answers.
    pub async fn is_readable(&self) -> Result<()> {
        sqlx::query("SELECT 1").fetch_one(&self.readers).await.map(drop)
    }

    /// The role of a token, by its hash.
    pub async fn token_role(&self, hash: &str) -> Result<Option<(String, String)>> {
        let row =
            sqlx::query("SELECT name, role FROM token WHERE hash = ?").bind(hash).fetch_optional(&self.readers).await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }

    /// All tokens, by name.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>> {
        let rows = sqlx::query("SELECT hash, name, role, created_at FROM token ORDER BY name").fetch_all(&self.readers);
        let row = |row: &SqliteRow| {
            Ok(TokenRow {
                hash: row.try_get(0)?,
                name: row.try_get(1)?,
                role: row.try_get(2)?,
                created_at: row.try_get(3)?,
            })
        };
        rows.await?.iter().map(row).collect()
    }

    /// Whether there is any token of a role.
    pub async fn has_token(&self, role: &str) -> Result<bool> {
        let row =
            sqlx::query("SELECT 1 FROM token WHERE role = ? LIMIT 1").bind(role).fetch_optional(&self.readers).await?;
        Ok(row.is_some())
    }

    /// All pipelines.
    pub async fn pipelines(&self) -> Result<Vec<PipelineRow>> {
        let rows =
            sqlx::query("SELECT name, repository, created_at FROM pipeline ORDER BY name").fetch_all(&self.readers);
        rows.await?.iter().map(pipeline).collect()
    }

    /// A pipeline by name.
    pub async fn pipeline(&self, name: &str) -> Result<Option<PipelineRow>> {
        let row = sqlx::query("SELECT name, repository, created_at FROM pipeline WHERE name = ?").bind(name);
        row.fetch_optional(&self.readers).await?.as_ref().map(pipeline).transpose()
    }

    /// The secrets of a pipeline, or of all, as they are kept.
    pub async fn secrets(&self, pipeline: Option<&str>) -> Result<Vec<SecretRow>> {
        let rows = match pipeline {
            Some(pipeline) => {
                sqlx::query("SELECT * FROM secret WHERE pipeline = ? ORDER BY environment, name").bind(pipeline)
            }
            None => sqlx::query("SELECT * FROM secret ORDER BY pipeline, environment, name"),
        };
        rows.fetch_all(&self.readers).await?.iter().map(secret).collect()
    }

    /// A secret as it is kept.
    pub async fn secret(&self, address: &Address) -> Result<Option<SecretRow>> {
        let row = sqlx::query("SELECT * FROM secret WHERE pipeline = ? AND environment = ? AND name = ?")
            .bind(address.pipeline.as_str())
            .bind(address.environment.as_deref().unwrap_or_default())
            .bind(address.name.as_str());
        row.fetch_optional(&self.readers).await?.as_ref().map(secret).transpose()
    }

    /// What a component is, as JSON.
    pub async fn plugin(&self, digest: &str) -> Result<Option<String>> {
        let row = sqlx::query("SELECT description FROM plugin WHERE digest = ?").bind(digest);
        row.fetch_optional(&self.readers).await?.map(|row| row.try_get(0)).transpose()
    }

    /// A checked pipeline file and its facts.
    pub async fn definition(&self, digest: &str) -> Result<Option<(String, String)>> {
        let row = sqlx::query("SELECT text, facts FROM definition WHERE digest = ?").bind(digest);
        let row = row.fetch_optional(&self.readers).await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }

    /// A release by id.
    pub async fn release(&self, id: &str) -> Result<Option<ReleaseRow>> {
        let row = sqlx::query("SELECT * FROM app_release WHERE id = ?").bind(id).fetch_optional(&self.readers).await?;
        row.as_ref().map(release).transpose()
    }

    /// The releases of an app that a change may touch, oldest first: candidates, the live and
    /// the previous one, and those that a run has made.
    pub async fn releases_in_play(&self, app: &str, run: Option<&str>) -> Result<Vec<ReleaseRow>> {
        let rows = sqlx::query(
            "SELECT * FROM app_release WHERE app = ?1 AND state IN ('candidate', 'live', 'previous')
             UNION SELECT * FROM app_release WHERE run = ?2 AND app = ?1 ORDER BY id",
        )
        .bind(app)
        .bind(run)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(release).collect()
    }

    /// Releases of an app, newest first: those older than one, at most so many.
    pub async fn releases(&self, app: &str, before: Option<&str>, limit: u32) -> Result<Vec<ReleaseRow>> {
        let rows = sqlx::query("SELECT * FROM app_release WHERE app = ? AND id < ? ORDER BY id DESC LIMIT ?")
            .bind(app)
            .bind(before.unwrap_or(LAST))
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(release).collect()
    }

    /// Every app that has releases.
    pub async fn apps(&self) -> Result<Vec<String>> {
        // From each name to the next by the index, whatever the number of releases between them.
        let rows = sqlx::query(
            "WITH RECURSIVE name (app) AS (
                 SELECT min(app) FROM app_release
                 UNION ALL
                 SELECT (SELECT min(app) FROM app_release WHERE app > name.app) FROM name WHERE name.app IS NOT NULL
             ) SELECT app FROM name WHERE app IS NOT NULL",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn json<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<T> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|error| decode(column, error))
}

fn decode(column: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) }
}

fn pipeline(row: &SqliteRow) -> Result<PipelineRow> {
    Ok(PipelineRow { name: row.try_get(0)?, repository: row.try_get(1)?, created_at: row.try_get(2)? })
}

fn secret(row: &SqliteRow) -> Result<SecretRow> {
    let text = |column: &'static str| row.try_get::<String, _>(column);
    let environment = text("environment")?;
    Ok(SecretRow {
        address: Address {
            pipeline: PipelineName::new(text("pipeline")?).map_err(|error| decode("pipeline", error))?,
            environment: (!environment.is_empty()).then_some(environment),
            name: SecretName::new(text("name")?).map_err(|error| decode("name", error))?,
        },
        version: unsigned(row.try_get("version")?),
        sealed: Sealed {
            key_id: row.try_get("key_id")?,
            wrapped_key: row.try_get("wrapped_key")?,
            ciphertext: row.try_get("ciphertext")?,
        },
        changed_at: row.try_get("changed_at")?,
        changed_by: text("changed_by")?,
    })
}

fn release(row: &SqliteRow) -> Result<ReleaseRow> {
    let text = |column: &'static str| row.try_get::<String, _>(column);
    let state = text("state")?;
    Ok(ReleaseRow {
        release: Release {
            id: ReleaseId::new(text("id")?).map_err(|error| decode("id", error))?,
            app: AppName::new(text("app")?).map_err(|error| decode("app", error))?,
            run: RunId::new(text("run")?).map_err(|error| decode("run", error))?,
            revision: Revision::new(text("revision")?).map_err(|error| decode("revision", error))?,
            version: row.try_get("version")?,
            digest: Digest::new(text("digest")?).map_err(|error| decode("digest", error))?,
            state: ReleaseState::parse(&state)
                .ok_or_else(|| decode("state", std::io::Error::other(format!("`{state}` is no state of a release"))))?,
        },
        pipeline: text("pipeline")?,
        created_at: row.try_get("created_at")?,
        changed_at: row.try_get("changed_at")?,
    })
}

#[cfg(test)]
mod plan_tests;
