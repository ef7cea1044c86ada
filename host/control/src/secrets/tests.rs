use super::*;
use crate::store::rows::PipelineRow;

async fn secrets(folder: &Path) -> Secrets {
    let store = Store::open(folder).await.unwrap();
    for name in ["shop", "till"] {
        let row = PipelineRow { name: name.into(), repository: "/nowhere".into(), created_at: 0 };
        store.try_commit(vec![Write::Pipeline(row)]).await.unwrap();
    }
    Secrets::open(store, folder).unwrap()
}

fn address(pipeline: &str, environment: Option<&str>) -> Address {
    Address {
        pipeline: PipelineName::new(pipeline).unwrap(),
        environment: environment.map(str::to_owned),
        name: SecretName::new("token").unwrap(),
    }
}

async fn value(secrets: &Secrets, pipeline: &str, environment: Option<&str>) -> Option<String> {
    let address = address(pipeline, None);
    let found = secrets.value(&address.pipeline, environment, &address.name).await.ok()?;
    Some(String::from_utf8(found.expose().to_vec()).unwrap())
}

#[tokio::test]
async fn an_environments_secret_goes_before_the_pipelines_and_no_other_pipeline_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path()).await;
    assert_eq!(secrets.set(address("shop", None), b"for all of it", "ann").await.unwrap().version, 1);
    secrets.set(address("shop", Some("production")), b"for production", "ann").await.unwrap();
    assert_eq!(value(&secrets, "shop", None).await.as_deref(), Some("for all of it"));
    assert_eq!(value(&secrets, "shop", Some("staging")).await.as_deref(), Some("for all of it"));
    assert_eq!(value(&secrets, "shop", Some("production")).await.as_deref(), Some("for production"));
    assert_eq!(value(&secrets, "till", None).await, None);
    assert_eq!(secrets.set(address("shop", None), b"another value", "ann").await.unwrap().version, 2);
    assert_eq!(value(&secrets, "shop", None).await.as_deref(), Some("another value"));
    secrets.remove(&address("shop", Some("production")), "ann").await.unwrap();
    assert_eq!(value(&secrets, "shop", Some("production")).await.as_deref(), Some("another value"));
    assert!(matches!(secrets.remove(&address("till", None), "ann").await, Err(Error::Unknown(_))));
}

/// Threat T70.
#[tokio::test]
async fn a_row_that_is_moved_to_another_pipeline_does_not_open_there() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path()).await;
    let row = secrets.set(address("shop", None), b"correct horse", "ann").await.unwrap();
    let moved = SecretRow { address: address("till", None), ..row };
    secrets.store.try_commit(vec![Write::Secret(moved)]).await.unwrap();
    let found = secrets.value(&PipelineName::new("till").unwrap(), None, &SecretName::new("token").unwrap()).await;
    assert!(matches!(found, Err(Error::Vault(VaultError::Forged(_)))));
    assert_eq!(value(&secrets, "shop", None).await.as_deref(), Some("correct horse"));
}

/// Threats T68 and T70.
#[tokio::test]
async fn a_copy_of_the_database_gives_no_value_away() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path()).await;
    secrets.set(address("shop", None), b"correct horse battery", "ann").await.unwrap();
    let key = std::fs::read_to_string(folder.path().join("secrets.keys")).unwrap();
    let key = key.trim_end().split(' ').nth(1).unwrap().to_owned();
    for name in ["slipway.db", "slipway.db-wal"] {
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        for hidden in [b"correct horse".as_slice(), key.as_bytes(), &hex::decode(&key).unwrap()] {
            assert!(!bytes.windows(hidden.len()).any(|window| window == hidden), "{name}");
        }
    }
}

/// Threat T70.
#[tokio::test]
async fn all_is_kept_under_a_new_key_after_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path()).await;
    secrets.set(address("shop", None), b"correct horse", "ann").await.unwrap();
    secrets.set(address("till", Some("production")), b"battery staple", "ann").await.unwrap();
    assert_eq!(secrets.rotate("ann").await.unwrap(), 2);
    let rows = secrets.store.secrets(None).await.unwrap();
    assert!(rows.iter().all(|row| row.sealed.key_id == 2 && row.version == 1));
    let again = Secrets::open(secrets.store.clone(), folder.path()).unwrap();
    assert_eq!(value(&again, "shop", None).await.as_deref(), Some("correct horse"));
    assert_eq!(value(&again, "till", Some("production")).await.as_deref(), Some("battery staple"));
}

#[tokio::test]
async fn values_and_their_number_have_limits() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path()).await;
    for wrong in [vec![], vec![b'x'; VALUE_BYTES_MAX + 1]] {
        assert!(matches!(secrets.set(address("shop", None), &wrong, "ann").await, Err(Error::Size(_))));
    }
    secrets.set(address("shop", None), &vec![b'x'; VALUE_BYTES_MAX], "ann").await.unwrap();
    assert!(matches!(secrets.set(address("nobody", None), b"x", "ann").await, Err(Error::UnknownPipeline(_))));
}

#[tokio::test]
async fn what_was_a_secret_stays_masked_while_runs_may_tell_it() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path()).await;
    let shop = address("shop", None);
    assert!(secrets.masker("shop").is_empty());
    secrets.set(shop.clone(), b"first value", "ann").await.unwrap();
    secrets.set(shop.clone(), b"second value", "ann").await.unwrap();
    secrets.remove(&shop, "ann").await.unwrap();
    let mut text = "first value, second value, third value".to_owned();
    secrets.masker("shop").text(&mut text);
    assert_eq!(text, format!("{MASK}, {MASK}, third value"));
    // Another process learns what is set when it first hears of the pipeline.
    secrets.set(shop.clone(), b"third value", "ann").await.unwrap();
    let again = Secrets::open(secrets.store.clone(), folder.path()).unwrap();
    assert!(again.masker("shop").is_empty());
    again.know(&shop.pipeline).await.unwrap();
    assert!(!again.masker("shop").is_empty() && again.masker("till").is_empty());
}
