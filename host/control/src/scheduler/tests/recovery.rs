use super::*;
use slipway_protocol::{Call, Reply};
use std::collections::VecDeque;

#[tokio::test]
async fn an_epoch_is_never_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    let first = server.worker("dead", 1, &[]).lease().epoch;
    // As if the crash had swallowed the lease: nothing that is stored tells of it.
    server.store.try_commit(vec![]).await.unwrap();
    server.end().await;
    let server = Server::start(folder.path()).await;
    let second = server.worker("w", 1, &[]).lease().epoch;
    assert!(second >> 32 > first >> 32, "{first} {second}");
}

#[tokio::test]
async fn a_run_that_cannot_be_built_again_ends_as_errored_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let (broken, sound) = (server.run(THREE).await, server.run(ONE).await);
    server.end().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("slipway.db"));
    let mut database = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("UPDATE event SET record = 'nonsense' WHERE run = ?")
        .bind(broken.as_str())
        .execute(&mut database)
        .await
        .unwrap();
    sqlx::Connection::close(database).await.unwrap();

    let server = Server::start(folder.path()).await;
    let row = server.store.run(broken.as_str()).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.culprit.as_deref()), ("errored", Some("build")));
    assert!(server.store.stages(broken.as_str()).await.unwrap().iter().all(|stage| stage.ended_at.is_some()));
    let mut worker = server.worker("w", 4, &[]);
    let lease = worker.lease();
    assert_eq!(lease.run, sound.as_str());
    worker.pass(lease.epoch, 1);
    assert_eq!(server.state(&sound).await, "passed");
    server.end().await;
    let server = Server::start(folder.path()).await;
    assert_eq!(server.scheduler.load().0, 0, "it is taken up no more");
}

/// A worker that does the same under each lease: an entry of the log, an output, the end. It
/// does one thing a step, and says again what control has not stored when it comes back.
#[derive(Default)]
struct Script {
    held: Option<(Lease, u64)>,
    waiting: VecDeque<Lease>,
}

impl Script {
    /// Does the next thing. Returns whether there was one.
    fn step(&mut self, server: &Server, worker: &mut Worker) -> bool {
        self.waiting.extend(worker.leases());
        if self.held.is_none() {
            self.held = self.waiting.pop_front().map(|lease| (lease, 1));
        }
        let Some((lease, seq)) = &mut self.held else { return false };
        let body = match *seq {
            1 => log(&format!("{} {}", lease.stage, lease.phase)),
            2 => Body::Call { call: Call::SetOutput { name: lease.phase.clone(), value: lease.stage.clone() } },
            _ => passed(),
        };
        let ended = matches!(body, Body::Ended { .. });
        match worker.frame(lease.epoch, *seq, body) {
            Taken::Act(context, _call, _journalled) => {
                let write = Write::Output {
                    run: lease.run.clone(),
                    stage: lease.stage.clone(),
                    name: lease.phase.clone(),
                    epoch: lease.epoch,
                    value: lease.stage.clone(),
                };
                server.scheduler.reply(*context, Reply::Done, vec![write], |_| {});
            }
            Taken::Done | Taken::Answered(_) | Taken::Before { .. } => {}
            Taken::Fenced => panic!("the lease holds"),
        }
        *seq += 1;
        if ended {
            self.held = None;
        }
        true
    }

    fn holds(&self) -> Vec<u64> {
        self.held.iter().map(|(lease, _)| lease.epoch).chain(self.waiting.iter().map(|lease| lease.epoch)).collect()
    }
}

/// What is left of a run: its state, its outputs, its log, its events.
async fn remains(server: &Server, run: &RunId) -> (String, String, Vec<String>, usize) {
    let state = server.state(run).await;
    let outputs = format!("{:?}", server.store.outputs(run.as_str()).await.unwrap());
    let log = server.store.log(run.as_str(), None, 0, 1_000).await.unwrap().entries;
    let seqs: Vec<u64> = log.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "entries without gaps");
    let log = log.iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect();
    (state, outputs, log, server.store.events(run.as_str(), 0).await.unwrap().len())
}

/// Control is stopped after every number of steps, and goes on with what is stored; the
/// worker lives through it. What is left of the run is always the same.
#[tokio::test]
async fn control_may_stop_after_any_step_and_the_run_comes_out_the_same() {
    let mut whole = None;
    for stop_after in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::start(folder.path()).await;
        let run = server.run(THREE).await;
        let mut worker = server.worker("w", 1, &[]);
        let mut script = Script::default();
        let mut steps = 0;
        while script.step(&server, &mut worker) {
            steps += 1;
            if steps == stop_after {
                script.waiting.extend(worker.leases());
                server.end().await;
                server = Server::start(folder.path()).await;
                worker = server.worker("w", 1, &script.holds());
            }
        }
        let left = remains(&server, &run).await;
        assert_eq!(left.0, "passed", "stopped after {stop_after} of {steps} steps");
        assert_eq!(&left, whole.get_or_insert(left.clone()), "stopped after {stop_after} of {steps} steps");
        if steps < stop_after {
            assert_eq!(steps, 12, "four phases of three steps");
            break;
        }
    }
}

/// As above, but the worker ends with control, as an embedded one does: what it held is given
/// to another from the start, and what it had left is taken away.
#[tokio::test]
async fn control_and_worker_may_stop_after_any_step_and_nothing_is_recorded_twice() {
    for stop_after in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::start(folder.path()).await;
        let run = server.run(THREE).await;
        let mut worker = server.worker("dead", 1, &[]);
        let mut script = Script::default();
        let mut steps = 0;
        while script.step(&server, &mut worker) {
            steps += 1;
            if steps == stop_after {
                server.end().await;
                server = Server::start(folder.path()).await;
                worker = server.worker("w", 1, &[]);
                script = Script::default();
            }
        }
        let (state, outputs, _, _) = remains(&server, &run).await;
        assert_eq!(state, "passed", "stopped after {stop_after} of {steps} steps");
        assert_eq!(
            outputs,
            r#"{"build": {"build": "build"}, "deploy": {"apply": "deploy", "plan": "deploy"}, "test": {"test": "test"}}"#
        );
        if steps < stop_after {
            break;
        }
    }
}
