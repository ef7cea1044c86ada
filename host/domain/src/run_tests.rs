use super::*;
use crate::outcome::Failure;
use proptest::prelude::*;

fn name(text: &str) -> StageName {
    StageName::new(text).unwrap()
}

fn plan(stages: &[(&str, Kind, &[&str])]) -> Vec<Plan> {
    stages
        .iter()
        .map(|(stage, kind, needs)| Plan {
            name: name(stage),
            kind: *kind,
            needs: needs.iter().map(|need| name(need)).collect(),
            wanted: true,
        })
        .collect()
}

fn chain() -> Vec<Plan> {
    plan(&[("build", Kind::Build, &[]), ("test", Kind::Test, &["build"]), ("deploy", Kind::Deploy, &["test"])])
}

fn failed() -> Outcome {
    Outcome::Unhappy(Unhappy::Failed(Failure::new("tests-failed", "1 of 3 tests failed")))
}

/// Leases a stage and ends its attempt, returning the actions of the end.
fn step(run: &mut Run, stage: &str, epoch: u64, outcome: Outcome) -> Vec<Action> {
    run.apply(&Event::Leased { stage: name(stage), epoch: Epoch(epoch) }).unwrap();
    run.apply(&Event::Ended { stage: name(stage), epoch: Epoch(epoch), outcome }).unwrap()
}

#[test]
fn a_run_whose_stages_pass_passes() {
    let (mut run, actions) = Run::new(chain());
    assert_eq!(actions, [Action::Queue(name("build"))]);
    assert_eq!(step(&mut run, "build", 1, Outcome::Passed), [Action::Queue(name("test"))]);
    assert_eq!(step(&mut run, "test", 2, Outcome::Passed), [Action::Queue(name("deploy"))]);
    assert_eq!(step(&mut run, "deploy", 3, Outcome::Passed), [Action::Queue(name("deploy"))], "plan, then apply");
    assert_eq!(step(&mut run, "deploy", 4, Outcome::Passed), [Action::End]);
    assert_eq!(*run.state(), RunState::Ended(RunEnd::Passed));
}

#[test]
fn a_failed_stage_fails_the_run_and_skips_what_needs_it() {
    let (mut run, _) = Run::new(chain());
    step(&mut run, "build", 1, Outcome::Passed);
    assert_eq!(step(&mut run, "test", 2, failed()), [Action::End]);
    assert_eq!(*run.state(), RunState::Ended(RunEnd::Failed { stage: name("test") }));
    assert_eq!(run.stage(&name("deploy")).unwrap().state, StageState::Ended(End::Skipped(Skip::Needs(name("test")))));
}

#[test]
fn once_a_stage_has_failed_nothing_new_starts() {
    let stages = plan(&[("a", Kind::Build, &[]), ("b", Kind::Build, &[]), ("deploy", Kind::Deploy, &[])]);
    let (mut run, _) = Run::new(stages);
    run.apply(&Event::Leased { stage: name("deploy"), epoch: Epoch(1) }).unwrap();
    assert_eq!(step(&mut run, "a", 2, failed()), [Action::Withdraw(name("b"))], "it was never begun");
    let planned = Event::Ended { stage: name("deploy"), epoch: Epoch(1), outcome: Outcome::Passed };
    assert_eq!(run.apply(&planned).unwrap(), [Action::End], "the plan goes on to its end, and is not applied");
    assert_eq!(run.stage(&name("deploy")).unwrap().state, StageState::Ended(End::Skipped(Skip::RunEnding)));
    assert_eq!(*run.state(), RunState::Ended(RunEnd::Failed { stage: name("a") }));
}

#[test]
fn once_a_stage_has_failed_what_was_begun_goes_on_and_a_change_is_taken_back() {
    let stages = plan(&[("a", Kind::Build, &[]), ("b", Kind::Build, &[]), ("deploy", Kind::Deploy, &[])]);
    let (mut run, _) = Run::new(stages);
    step(&mut run, "deploy", 1, Outcome::Passed);
    run.apply(&Event::Leased { stage: name("deploy"), epoch: Epoch(2) }).unwrap();
    run.apply(&Event::Leased { stage: name("b"), epoch: Epoch(3) }).unwrap();
    assert_eq!(step(&mut run, "a", 4, failed()), []);
    let lost = Event::LeaseLost { stage: name("b"), epoch: Epoch(3), loss: Loss::Innocent };
    assert_eq!(run.apply(&lost).unwrap(), [Action::Queue(name("b"))], "it had begun");
    let applied = Event::Ended { stage: name("deploy"), epoch: Epoch(2), outcome: failed() };
    assert_eq!(run.apply(&applied).unwrap(), [Action::Queue(name("deploy"))], "for its rollback");
}

