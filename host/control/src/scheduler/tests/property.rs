//! Whatever workers do in whatever order, every run ends, and its events tell how.

use super::*;
use proptest::prelude::*;
use slipway_domain::run::{Loss, Run};
use slipway_protocol::outcome::{Failure, Unhappy};
use std::collections::BTreeSet;

const RUNS: usize = 3;
const WORKERS: usize = 3;

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    Connect { worker: usize, slots: u32 },
    Disconnect(usize),
    Drain(usize),
    Gone { worker: usize, loss: Loss },
    Silence,
    Log { worker: usize, which: usize },
    End { worker: usize, which: usize, outcome: Outcome },
    Cancel(usize),
    Restart,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let failed = Outcome { unhappy: Some(Unhappy::Failed(Failure::new("code", "it failed"))) };
    prop_oneof![
        6 => Just(Outcome { unhappy: None }),
        2 => Just(failed),
        1 => Just(Outcome { unhappy: Some(Unhappy::Cancelled) }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let loss = prop_oneof![Just(Loss::Death), Just(Loss::Innocent)];
    prop_oneof![
        8 => (0..WORKERS, 0..4_u32).prop_map(|(worker, slots)| Step::Connect { worker, slots }),
        2 => (0..WORKERS).prop_map(Step::Disconnect),
        1 => (0..WORKERS).prop_map(Step::Drain),
        2 => (0..WORKERS, loss).prop_map(|(worker, loss)| Step::Gone { worker, loss }),
        1 => Just(Step::Silence),
        4 => (0..WORKERS, 0..4_usize).prop_map(|(worker, which)| Step::Log { worker, which }),
        12 => (0..WORKERS, 0..4_usize, outcome())
            .prop_map(|(worker, which, outcome)| Step::End { worker, which, outcome }),
        1 => (0..RUNS).prop_map(Step::Cancel),
        1 => Just(Step::Restart),
    ]
}

/// A worker process: who it is, what it thinks it holds with the next frame of each, and its
/// connection.
#[derive(Default)]
struct Process {
    life: usize,
    held: Vec<(u64, u64)>,
    connection: Option<Worker>,
}

impl Process {
    fn name(&self, number: usize) -> String {
        format!("{number}.{}", self.life)
    }

    fn connect(&mut self, number: usize, slots: u32, server: &Server) {
        let epochs: Vec<u64> = self.held.iter().map(|(epoch, _)| *epoch).collect();
        let worker = server.worker(&self.name(number), slots, &epochs);
        self.held.retain(|(epoch, _)| worker.resumed.iter().any(|(resumed, _)| resumed == epoch));
        self.connection = Some(worker);
    }

    fn heed(&mut self) {
        for message in self.connection.iter_mut().flat_map(Worker::told) {
            match message {
                FromControl::Lease(lease) => self.held.push((lease.epoch, 1)),
                FromControl::Fenced { epoch } => self.held.retain(|(held, _)| *held != epoch),
                FromControl::Welcome { .. }
                | FromControl::Reply { .. }
                | FromControl::Stored { .. }
                | FromControl::Renewed { .. }
                | FromControl::Cancel { .. }
                | FromControl::Describe { .. } => {}
            }
        }
    }

    /// Says something under one of its leases, if it has any and is connected.
    fn say(&mut self, which: usize, body: Body) {
        self.heed();
        let Some(worker) = &self.connection else { return };
        let Some(place) = which.checked_rem(self.held.len()) else { return };
        let (epoch, seq) = self.held[place];
        let ends = matches!(body, Body::Ended { .. });
        match worker.frame(epoch, seq, body) {
            Taken::Done if ends => drop(self.held.remove(place)),
            Taken::Done => self.held[place].1 += 1,
            Taken::Fenced => drop(self.held.remove(place)),
            Taken::Act(..) | Taken::Answered(_) | Taken::Before { .. } => panic!("it is no call"),
        }
    }
}

/// No attempt is held twice, and each lease is known to the worker that has it.
fn check_leases(server: &Server) {
    let inner = server.scheduler.lock();
    let mut held = BTreeSet::new();
    for (epoch, lease) in &inner.leases {
        assert!(held.insert((&lease.run, &lease.stage)), "{}/{} is held twice", lease.run, lease.stage);
        let worker = inner.workers.get(&lease.worker);
        assert!(worker.is_some_and(|worker| worker.holds().contains(epoch)), "{epoch} is of a worker");
    }
    let known: usize = inner.workers.values().map(|worker| worker.holds().len()).sum();
    assert_eq!(known, inner.leases.len(), "no worker has what is no lease");
}

async fn happen(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path()).await;
    let mut runs = Vec::new();
    for text in [THREE, TWO_AND_ONE, ONE].iter().cycle().take(RUNS) {
        runs.push((server.run(text).await, *text));
    }
    let mut processes: [Process; WORKERS] = Default::default();
    for step in steps {
        match step {
            Step::Connect { worker, slots } => processes[worker].connect(worker, slots, &server),
            Step::Disconnect(worker) => {
                processes[worker].heed();
                processes[worker].connection = None;
                server.scheduler.worker_disconnected(&processes[worker].name(worker), 1);
            }
            Step::Drain(worker) => server.scheduler.worker_draining(&processes[worker].name(worker)),
            Step::Gone { worker, loss } => {
                server.scheduler.worker_gone(&processes[worker].name(worker), loss);
                processes[worker] = Process { life: processes[worker].life + 1, ..Process::default() };
            }
            Step::Silence => server.pass_time(Duration::from_secs(slipway_protocol::LEASE_TTL_SECONDS)).await,
            Step::Log { worker, which } => processes[worker].say(which, log("something")),
            Step::End { worker, which, outcome } => {
                processes[worker].say(which, Body::Ended { outcome, metering: Metering::default() });
            }
            Step::Cancel(run) => drop(server.scheduler.cancel(&runs[run].0, "me")),
            Step::Restart => {
                for process in &mut processes {
                    process.heed();
                    process.connection = None;
                }
                server.end().await;
                server = Server::start(folder.path()).await;
            }
        }
        check_leases(&server);
    }
    for (number, process) in processes.iter().enumerate() {
        server.scheduler.worker_gone(&process.name(number), Loss::Innocent);
    }
    // What a process of control before a restart had given to others than these.
    server.pass_time(Duration::from_secs(slipway_protocol::LEASE_TTL_SECONDS)).await;
    let mut last = Process::default();
    last.connect(WORKERS, 2, &server);
    while server.scheduler.load().0 > 0 {
        last.heed();
        assert!(!last.held.is_empty(), "runs are open and nothing is given away");
        last.say(0, passed());
        check_leases(&server);
    }
    assert_eq!(server.scheduler.load(), (0, 0, 0));
    server.durable().await;
    for (run, text) in runs {
        check_end(&server, &run, text).await;
    }
}

