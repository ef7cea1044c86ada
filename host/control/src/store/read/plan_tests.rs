//! A run's cost must not grow with history, so no query may look through a whole table that
//! grows: what SQLite plans for each is looked at.

use super::super::Store;
use sqlx::Row;

/// Tables that people fill by hand (a handful of rows), and what a query makes for itself.
const SMALL: [&str; 5] = ["pipeline", "secret", "token", "name", "CONSTANT"];

/// The index of the runs that have not ended, which has no others in it.
const OPEN: &str = "USING INDEX run_open";

/// The queries of a source file: the text that each `sqlx::query(` begins with.
fn queries(source: &'static str) -> impl Iterator<Item = String> {
    source.split("sqlx::query(").skip(1).filter_map(|rest| {
        let text = rest.split('"').nth(1)?;
        Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
    })
}

#[tokio::test]
async fn no_query_looks_through_a_table_that_grows() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let mut looked_at = 0;
    for query in queries(include_str!("mod.rs")).chain(queries(include_str!("runs.rs"))) {
        let explain: &'static str = format!("EXPLAIN QUERY PLAN {query}").leak();
        let plan =
            sqlx::query(explain).fetch_all(&store.readers).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        for step in &plan {
            let step: String = step.get("detail");
            let scans = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            assert!(scans.is_none_or(|table| SMALL.contains(&table)) || step.contains(OPEN), "{query}: {step}");
        }
        looked_at += 1;
    }
    assert!(looked_at > 20, "{looked_at}");
}
