//! Taking up what an earlier process left: every open run is built again from its events.

use super::active::{Active, Left};
use super::leases::{Lease, Worker};
use super::{Scheduler, Times, now};
use crate::definition::{Checked, StageFacts, read};
use crate::store::rows::{EventRecord, RunRow, StageDetail};
use crate::store::{CommitError, Write};
use serde::{Deserialize, Serialize};
use slipway_domain::definition::Reference;
use slipway_domain::grant::host::HostRule;
use slipway_domain::grant::{Capability, Interface, Request};
use slipway_domain::outcome::{Fault, Unhappy};
use slipway_domain::plugin::{Kind, Plugin};
use slipway_domain::run::{Loss, Run};
use slipway_domain::stage::{End, Rollback, StageState};
use slipway_domain::{Digest, Epoch, PipelineName, RunId, StageName};
use slipway_protocol::lease::Artifact;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many bits of an epoch number the leases of one start: enough for thousands a second
/// through a week.
const EPOCHS_BITS: u32 = 32;

/// Why what is stored cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error("the store cannot be read")]
    Read(#[from] sqlx::Error),
    /// The store takes nothing.
    #[error("the store cannot be written")]
    Write(#[from] CommitError),
}

/// Why a run is not taken up.
enum Lost {
    /// The store cannot be read: nothing is known of the run.
    Read(sqlx::Error),
    /// What is stored of it does not fit together.
    Run(String),
}

impl From<sqlx::Error> for Lost {
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other error is the store's")]
    fn from(error: sqlx::Error) -> Self {
        match error {
            // A column that does not hold what it should is this run's trouble.
            sqlx::Error::ColumnDecode { index, source } => Self::Run(format!("its `{index}` cannot be read: {source}")),
            other => Self::Read(other),
        }
    }
}

impl Scheduler {
    /// Takes up every open run. `is_dead` tells of a worker whether it ended with the
    /// earlier process: what such a one held is given to others at once, the rest when its
    /// lease runs out. A run that cannot be built again ends as errored. Returns how many runs
    /// were taken up.
    pub async fn recover(&self, is_dead: impl Fn(&str) -> bool) -> Result<usize, Error> {
        let start = self.store.last_start().await? + 1;
        // Durable before the first epoch of this start is given.
        self.store.try_commit(vec![Write::Start { number: start, at: now() }]).await?;
        let mut taken = Vec::new();
        for row in self.store.open_runs().await? {
            if let Ok(pipeline) = PipelineName::new(row.pipeline.as_str())
                && let Err(error) = self.secrets.know(&pipeline).await
            {
                self.give_up(row, &error.to_string()).await?;
                continue;
            }
            match self.rebuild(row.clone()).await {
                Ok(active) => taken.push(active),
                Err(Lost::Read(error)) => return Err(error.into()),
                Err(Lost::Run(why)) => self.give_up(row, &why).await?,
            }
        }
        let mut inner = self.lock();
        inner.last_epoch = start << EPOCHS_BITS;
        let count = taken.len();
        let mut dead = Vec::new();
        for active in taken {
            let id = active.id.clone();
            let mut queued = Vec::new();
            for stage in active.run.stages() {
                match &stage.state {
                    StageState::Queued(_) => queued.push(stage.name.clone()),
                    StageState::Running { epoch: Epoch(epoch), attempt: held } => {
                        let Some(attempt) = active.attempts.get(&stage.name) else { continue };
                        let timeout = active.pipeline.stage(&stage.name).map_or_else(Default::default, |it| it.timeout);
                        let (stage, worker) = (stage.name.clone(), attempt.worker.clone());
                        let lease = Lease::new(id.clone(), stage, worker, timeout, attempt.stored_seq);
                        inner.leases.insert(*epoch, lease);
                        if is_dead(&attempt.worker) {
                            dead.push(*epoch);
                        } else {
                            let worker = inner.workers.entry(attempt.worker.clone()).or_insert_with(Worker::absent);
                            worker.hold(*epoch, held.deaths > 0);
                        }
                    }
                    StageState::Waiting | StageState::Ended(_) => {}
                }
            }
            inner.runs.insert(id.clone(), active);
            for stage in queued {
                inner.queue(&id, stage);
            }
        }
        for epoch in dead {
            self.lose(&mut inner, epoch, Loss::Innocent);
        }
        Ok(count)
    }

    /// Ends a run that cannot be built again, so that it is neither open for ever nor in the
    /// way of the others.
    async fn give_up(&self, mut row: RunRow, why: &str) -> Result<(), Error> {
        tracing::error!(run.id = row.id, why, "a run cannot be taken up: it ends as errored");
        let fault = Fault::Host {
            message: format!(
                "the run could not be taken up after a restart: {why}; what it has deployed stays as it is"
            ),
        };
        let end = End::unhappy(Unhappy::Errored(fault), Rollback::NotNeeded);
        let mut writes = Vec::new();
        for mut stage in self.store.stages(&row.id).await? {
            if stage.ended_at.is_none() {
                row.culprit.get_or_insert_with(|| stage.name.clone());
                end.as_str().clone_into(&mut stage.state);
                stage.detail = StageDetail::from(&end);
                stage.ended_at = Some(now());
                writes.push(Write::Stage(stage));
            }
        }
        end.as_str().clone_into(&mut row.state);
        row.ended_at = Some(now());
        let seq = self.store.last_event(&row.id).await? + 1;
        let record = EventRecord::RunEnded { state: row.state.clone() };
        writes.push(Write::Event { run: row.id.clone(), seq, at: now(), record });
        writes.push(Write::CandidatesRejected { run: row.id.clone(), at: now() });
        writes.push(Write::Run(row));
        Ok(self.store.try_commit(writes).await?)
    }

    async fn rebuild(&self, row: RunRow) -> Result<Active, Lost> {
        let wrong = Lost::Run;
        let id = RunId::new(row.id.clone()).map_err(|error| wrong(error.to_string()))?;
        let pipeline = self.pipeline(&row.definition).await?;
        let pipeline = pipeline.ok_or_else(|| wrong("its definition cannot be read".into()))?;
        let (mut run, _) = Run::new(pipeline.plan(&reference(&row.reference)));
        let mut last_event = 0;
        for (seq, _, record) in self.store.events(&row.id, 0).await? {
            last_event = seq;
            if let Some(event) = record.event() {
                run.apply(&event).map_err(|error| wrong(format!("event {seq} does not apply: {error}")))?;
            }
        }
        let last_log_entry = self.store.last_log_entry(&row.id).await?;
        let mut active = Active { last_event, last_log_entry, ..Active::new(id, run, row, pipeline) };
        for stage in self.store.stages(&active.row.id).await? {
            if let Ok(name) = StageName::new(stage.name) {
                active.times.insert(name, Times { started_at: stage.started_at, ended_at: stage.ended_at });
            }
        }
        for attempt in self.store.attempts(&active.row.id).await? {
            if let Ok(name) = StageName::new(attempt.stage.clone()) {
                active.attempts.insert(name, attempt);
            }
        }
        self.rebuild_left(&mut active).await?;
        Ok(active)
    }

    async fn rebuild_left(&self, active: &mut Active) -> Result<(), Lost> {
        let id = active.row.id.clone();
        let mut left: BTreeMap<String, Left> = BTreeMap::new();
        for row in self.store.artifacts(&id).await? {
            let artifact = Artifact { name: row.name, digest: row.digest, size: row.size, media_type: row.media_type };
            left.entry(row.stage).or_default().artifacts.push((row.epoch, artifact));
        }
        for (stage, name, epoch, value) in self.store.outputs_with_epochs(&id).await? {
            left.entry(stage).or_default().outputs.insert(name, (epoch, value));
        }
        for (stage, epoch, count) in self.store.report_counts(&id).await? {
            left.entry(stage).or_default().reports.entry(epoch).or_default().count += count;
        }
        active.left =
            left.into_iter().filter_map(|(stage, left)| Some((StageName::new(stage).ok()?, Arc::new(left)))).collect();
        Ok(())
    }
}

/// The ref that a stored name stands for.
fn reference(name: &str) -> Reference {
    if let Some(tag) = name.strip_prefix("refs/tags/") {
        return Reference::Tag(tag.to_owned());
    }
    name.strip_prefix("refs/heads/").map_or(Reference::Revision, |branch| Reference::Branch(branch.to_owned()))
}

/// The facts of a stage, as stored.
#[derive(Serialize, Deserialize)]
struct StoredFacts {
    plugin: String,
    version: String,
    digest: String,
    kind: String,
    imports: Vec<String>,
    requests: Vec<StoredRequest>,
    grants: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
struct StoredRequest {
    interface: String,
    names: Vec<String>,
    #[serde(default)]
    network: Vec<String>,
    #[serde(default)]
    read: bool,
    why: String,
}

/// What a check found, as JSON.
pub(super) fn facts_json(checked: &Checked) -> String {
    let facts: BTreeMap<&str, StoredFacts> = checked
        .stages
        .iter()
        .map(|(name, facts)| {
            let StageFacts { plugin, digest, grants } = facts;
            let requests = plugin.requests.iter().map(|request| StoredRequest {
                interface: request.interface.to_string(),
                names: request.names.clone(),
                network: request.network.iter().map(ToString::to_string).collect(),
                read: request.read,
                why: request.why.clone(),
            });
            let stored = StoredFacts {
                plugin: plugin.name.clone(),
                version: plugin.version.clone(),
                digest: digest.to_string(),
                kind: plugin.kind.to_string(),
                imports: plugin.imports.iter().map(ToString::to_string).collect(),
                requests: requests.collect(),
                grants: grants
                    .iter()
                    .map(|capability| (capability.interface().to_string(), capability.text()))
                    .collect(),
            };
            (name.as_str(), stored)
        })
        .collect();
    serde_json::to_string(&facts).unwrap_or_default()
}

/// A checked definition from what is stored of it.
pub(super) fn checked(text: &str, facts: &str) -> Option<Checked> {
    let definition = read(text).1.ok()?;
    let facts: BTreeMap<String, StoredFacts> = serde_json::from_str(facts).ok()?;
    let stages = facts.into_iter().map(|(name, facts)| {
        let requests = facts.requests.into_iter().filter_map(|request| {
            let StoredRequest { interface, names, network, read, why } = request;
            let network = network.iter().filter_map(|rule| HostRule::parse(rule).ok()).collect();
            Some(Request { interface: Interface::parse(&interface)?, names, network, read, why })
        });
        let grants =
            facts.grants.iter().filter_map(|(interface, text)| Capability::parse(Interface::parse(interface)?, text));
        let plugin = Plugin {
            name: facts.plugin,
            version: facts.version,
            kind: Kind::parse(&facts.kind)?,
            imports: facts.imports.iter().filter_map(|interface| Interface::parse(interface)).collect(),
            requests: requests.collect(),
        };
        let digest = Digest::new(facts.digest).ok()?;
        Some((StageName::new(name).ok()?, StageFacts { plugin, digest, grants: grants.collect() }))
    });
    Some(Checked { definition, stages: stages.collect::<Option<_>>()? })
}
