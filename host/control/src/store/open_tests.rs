use super::*;

async fn refused(folder: &Path) -> Error {
    match Store::open(folder).await {
        Ok(_) => panic!("it is opened"),
        Err(error) => {
            let hinted = error.hint().is_some();
            assert!(hinted, "{error}");
            error
        }
    }
}

/// Opens a database of somebody, or ours beside the store, and does something to it.
async fn execute(path: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    connection.execute(sqlx::raw_sql(sql)).await.unwrap();
    connection.close().await.unwrap();
}

/// A store that was used and closed.
async fn used(folder: &Path) -> PathBuf {
    let store = Store::open(folder).await.unwrap();
    let texts = (0..64).map(|number| super::super::Write::Definition {
        digest: number.to_string(),
        text: "x".repeat(8 << 10),
        facts: "{}".into(),
    });
    store.try_commit(texts.collect()).await.unwrap();
    store.close().await;
    folder.join("slipway.db")
}

#[tokio::test]
async fn a_folder_is_used_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    assert!(matches!(refused(folder.path()).await, Error::InUse(_)));
    store.close().await;
    Store::open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_ours_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slipway.db");
    std::fs::write(&path, "somebody's notes").unwrap();
    assert!(matches!(refused(folder.path()).await, Error::Foreign(_)));
    std::fs::remove_file(&path).unwrap();
    execute(&path, "CREATE TABLE note (text TEXT)").await;
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(refused(folder.path()).await, Error::Foreign(_)));
    assert!(std::fs::read(&path).unwrap() == before, "not a byte is changed");
}

#[tokio::test]
async fn another_version_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = used(folder.path()).await;
    execute(&path, "PRAGMA user_version = 99").await;
    let newer = refused(folder.path()).await;
    assert!(matches!(newer, Error::Version { found: 99, .. }), "{newer}");
    assert!(newer.hint().unwrap().contains("newer"));
    execute(&path, "PRAGMA user_version = 1").await;
    let older = refused(folder.path()).await;
    assert!(matches!(older, Error::Version { found: 1, .. }) && older.hint().unwrap().contains("older"), "{older}");
}

#[tokio::test]
async fn after_a_crash_damage_is_found_wherever_it_is_and_not_made_worse() {
    let folder = tempfile::tempdir().unwrap();
    let path = used(folder.path()).await;
    let whole = std::fs::read(&path).unwrap();
    let spoil = |from: usize, to: usize| {
        let mut bytes = whole.clone();
        bytes[from..to].fill(0xa5);
        bytes
    };
    for (what, bytes) in [
        ("the schema", spoil(100, 4_000)),
        ("a table", spoil(8 << 10, 12 << 10)),
        ("much", spoil(16 << 10, 64 << 10)),
        ("cut in the middle", whole[..whole.len() / 2].to_vec()),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        // What a crash leaves: a log with something in it, which here was never finished.
        std::fs::write(folder.path().join("slipway.db-wal"), [0; 64]).unwrap();
        let error = refused(folder.path()).await;
        assert!(matches!(error, Error::Damaged { .. }), "{what}: {error:?}");
        assert!(std::fs::read(&path).unwrap() == bytes, "{what}");
    }
    std::fs::write(&path, &whole).unwrap();
    Store::open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_first_start_that_broke_off_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slipway.db");
    execute(&path, "PRAGMA journal_mode = WAL").await;
    Store::open(folder.path()).await.unwrap().close().await;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    Store::open(folder.path()).await.unwrap();
}