#[test]
fn a_failed_apply_is_taken_back_and_the_stage_keeps_its_failure() {
    let (mut run, _) = Run::new(plan(&[("deploy", Kind::Deploy, &[])]));
    step(&mut run, "deploy", 1, Outcome::Passed);
    assert_eq!(step(&mut run, "deploy", 2, failed()), [Action::Queue(name("deploy"))]);
    assert_eq!(step(&mut run, "deploy", 3, Outcome::Passed), [Action::End]);
    let StageState::Ended(End::Failed { rollback, .. }) = &run.stages()[0].state else { panic!("{run:?}") };
    assert_eq!(*rollback, Rollback::Done);
}

#[test]
fn a_fenced_holder_changes_nothing() {
    let (mut run, _) = Run::new(chain());
    run.apply(&Event::Leased { stage: name("build"), epoch: Epoch(1) }).unwrap();
    run.apply(&Event::LeaseLost { stage: name("build"), epoch: Epoch(1), loss: Loss::Death }).unwrap();
    run.apply(&Event::Leased { stage: name("build"), epoch: Epoch(2) }).unwrap();
    let before = run.clone();
    let stale = Event::Ended { stage: name("build"), epoch: Epoch(1), outcome: Outcome::Passed };
    assert!(matches!(run.apply(&stale), Err(InvalidTransition::Fenced { .. })));
    assert_eq!(run, before);
}

#[test]
fn an_attempt_that_kills_its_worker_twice_is_given_up() {
    let (mut run, _) = Run::new(chain());
    for epoch in 1..=2 {
        run.apply(&Event::Leased { stage: name("build"), epoch: Epoch(epoch) }).unwrap();
        run.apply(&Event::LeaseLost { stage: name("build"), epoch: Epoch(epoch), loss: Loss::Death }).unwrap();
    }
    assert_eq!(*run.state(), RunState::Ended(RunEnd::Errored { stage: name("build") }));
}

#[test]
fn restarts_of_control_are_not_held_against_a_stage() {
    let (mut run, _) = Run::new(chain());
    for epoch in 1..=20 {
        run.apply(&Event::Leased { stage: name("build"), epoch: Epoch(epoch) }).unwrap();
        run.apply(&Event::LeaseLost { stage: name("build"), epoch: Epoch(epoch), loss: Loss::Innocent }).unwrap();
    }
    assert_eq!(step(&mut run, "build", 21, Outcome::Passed), [Action::Queue(name("test"))]);
}

#[test]
fn cancelling_stops_what_runs_and_withdraws_what_waits() {
    let (mut run, _) = Run::new(plan(&[("a", Kind::Build, &[]), ("b", Kind::Build, &[]), ("c", Kind::Test, &["a"])]));
    run.apply(&Event::Leased { stage: name("a"), epoch: Epoch(1) }).unwrap();
    let actions = run.apply(&Event::CancelRequested { by: "ann".into() }).unwrap();
    assert_eq!(actions, [Action::Stop { stage: name("a"), epoch: Epoch(1) }, Action::Withdraw(name("b"))]);
    assert_eq!(run.state().as_str(), "cancelling");
    let end = Event::Ended { stage: name("a"), epoch: Epoch(1), outcome: Outcome::Unhappy(Unhappy::Cancelled) };
    assert_eq!(run.apply(&end).unwrap(), [Action::End]);
    assert_eq!(*run.state(), RunState::Ended(RunEnd::Cancelled { by: "ann".into() }));
    assert_eq!(run.apply(&Event::CancelRequested { by: "bob".into() }), Err(InvalidTransition::RunEnded));
}

