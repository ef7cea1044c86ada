use super::*;
use crate::guests::{Data, Guest, TELLS_TIME, asks_for_random};
use crate::{Limits, resources};

#[test]
fn the_network_is_not_offered() {
    assert!(offers("wasi:clocks/wall-clock"));
    for interface in ["wasi:sockets/tcp", "wasi:http/types", "wasi:io/error@0.2.0", "wasi:cli/run", ""] {
        assert!(!offers(interface), "{interface}");
    }
}

#[test]
fn a_time_is_cut_to_whole_milliseconds() {
    assert_eq!(coarse(Duration::new(7, 1_999_999)), Duration::new(7, 1_000_000));
    assert_eq!(coarse(Duration::from_millis(1)), Duration::from_millis(1));
    assert_eq!(coarse(Duration::from_nanos(999_999)), Duration::ZERO);
}

/// Threat T49.
#[tokio::test]
async fn clocks_tell_milliseconds() {
    let mut guest = Guest::new(TELLS_TIME, 0).await.ok().unwrap();
    assert_eq!(guest.call("resolution", ()).await, Ok(1_000_000_u64));
    let mut last = 0;
    for _look in 0..3 {
        let now: u64 = guest.call("now", ()).await.unwrap();
        assert!(now >= last && now.is_multiple_of(1_000_000), "{now} after {last}");
        last = now;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(last > 0);
}

#[tokio::test]
async fn every_guest_has_random_bytes_of_its_own() {
    let text = asks_for_random("random", "get-random-bytes");
    let mut drawn = [0_u32; 4];
    for number in &mut drawn {
        *number = Guest::new(&text, 1 << 20).await.ok().unwrap().call("ask", (4_u32,)).await.unwrap();
    }
    assert!(drawn.iter().any(|number| *number != drawn[0]), "{drawn:?}");
}

#[test]
fn nothing_of_the_host_is_inherited() {
    use wasmtime_wasi::p2::bindings::cli::environment::Host as _;

    assert!(std::env::vars().next().is_some(), "there would be something");
    let mut data = Data { limits: Limits::new(0), table: resources(), wasi: context().build() };
    assert_eq!(data.cli().get_environment().unwrap(), []);
    assert_eq!(data.cli().get_arguments().unwrap(), Vec::<String>::new());
    assert_eq!(data.cli().initial_cwd().unwrap(), None);
    assert_eq!(filesystem::preopens::Host::get_directories(&mut data.filesystem()).unwrap().len(), 0);
}
