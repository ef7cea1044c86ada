use super::*;
use crate::guest::Runtime;
use crate::options::Limits;

/// An app that links, and is never asked.
const APP: &str = r#"(component
    (core module $m (func (export "f") (param i32 i32)))
    (core instance $i (instantiate $m))
    (import "wasi:http/types@0.2.0" (instance $types
        (export "incoming-request" (type (sub resource)))
        (export "response-outparam" (type (sub resource)))))
    (alias export $types "incoming-request" (type $request))
    (alias export $types "response-outparam" (type $out))
    (func $handle (param "request" (own $request)) (param "response-out" (own $out)) (canon lift (core func $i "f")))
    (instance $handler (export "handle" (func $handle)))
    (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#;

struct Fixture {
    runtime: Runtime,
    registry: Registry,
    component: Vec<u8>,
}

impl Fixture {
    fn new() -> Self {
        let runtime = Runtime::new(slipway_engine::Compiler::here(), Limits::default()).unwrap();
        Self { runtime, registry: Registry::new(8), component: wat::parse_str(APP).unwrap() }
    }

    fn release(&self, name: &str, digit: u8) -> Release {
        let identity = Identity { app: app(name), release: id(digit) };
        Release::new("1.0".into(), [digit; 32], self.runtime.compile(identity, &self.component).unwrap())
    }

    fn add(&self, name: &str, digit: u8) {
        self.registry.add(self.release(name, digit)).unwrap();
    }

    fn switch(&self, name: &str, digit: u8, keep: &[u8]) -> Result<(), Error> {
        self.registry.switch(&app(name), &id(digit), &keep.iter().copied().map(id).collect(), false)
    }

    fn ids(&self) -> Vec<(String, Option<ReleaseId>, Vec<ReleaseId>)> {
        let status = self.registry.status().into_iter();
        status.map(|view| (view.app.to_string(), view.live, view.candidates)).collect()
    }
}

fn app(name: &str) -> AppName {
    AppName::new(name).unwrap()
}

fn id(digit: u8) -> ReleaseId {
    ReleaseId::new(format!("01K0000000000000000000000{digit}")).unwrap()
}

#[test]
fn a_candidate_gets_traffic_once_it_is_healthy() {
    let fixture = Fixture::new();
    assert!(matches!(fixture.registry.route(&app("shop")), Route::Unknown));
    fixture.add("shop", 1);
    assert!(matches!(fixture.registry.route(&app("shop")), Route::Down));
    assert_eq!(fixture.switch("shop", 1, &[]), Err(Error::NotHealthy(id(1))));

    fixture.registry.get(&id(1)).unwrap().found(true);
    assert_eq!(fixture.switch("shop", 1, &[]), Ok(()));
    let Route::To(_, release) = fixture.registry.route(&app("shop")) else { panic!("it should be live") };
    assert_eq!(release.identity().release, id(1));
}

#[test]
fn the_last_health_check_counts() {
    let fixture = Fixture::new();
    fixture.add("shop", 1);
    let release = fixture.registry.get(&id(1)).unwrap();
    release.found(true);
    release.found(false);
    assert_eq!(fixture.switch("shop", 1, &[]), Err(Error::NotHealthy(id(1))));
    assert_eq!(fixture.registry.switch(&app("shop"), &id(1), &HashSet::new(), true), Ok(()), "control vouches for it");
    assert_eq!(fixture.switch("shop", 1, &[]), Ok(()), "it has the traffic already");
}

#[test]
fn a_switch_takes_out_what_is_not_kept() {
    let fixture = Fixture::new();
    for digit in 1..=4 {
        fixture.add("shop", digit);
        fixture.registry.get(&id(digit)).unwrap().found(true);
    }
    fixture.add("till", 5);
    fixture.switch("shop", 1, &[2, 3, 4]).unwrap();
    fixture.switch("shop", 2, &[1, 4]).unwrap();
    assert_eq!(
        fixture.ids(),
        [("shop".into(), Some(id(2)), vec![id(1), id(4)]), ("till".into(), None, vec![id(5)])],
        "another app's releases stay"
    );
    assert_eq!(fixture.switch("shop", 3, &[]), Err(Error::Unknown(id(3))));
    assert_eq!(fixture.switch("shop", 5, &[]), Err(Error::Unknown(id(5))), "it is another app's");
    assert_eq!(fixture.switch("door", 2, &[]), Err(Error::Unknown(id(2))));
}

#[test]
fn a_release_lives_on_in_its_requests() {
    let fixture = Fixture::new();
    fixture.add("shop", 1);
    fixture.add("shop", 2);
    (1..=2).for_each(|digit| fixture.registry.get(&id(digit)).unwrap().found(true));
    fixture.switch("shop", 1, &[2]).unwrap();
    let Route::To(_, old) = fixture.registry.route(&app("shop")) else { panic!("it should be live") };
    fixture.switch("shop", 2, &[]).unwrap();
    assert_eq!(Arc::strong_count(&old), 1, "only the request has it");
    assert!(matches!(fixture.registry.get(&id(1)), Err(Error::Unknown(_))));
}

#[test]
fn an_id_stands_for_one_component() {
    let fixture = Fixture::new();
    fixture.add("shop", 1);
    fixture.registry.get(&id(1)).unwrap().found(true);
    assert_eq!(fixture.registry.add(fixture.release("shop", 1)), Ok(()), "the same again");
    assert_eq!(fixture.switch("shop", 1, &[]), Ok(()), "the first one stayed");
    let name = app("shop");
    let parts = |version, digest| Parts { app: &name, version, digest: [digest; 32] };
    assert_eq!(fixture.registry.has(&id(1), &parts("1.0", 1)), Ok(true));
    assert_eq!(fixture.registry.has(&id(2), &parts("1.0", 2)), Ok(false));
    for other in [parts("1.1", 1), parts("1.0", 2), Parts { app: &app("till"), version: "1.0", digest: [1; 32] }] {
        assert_eq!(fixture.registry.has(&id(1), &other), Err(Error::Different(id(1))));
    }
    assert_eq!(fixture.registry.add(fixture.release("till", 1)), Err(Error::Different(id(1))));
}

#[test]
fn a_candidate_can_be_dropped_and_a_live_release_cannot() {
    let fixture = Fixture::new();
    fixture.add("shop", 1);
    fixture.add("shop", 2);
    fixture.registry.get(&id(1)).unwrap().found(true);
    fixture.switch("shop", 1, &[2]).unwrap();
    assert_eq!(fixture.registry.remove(&id(1)), Err(Error::Live(id(1))));
    assert_eq!(fixture.registry.remove(&id(2)), Ok(()));
    assert_eq!(fixture.registry.remove(&id(2)), Ok(()), "asked twice");
    assert_eq!(fixture.ids(), [("shop".into(), Some(id(1)), vec![])]);
}

#[test]
fn an_app_without_releases_is_forgotten() {
    let fixture = Fixture::new();
    fixture.add("shop", 1);
    fixture.registry.remove(&id(1)).unwrap();
    assert_eq!(fixture.ids(), []);
    assert!(matches!(fixture.registry.route(&app("shop")), Route::Unknown));
}

#[test]
fn an_app_that_is_expected_is_away_and_not_unknown() {
    let fixture = Fixture::new();
    fixture.registry.expect(app("shop"));
    assert!(matches!(fixture.registry.route(&app("shop")), Route::Down));
    assert!(matches!(fixture.registry.route(&app("other")), Route::Unknown));
    fixture.add("shop", 1);
    fixture.registry.expect(app("shop"));
    assert!(fixture.registry.get(&id(1)).is_ok(), "what is there stays");
    fixture.registry.stop(&app("shop"), &HashSet::new());
    assert!(matches!(fixture.registry.route(&app("shop")), Route::Unknown), "nothing is left of it");
}

#[test]
fn a_stopped_app_has_no_release_until_the_next_one() {
    let fixture = Fixture::new();
    fixture.registry.stop(&app("shop"), &HashSet::new());
    fixture.add("shop", 1);
    fixture.add("shop", 2);
    fixture.add("other", 3);
    fixture.registry.get(&id(1)).unwrap().found(true);
    fixture.switch("shop", 1, &[2]).unwrap();
    fixture.registry.stop(&app("shop"), &[id(2)].into());
    assert!(matches!(fixture.registry.route(&app("shop")), Route::Down));
    assert!(fixture.registry.get(&id(1)).is_err() && fixture.registry.get(&id(2)).is_ok());
    assert!(fixture.registry.get(&id(3)).is_ok(), "another app's stays");
    fixture.registry.get(&id(2)).unwrap().found(true);
    assert_eq!(fixture.switch("shop", 2, &[]), Ok(()));
}
