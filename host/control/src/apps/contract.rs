//! What every [`AppHost`] does: run on the fake beside this file, and on the real one by the
//! tests of the whole product, which take this file in.

use super::{AppHost, HostError};
use bytes::Bytes;
use std::time::Duration;

/// A host to be tried, and what is needed for it.
pub(crate) trait Bench {
    fn host(&self) -> &dyn AppHost;
    /// A component that answers `GET /health` with 200, and `GET /nothing` with 404.
    fn component(&self) -> Bytes;
    /// Whether the users of an app get an answer from it.
    async fn is_served(&self, app: &str) -> bool;
}

const HEALTHY: &str = "/health";
const UNHEALTHY: &str = "/nothing";

/// The whole of it, one after the other. Each part has apps of its own.
pub(crate) async fn keep(bench: &impl Bench) {
    a_release_is_loaded_once(bench).await;
    what_is_no_app_is_refused(bench).await;
    a_health_check_tells_the_answer(bench).await;
    only_a_healthy_release_gets_the_traffic(bench).await;
    a_live_release_keeps_the_traffic(bench).await;
    a_switch_drops_what_is_not_kept(bench).await;
    a_switch_to_what_is_not_there_changes_nothing(bench).await;
    a_stop_takes_the_traffic_and_keeps_what_is_to_be_kept(bench).await;
    names_are_names(bench).await;
}

fn id(number: u32) -> String {
    format!("{number:026}")
}

async fn load(bench: &impl Bench, app: &str, number: u32) -> String {
    let id = id(number);
    bench.host().load(&id, app, "v1", bench.component()).await.unwrap();
    id
}

async fn healthy(bench: &impl Bench, app: &str, number: u32) -> String {
    let id = load(bench, app, number).await;
    assert!(check(bench, &id, HEALTHY).await);
    id
}

async fn check(bench: &impl Bench, release: &str, path: &str) -> bool {
    bench.host().health(release, path, Duration::ZERO).await.unwrap().healthy
}