/// The run has ended, and its events, folded from the first, say the same.
async fn check_end(server: &Server, run: &RunId, text: &str) {
    let row = server.store.run(run.as_str()).await.unwrap().unwrap();
    let pipeline = accepted(text, request()).active.pipeline;
    let (mut folded, _) = Run::new(pipeline.plan(&Reference::Tag("v1".into())));
    let events = server.store.events(run.as_str(), 0).await.unwrap();
    for (at, (seq, _, record)) in events.iter().enumerate() {
        assert_eq!(*seq, at as u64 + 1, "events without gaps");
        if let Some(event) = record.event() {
            folded.apply(&event).unwrap();
        }
    }
    assert!(folded.state().has_ended(), "{:?}", folded.state());
    assert_eq!(folded.state().as_str(), row.state);
    assert!(row.ended_at.is_some());
    let stages = server.store.stages(run.as_str()).await.unwrap();
    for (stage, row) in folded.stages().iter().zip(stages) {
        assert_eq!((stage.state.as_str(), stage.name.as_str()), (row.state.as_str(), row.name.as_str()));
    }
}

/// Two stages at once, and one after them.
const TWO_AND_ONE: &str = r#"
    name = "p"
    [stages.build]
    uses = "build@1"
    [stages.test]
    uses = "test@1"
    [stages.deploy]
    uses = "deploy@1"
    needs = ["build", "test"]
"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_workers_do_every_run_ends(steps in proptest::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(happen(steps));
    }
}
