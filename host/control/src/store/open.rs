//! Opening the database, and refusing one that is not ours, not of our version, or in use.

use super::Store;
use super::writer;
use rustix::fs::{FlockOperation, flock};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor, Row, SqliteConnection};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// `SLPW`, in the header of the file (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x534c_5057;
/// The version of the schema (`PRAGMA user_version`).
pub const SCHEMA_VERSION: i64 = 5;
/// From version 4 to version 5.
const FROM_4: &str = concat!(include_str!("schema_5.sql"), "PRAGMA user_version = 5;");
/// The header of a database, and its smallest page by SQLite's default, in bytes.
const HEADER_BYTES: u64 = 100;
const PAGE_BYTES: u64 = 4_096;
/// Connections that only read.
const READERS: u32 = 4;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process uses it.
    #[error("`{}` is used by another Slipway: only one may run on a data folder", .0.display())]
    InUse(PathBuf),
    /// A database of something else.
    #[error("`{}` is not a Slipway database", .0.display())]
    Foreign(PathBuf),
    /// A database of another version.
    #[error("`{}` has schema version {found}, and this program reads version {SCHEMA_VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// A database that is damaged.
    #[error("`{}` is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// The folder.
    #[error("cannot use the data folder `{}`", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// SQLite.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

impl Error {
    /// What to do about it.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InUse(_) => Some("stop the other one, or give this one a folder of its own with `--data`"),
            Self::Foreign(_) => Some("give a folder of its own with `--data`"),
            Self::Version { found, .. } if *found > SCHEMA_VERSION => {
                Some("it was written by a newer version: use that one")
            }
            Self::Version { .. } => Some(
                "it was written by an older version that this one cannot take over: keep it, and start with a new folder",
            ),
            Self::Damaged { .. } => Some("restore it from a backup; the damaged file was not changed"),
            Self::Folder { .. } | Self::Open { .. } => None,
        }
    }
}

/// Held while the store is open.
pub(super) struct InstanceLock(File);

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is just being started has it too, until
        // its program begins.
        if let Err(error) = flock(&self.0, FlockOperation::Unlock) {
            tracing::warn!(%error, "the data folder is not given free");
        }
    }
}

impl Store {
    /// Opens the database of a data folder, making it when it is not there.
    pub async fn open(folder: &Path) -> Result<Self, Error> {
        let lock = lock(folder)?;
        let path = folder.join("slipway.db");
        let failed = |source| unusable(&path, source);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(200)
            .disable_statement_logging();
        check_header(&path)?;
        // In good order, what is in the log is moved into the database and the log is emptied.
        let unclean = std::fs::metadata(folder.join("slipway.db-wal")).is_ok_and(|log| log.len() > 0);
        let mut writer = options.clone().connect().await.map_err(failed)?;
        if let Err(error) = prepare(&mut writer, &path, unclean).await {
            // Now, and not some time later by itself: closing takes the log away, which by then may be the
            // next one's.
            if let Err(error) = writer.close().await {
                tracing::debug!(%error, "a database that cannot be used is not closed");
            }
            return Err(error);
        }
        let queue = writer::start(writer, options.clone());
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(1)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(failed)?;
        Ok(Self { readers, queue, lock: Arc::new(Mutex::new(Some(lock))) })
    }
}

fn lock(folder: &Path) -> Result<InstanceLock, Error> {
    let failed = |source| Error::Folder { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    // Logs, artifacts and other people's repositories are nobody else's to read.
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(failed)?;
    let file = File::options().create(true).truncate(false).write(true).open(folder.join("lock")).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(InstanceLock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::InUse(folder.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}

/// Refuses a file that is no database, or another program's, before SQLite would change it.
fn check_header(path: &Path) -> Result<(), Error> {
    let mut head = Vec::new();
    let read =
        File::open(path).and_then(|file| io::Read::read_to_end(&mut io::Read::take(file, HEADER_BYTES), &mut head));
    let is_ours = match head.split_at_checked(16) {
        _ if read.is_err() || head.is_empty() => true,
        Some((b"SQLite format 3\0", rest)) => {
            // Big-endian, at byte 68 (sqlite.org/fileformat.html). Ours is set with the first
            // tables; until then there is one page, or what there is stands in the log.
            let id = rest.get(52..56).and_then(|id| id.try_into().ok()).map_or(0, u32::from_be_bytes);
            let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
            i64::from(id) == APPLICATION_ID || size(path) <= PAGE_BYTES || size(&path.with_extension("db-wal")) > 0
        }
        Some(_) | None => false,
    };
    if is_ours { Ok(()) } else { Err(Error::Foreign(path.to_owned())) }
}

/// What SQLite says about a database that it cannot read.
fn unusable(path: &Path, source: sqlx::Error) -> Error {
    let code = source.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    // `SQLITE_CORRUPT` and `SQLITE_NOTADB`.
    match code.map(|code| code & 0xff) {
        Some(11 | 26) => Error::Damaged { path: path.to_owned(), detail: source.to_string() },
        Some(_) | None => Error::Open { path: path.to_owned(), source },
    }
}

/// Makes the schema, or checks that it is ours. The whole database is read only after a crash:
/// that takes longer the more it holds.
async fn prepare(writer: &mut SqliteConnection, path: &Path, unclean: bool) -> Result<(), Error> {
    let failed = |source| unusable(path, source);
    let tables = number(writer, "SELECT count(*) FROM sqlite_schema").await.map_err(failed)?;
    if tables == 0 {
        let mut transaction = writer.begin().await.map_err(failed)?;
        transaction.execute(sqlx::raw_sql(include_str!("schema.sql"))).await.map_err(failed)?;
        transaction.execute(sqlx::raw_sql("PRAGMA application_id = 1397510231;")).await.map_err(failed)?;
        transaction.execute(sqlx::raw_sql(FROM_4)).await.map_err(failed)?;
        return transaction.commit().await.map_err(failed);
    }
    if number(writer, "PRAGMA application_id").await.map_err(failed)? != APPLICATION_ID {
        return Err(Error::Foreign(path.to_owned()));
    }
    let mut found = number(writer, "PRAGMA user_version").await.map_err(failed)?;
    if found == 4 {
        let mut transaction = writer.begin().await.map_err(failed)?;
        transaction.execute(sqlx::raw_sql(FROM_4)).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        found = number(writer, "PRAGMA user_version").await.map_err(failed)?;
    }
    if found != SCHEMA_VERSION {
        return Err(Error::Version { path: path.to_owned(), found });
    }
    if !unclean {
        return Ok(());
    }
    let checked: String = sqlx::query("PRAGMA quick_check(1)").fetch_one(writer).await.map_err(failed)?.get(0);
    if checked == "ok" { Ok(()) } else { Err(Error::Damaged { path: path.to_owned(), detail: checked }) }
}

async fn number(connection: &mut SqliteConnection, query: &'static str) -> sqlx::Result<i64> {
    sqlx::query(query).fetch_one(connection).await?.try_get(0)
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