async fn is_there(bench: &impl Bench, release: &str) -> bool {
    match bench.host().health(release, HEALTHY, Duration::ZERO).await {
        Ok(_) => true,
        Err(HostError::Unknown(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

fn status<T: std::fmt::Debug>(result: Result<T, HostError>) -> u16 {
    match result {
        Err(HostError::Odd { status, text }) => {
            assert!(!text.is_empty(), "a refusal has words");
            status
        }
        other => panic!("{other:?}"),
    }
}

async fn a_release_is_loaded_once(bench: &impl Bench) {
    let id = load(bench, "loaded", 101).await;
    assert_eq!(load(bench, "loaded", 101).await, id, "again changes nothing");
    assert_eq!(status(bench.host().load(&id, "loaded", "v2", bench.component()).await), 409);
    assert_eq!(status(bench.host().load(&id, "another", "v1", bench.component()).await), 409);
    assert!(!bench.is_served("loaded").await, "a candidate has no traffic");
}

async fn what_is_no_app_is_refused(bench: &impl Bench) {
    for bytes in [Bytes::new(), Bytes::from_static(b"this is no component")] {
        let refused = bench.host().load(&id(201), "broken", "v1", bytes).await;
        assert!(matches!(&refused, Err(HostError::NotAnApp(reason)) if !reason.is_empty()), "{refused:?}");
        assert!(!is_there(bench, &id(201)).await);
    }
}

async fn a_health_check_tells_the_answer(bench: &impl Bench) {
    let id = load(bench, "asked", 301).await;
    let health = bench.host().health(&id, HEALTHY, Duration::from_secs(10)).await.unwrap();
    assert!(health.healthy && health.status == 200 && !health.message.is_empty(), "{health:?}");
    let health = bench.host().health(&id, UNHEALTHY, Duration::ZERO).await.unwrap();
    assert!(!health.healthy && health.status == 404 && !health.message.is_empty(), "{health:?}");
    assert_eq!(status(bench.host().health(&id, "health", Duration::ZERO).await), 400);
    assert!(!is_there(bench, &self::id(302)).await);
}

async fn only_a_healthy_release_gets_the_traffic(bench: &impl Bench) {
    let first = load(bench, "healthy", 401).await;
    assert!(matches!(bench.host().switch("healthy", &first, &[], false).await, Err(HostError::NotHealthy)));
    check(bench, &first, UNHEALTHY).await;
    assert!(matches!(bench.host().switch("healthy", &first, &[], false).await, Err(HostError::NotHealthy)));
    assert!(!bench.is_served("healthy").await);
    check(bench, &first, HEALTHY).await;
    bench.host().switch("healthy", &first, &[], false).await.unwrap();
    assert!(bench.is_served("healthy").await);

    let second = healthy(bench, "healthy", 402).await;
    check(bench, &second, UNHEALTHY).await;
    let refused = bench.host().switch("healthy", &second, &[], false).await;
    assert!(matches!(refused, Err(HostError::NotHealthy)), "the last check counts");
    assert!(bench.is_served("healthy").await && is_there(bench, &first).await, "nothing has changed");

    let trusted = load(bench, "healthy", 403).await;
    bench.host().switch("healthy", &trusted, &[], true).await.unwrap();
    assert!(bench.is_served("healthy").await);
}

async fn a_live_release_keeps_the_traffic(bench: &impl Bench) {
    let live = healthy(bench, "live", 501).await;
    bench.host().switch("live", &live, &[], false).await.unwrap();
    check(bench, &live, UNHEALTHY).await;
    bench.host().switch("live", &live, &[], false).await.unwrap();
    assert!(bench.is_served("live").await);
}

async fn a_switch_drops_what_is_not_kept(bench: &impl Bench) {
    let (old, new) = (healthy(bench, "kept", 601).await, healthy(bench, "kept", 602).await);
    let (dropped, other) = (load(bench, "kept", 603).await, load(bench, "other", 604).await);
    let keep = [old.clone(), dropped.clone()];
    bench.host().switch("kept", &old, &[&keep[..], std::slice::from_ref(&new)].concat(), false).await.unwrap();
    assert!(is_there(bench, &dropped).await);
    bench.host().switch("kept", &new, &keep[..1], false).await.unwrap();
    assert!(is_there(bench, &old).await, "it is kept");
    assert!(!is_there(bench, &dropped).await);
    assert!(is_there(bench, &other).await, "it is another app's");
    bench.host().switch("kept", &old, &[], false).await.unwrap();
    assert!(!is_there(bench, &new).await, "also what was live");
}

async fn a_switch_to_what_is_not_there_changes_nothing(bench: &impl Bench) {
    let live = healthy(bench, "there", 701).await;
    bench.host().switch("there", &live, &[], false).await.unwrap();
    let others = healthy(bench, "elsewhere", 702).await;
    for release in [id(703), others] {
        let refused = bench.host().switch("there", &release, &[], true).await;
        assert!(matches!(&refused, Err(HostError::Unknown(reason)) if !reason.is_empty()), "{refused:?}");
    }
    assert!(bench.is_served("there").await && is_there(bench, &live).await);
}

async fn a_stop_takes_the_traffic_and_keeps_what_is_to_be_kept(bench: &impl Bench) {
    let (live, kept) = (healthy(bench, "stopped", 801).await, healthy(bench, "stopped", 802).await);
    bench.host().switch("stopped", &live, std::slice::from_ref(&kept), false).await.unwrap();
    for _twice in 0..2 {
        bench.host().stop("stopped", std::slice::from_ref(&kept)).await.unwrap();
        assert!(!bench.is_served("stopped").await);
    }
    assert!(!is_there(bench, &live).await);
    bench.host().switch("stopped", &kept, &[], false).await.unwrap();
    assert!(bench.is_served("stopped").await);
    bench.host().stop("never-seen", &[]).await.unwrap();
}

async fn names_are_names(bench: &impl Bench) {
    assert_eq!(status(bench.host().load(&id(901), "No App", "v1", bench.component()).await), 400);
    assert_eq!(status(bench.host().load("latest", "named", "v1", bench.component()).await), 400);
    assert_eq!(status(bench.host().switch("named", "latest", &[], true).await), 400);
    assert_eq!(status(bench.host().health("latest", HEALTHY, Duration::ZERO).await), 400);
}
