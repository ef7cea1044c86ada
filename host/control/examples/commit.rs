//! Measures the floor of everything durable here: one small insert, committed by SQLite
//! as the store does it (WAL, `synchronous = FULL`), one after the other.
//!
//! `commit FOLDER TIMES` prints the time of each commit as one line of JSON, in
//! microseconds. `cargo xtask bench` runs it on the disk that the server's data is on.

#![expect(clippy::disallowed_methods, reason = "it measures")]

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

/// About what an event of a run takes.
const TEXT: &str = r#"{"event":"stage-ended","stage":"build","phase":"build","attempt":1,"outcome":{}}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, times] = arguments.as_slice() else { return Err("usage: commit FOLDER TIMES".into()) };
    let options = SqliteConnectOptions::new()
        .filename(Path::new(folder).join("commit.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    connection.execute("CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, record TEXT NOT NULL)").await?;
    let mut commits = Vec::new();
    for _ in 0..times.parse::<u32>()? {
        let began = Instant::now();
        sqlx::query("INSERT INTO event (record) VALUES (?)").bind(TEXT).execute(&mut connection).await?;
        commits.push(began.elapsed().as_secs_f64() * 1e6);
    }
    connection.close().await?;
    say(&serde_json::json!({ "commits_us": commits }));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn say(times: &serde_json::Value) {
    println!("{times}");
}