#[test]
fn a_change_that_has_begun_is_not_cancelled_in_the_middle() {
    let (mut run, _) = Run::new(plan(&[("deploy", Kind::Deploy, &[])]));
    step(&mut run, "deploy", 1, Outcome::Passed);
    run.apply(&Event::Leased { stage: name("deploy"), epoch: Epoch(2) }).unwrap();
    assert_eq!(run.apply(&Event::CancelRequested { by: "ann".into() }).unwrap(), []);
    let end = Event::Ended { stage: name("deploy"), epoch: Epoch(2), outcome: Outcome::Passed };
    run.apply(&end).unwrap();
    assert_eq!(*run.state(), RunState::Ended(RunEnd::Passed), "it finished before the cancel could reach it");
}

#[test]
fn a_stage_whose_condition_does_not_hold_is_skipped_and_the_run_passes() {
    let mut stages = chain();
    stages[2].wanted = false;
    let (mut run, _) = Run::new(stages);
    step(&mut run, "build", 1, Outcome::Passed);
    step(&mut run, "test", 2, Outcome::Passed);
    assert_eq!(*run.state(), RunState::Ended(RunEnd::Passed));
}

/// One of everything that can stand in a stage's state.
#[test]
fn nothing_is_begun_again_for_ever() {
    let (mut run, _) = Run::new(plan(&[("build", Kind::Build, &[])]));
    for number in 1..=u64::from(ATTEMPTS_MAX) {
        assert!(!run.state().has_ended(), "{number}");
        run.apply(&Event::Leased { stage: name("build"), epoch: Epoch(number) }).unwrap();
        run.apply(&Event::LeaseLost { stage: name("build"), epoch: Epoch(number), loss: Loss::Innocent }).unwrap();
    }
    assert_eq!(*run.state(), RunState::Ended(RunEnd::Errored { stage: name("build") }));
}

fn every_state() -> Vec<StageState> {
    let cause = Unhappy::Cancelled;
    let phases = [Phase::Build, Phase::Test, Phase::Plan, Phase::Apply, Phase::Rollback { cause }];
    let mut states = vec![
        StageState::Waiting,
        StageState::Ended(End::Passed),
        StageState::Ended(End::Skipped(Skip::Condition)),
        StageState::Ended(End::Cancelled { rollback: Rollback::NotNeeded }),
        StageState::Ended(End::Failed { failure: Failure::new("x", "y"), rollback: Rollback::Done }),
        StageState::Ended(End::Errored { fault: Fault::WorkerLost { times: 2 }, rollback: Rollback::NotNeeded }),
    ];
    for phase in phases {
        for deaths in 0..DEATHS_MAX {
            let attempt = Attempt { phase: phase.clone(), number: deaths + 1, deaths };
            states.push(StageState::Queued(attempt.clone()));
            states.push(StageState::Running { attempt, epoch: Epoch(7) });
        }
    }
    states
}

fn every_event() -> Vec<Event> {
    let stage = name("a");
    let mut events = vec![Event::CancelRequested { by: "ann".into() }];
    for epoch in [Epoch(6), Epoch(7), Epoch(8)] {
        events.push(Event::Leased { stage: stage.clone(), epoch });
        for loss in [Loss::Death, Loss::Innocent] {
            events.push(Event::LeaseLost { stage: stage.clone(), epoch, loss });
        }
        for outcome in [
            Outcome::Passed,
            failed(),
            Outcome::Unhappy(Unhappy::Errored(Fault::Host { message: "x".into() })),
            Outcome::Unhappy(Unhappy::Cancelled),
        ] {
            events.push(Event::Ended { stage: stage.clone(), epoch, outcome });
        }
    }
    events.push(Event::Leased { stage: name("nobody"), epoch: Epoch(9) });
    events
}

#[test]
fn every_state_meets_every_event() {
    let mut accepted = 0;
    for state in every_state() {
        for run_state in [RunState::Queued, RunState::Running, RunState::Cancelling { by: "ann".into() }] {
            for event in every_event() {
                let stages = vec![Stage { name: name("a"), kind: Kind::Deploy, needs: vec![], state: state.clone() }];
                let mut run = Run { state: run_state.clone(), stages };
                let before = run.clone();
                match run.apply(&event) {
                    Err(_) => assert_eq!(run, before, "a refused event left a trace: {event:?}"),
                    Ok(actions) => {
                        accepted += 1;
                        check_invariants(&run, &actions);
                        if let Event::Ended { epoch, .. } | Event::LeaseLost { epoch, .. } = event {
                            assert!(matches!(state, StageState::Running { epoch: held, .. } if held == epoch));
                        }
                    }
                }
            }
        }
    }
    assert!(accepted > 100, "only {accepted} accepted");
}

