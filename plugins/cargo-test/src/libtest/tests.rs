//! Output as Rust 1.95 prints it.

use super::*;

fn names(events: &[Event]) -> Vec<String> {
    let show = |event: &Event| match event {
        Event::Begun => "begun".into(),
        Event::Finished(count) => format!("finished {count}"),
        Event::Ended(tested) => format!("{} {}", tested.name, tested.outcome.as_str()),
    };
    events.iter().map(show).collect()
}

fn text(output: &str) -> Vec<Event> {
    let mut text = Text::default();
    let mut events: Vec<Event> = output.lines().flat_map(|line| text.read(line)).collect();
    events.extend(text.rest());
    events
}

fn message<'a>(events: &'a [Event], name: &str) -> Option<&'a str> {
    events.iter().find_map(|event| {
        let Event::Ended(tested) = event else { return None };
        tested.message.as_deref().filter(|_| tested.name == name)
    })
}

const FAILING: &str = "
running 5 tests
test tests::good ... ok
test tests::later ... ignored, needs a server
test tests::bad ... FAILED
test tests::panics - should panic ... FAILED
test tests::plain ... ignored

failures:

---- tests::bad stdout ----
before
test fake ... ok

thread 'tests::bad' (19690) panicked at src/lib.rs:9:42:
assertion `left == right` failed: sum
  left: 2
 right: 3
stack backtrace:
   0: __rustc::rust_begin_unwind
note: Some details are omitted

---- tests::panics stdout ----
note: test did not panic as expected at src/lib.rs:11:5

failures:
    tests::bad
    tests::panics

test result: FAILED. 1 passed; 2 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.06s
";

#[test]
fn text_tells_every_test_and_failures_with_their_reason() {
    let events = text(FAILING);
    assert_eq!(
        names(&events),
        [
            "begun",
            "tests::good passed",
            "tests::later skipped",
            "tests::plain skipped",
            "tests::bad failed",
            "tests::panics failed",
            "finished 5",
        ]
    );
    assert_eq!(
        message(&events, "tests::bad"),
        Some("assertion `left == right` failed: sum\n  left: 2\n right: 3\nat `src/lib.rs:9:42`")
    );
    assert_eq!(message(&events, "tests::panics"), Some("note: test did not panic as expected at src/lib.rs:11:5"));
    assert_eq!(message(&events, "tests::later"), Some("needs a server"));
}

#[test]
fn a_result_may_stand_apart_from_its_name() {
    let events = text(
        "running 3 tests\n\
         test a ... chatter\n\
         more chatter\n\
         ok\n\
         test b ... FAILED\n\
         test c ... said by c\n\
         FAILED\n",
    );
    assert_eq!(names(&events), ["begun", "a passed", "b failed", "c failed"]);
}

#[test]
fn a_program_that_crashes_leaves_what_it_told() {
    let events = text("running 2 tests\ntest a ... FAILED\nrunning 1 test\ntest b ... ok\n");
    assert_eq!(names(&events), ["begun", "a failed", "begun", "b passed"]);
    assert_eq!(message(&events, "a"), Some("the test failed without a word"));
}

#[test]
fn documentation_and_benchmarks_are_tests_too() {
    let events = text(
        "running 2 tests\n\
         test src/lib.rs - add (line 2) ... ok\n\
         test sum ... bench:         12.05 ns/iter (+/- 0.1)\n\
         test result: ok. 1 passed; 0 failed; 0 ignored; 1 measured; 0 filtered out; finished in 0.00s\n",
    );
    assert_eq!(names(&events), ["begun", "src/lib.rs - add (line 2) passed", "sum passed", "finished 2"]);
}

#[test]
fn what_only_looks_like_a_result_is_none() {
    assert_eq!(text("running late\nrunning 3 errands\ntest of patience\ntest a ... later"), []);
}

#[test]
fn json_tells_times_and_reasons() {
    let lines = [
        r#"{ "type": "suite", "event": "started", "test_count": 3 }"#,
        r#"{ "type": "test", "event": "started", "name": "tests::bad" }"#,
        r#"{ "type": "test", "name": "tests::good", "event": "ok", "exec_time": 0.000001422 }"#,
        r#"{ "type": "test", "name": "tests::later", "event": "ignored", "message": "needs a server" }"#,
        r#"{ "type": "test", "name": "tests::bad", "event": "failed", "exec_time": 0.5, "stdout": "x\nthread 'tests::panics' (19679) panicked at src/lib.rs:11:60:\nother\nnote: run with `RUST_BACKTRACE=1`\n", "message": "panic did not contain expected string" }"#,
        "a test printed this",
        r#"{"type":"a test printed this too"}"#,
        r#"{ "type": "test", "event": "timeout", "name": "tests::bad" }"#,
        r#"{ "type": "suite", "event": "failed", "passed": 1, "failed": 1, "ignored": 1, "measured": 0, "filtered_out": 4, "exec_time": 0.5 }"#,
    ];
    let events: Vec<Event> = lines.iter().filter_map(|line| json(line)).collect();
    assert_eq!(
        names(&events),
        ["begun", "tests::good passed", "tests::later skipped", "tests::bad failed", "finished 3"]
    );
    assert_eq!(
        message(&events, "tests::bad"),
        Some("panic did not contain expected string\nother\nat `src/lib.rs:11:60`")
    );
    let Event::Ended(good) = &events[1] else { panic!("it is a test") };
    assert_eq!(good.time, Some(Duration::from_nanos(1422)));
}

#[test]
fn an_account_is_never_empty_and_never_endless() {
    assert_eq!(account("Error: \"no good\"\n", None), "Error: \"no good\"");
    assert_eq!(account("", None), "the test failed without a word");
    assert!(account(&"ü".repeat(ACCOUNT_BYTES_MAX), None).len() <= ACCOUNT_BYTES_MAX);
}

#[test]
fn a_program_has_the_name_of_its_target() {
    let name = |line: &str| heading(line).unwrap();
    assert_eq!(name("     Running unittests src/lib.rs (target/debug/deps/shop-d08e8b453f7c5fff)"), "shop");
    assert_eq!(name("     Running unittests src/main.rs (target/debug/deps/shop-1f14)"), "shop (src/main.rs)");
    assert_eq!(name("     Running tests/api.rs (/work/target/debug/deps/my-api-2639)"), "my-api");
    assert_eq!(name("   Doc-tests shop"), "shop (documentation)");
    assert_eq!(heading("    Finished `test` profile in 0.00s"), None);
    assert_eq!(heading("Running away (fast"), None);
}