fn check_invariants(run: &Run, actions: &[Action]) {
    let all_ended = run.stages().iter().all(|stage| stage.state.has_ended());
    assert_eq!(all_ended, run.state().has_ended(), "{run:?}");
    assert_eq!(actions.contains(&Action::End), all_ended);
    for action in actions {
        if let Action::Queue(stage) = action {
            assert!(matches!(run.stage(stage).unwrap().state, StageState::Queued(_)));
        }
    }
    for stage in run.stages() {
        if let StageState::Queued(_) | StageState::Running { .. } = stage.state {
            for need in &stage.needs {
                assert_eq!(run.stage(need).unwrap().state, StageState::Ended(End::Passed), "order");
            }
        }
    }
}

/// A random pipeline: each stage needs some of those before it.
fn pipelines() -> impl Strategy<Value = Vec<Plan>> {
    proptest::collection::vec((0usize..3, any::<u8>(), proptest::bool::weighted(0.9)), 1..7).prop_map(|stages| {
        stages
            .into_iter()
            .enumerate()
            .map(|(index, (kind, needs, wanted))| Plan {
                name: name(&format!("s{index}")),
                kind: Kind::ALL[kind],
                needs: (0..index)
                    .filter(|other| needs >> other & 1 == 1)
                    .map(|other| name(&format!("s{other}")))
                    .collect(),
                wanted,
            })
            .collect()
    })
}

proptest! {
    /// Whatever happens in whatever order, the run keeps its invariants, a refused event
    /// leaves no trace, replaying the accepted events gives the same run, and a run to which
    /// nothing bad happens any more ends.
    #[test]
    fn random_events_keep_the_invariants(plan in pipelines(), choices in proptest::collection::vec(any::<(u8, u8)>(), 0..80)) {
        let (mut run, actions) = Run::new(plan.clone());
        check_invariants(&run, &actions);
        let mut epoch = 0;
        let mut accepted = Vec::new();
        for (what, which) in choices {
            let stage = name(&format!("s{}", usize::from(which) % plan.len()));
            let held = match run.stage(&stage).map(|stage| &stage.state) {
                Some(StageState::Running { epoch, .. }) => *epoch,
                _ => Epoch(epoch),
            };
            let event = match what % 12 {
                0..=4 => { epoch += 1; Event::Leased { stage, epoch: Epoch(epoch) } }
                5..=7 => Event::Ended { stage, epoch: held, outcome: Outcome::Passed },
                8 => Event::Ended { stage, epoch: held, outcome: failed() },
                9 => Event::LeaseLost { stage, epoch: held, loss: if what > 127 { Loss::Death } else { Loss::Innocent } },
                10 => Event::Ended { stage, epoch: Epoch(held.0.wrapping_sub(1)), outcome: Outcome::Passed },
                _ if what > 230 => Event::CancelRequested { by: "ann".into() },
                _ => continue,
            };
            let before = run.clone();
            match run.apply(&event) {
                Ok(actions) => { check_invariants(&run, &actions); accepted.push(event); }
                Err(_) => prop_assert_eq!(&run, &before),
            }
        }
        let (mut again, _) = Run::new(plan);
        for event in &accepted {
            again.apply(event).unwrap();
        }
        prop_assert_eq!(&again, &run);
        for _ in 0..100 {
            let Some(stage) = run.stages().iter().find(|stage| !stage.state.has_ended() && stage.state != StageState::Waiting) else { break };
            let stage = stage.clone();
            epoch += 1;
            let event = if let StageState::Running { epoch, .. } = stage.state {
                Event::Ended { stage: stage.name, epoch, outcome: Outcome::Passed }
            } else {
                Event::Leased { stage: stage.name, epoch: Epoch(epoch) }
            };
            run.apply(&event).unwrap();
        }
        prop_assert!(run.state().has_ended(), "{:?}", run);
    }
}
