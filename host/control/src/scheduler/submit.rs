//! Triggers: a ref becomes a commit, its pipeline file is checked, the run is stored, and
//! only then acknowledged.

use super::active::{Active, Pipeline};
use super::{OPEN_RUNS_MAX, Scheduler, now};
use crate::definition::{BYTES_MAX, Checked, Diagnostic, FILE, LOCK_FILE, check, decode, read, read_lock, table};
use crate::git::{self, InvalidLocation, Location, Resolved};
use crate::store::rows::{EventRecord, PipelineRow, RunRow};
use crate::store::{CommitError, Submission, Submitted, Ticket, Write};
use sha2::{Digest as _, Sha256};
use slipway_domain::check::Situation;
use slipway_domain::grant::Tier;
use slipway_domain::run::{Action, Run};
use slipway_domain::{PipelineName, Revision, RunId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A wish for a run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// A branch, a tag or a commit.
    pub reference: String,
    /// Parameters for the stages.
    pub parameters: BTreeMap<String, String>,
    /// Who asks.
    pub triggered_by: String,
    /// The caller's key against triggering twice.
    pub idempotency_key: Option<String>,
    /// How far it is trusted at most.
    pub tier: Tier,
}

/// Why a run or a check was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such pipeline.
    #[error("there is no pipeline `{0}`")]
    UnknownPipeline(PipelineName),
    /// Its repository's address is none. It was checked when it was added.
    #[error(transparent)]
    Location(#[from] InvalidLocation),
    /// Git.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The commit has no pipeline file.
    #[error("commit `{revision}` has no `{FILE}`")]
    NoDefinition {
        /// The commit.
        revision: Revision,
    },
    /// The pipeline file is wrong.
    #[error("`{FILE}` of commit `{revision}` has {} in it", count(.diagnostics.len()))]
    Invalid {
        /// The commit.
        revision: Revision,
        /// What is wrong.
        diagnostics: Vec<Diagnostic>,
        /// The file.
        text: String,
    },
    /// The key was used for something else.
    #[error("this idempotency key was used for another request")]
    KeyUsed,
    /// Too many runs are open.
    #[error("{OPEN_RUNS_MAX} runs are open: no more are taken for now")]
    Full,
    /// The store.
    #[error("the run was not stored")]
    Store(#[from] CommitError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Read(#[from] sqlx::Error),
    /// The secrets of the pipeline cannot be masked.
    #[error(transparent)]
    Secrets(#[from] crate::secrets::Error),
    /// The plugins cannot be looked at.
    #[error(transparent)]
    Plugins(#[from] crate::plugins::Error),
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 mistake".to_owned() } else { format!("{problems} mistakes") }
}

/// What a check has found.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// The commit.
    pub resolved: Resolved,
    /// The pipeline, when nothing is wrong.
    pub pipeline: Arc<Pipeline>,
}

impl Scheduler {
    /// Checks a pipeline at a ref, as a trigger would.
    pub async fn check(&self, name: &PipelineName, reference: &str, tier: Tier) -> Result<CheckReport, Refused> {
        let row = self.store.pipeline(name.as_str()).await?.ok_or_else(|| Refused::UnknownPipeline(name.clone()))?;
        self.check_row(name, &row, reference, tier).await
    }

    async fn check_row(
        &self,
        name: &PipelineName,
        row: &PipelineRow,
        reference: &str,
        tier: Tier,
    ) -> Result<CheckReport, Refused> {
        let location = Location::parse(&row.repository)?;
        let resolved = self.git.resolve(&location, reference).await?;
        let pipeline = self.checked_pipeline(name, &location, &resolved, tier).await?;
        Ok(CheckReport { resolved, pipeline })
    }

    async fn checked_pipeline(
        &self,
        name: &PipelineName,
        location: &Location,
        resolved: &Resolved,
        tier: Tier,
    ) -> Result<Arc<Pipeline>, Refused> {
        let Resolved { revision, reference } = resolved;
        let asked = (format!("{name}\0{location}"), revision.clone(), tier, resolved.full_name());
        if let Some(known) = self.pipelines.checked(&asked) {
            return Ok(known);
        }
        self.git.fetch(location, revision).await?;
        let file = self.git.read(location, revision, FILE, BYTES_MAX as u64).await?;
        let Some(file) = file else { return Err(Refused::NoDefinition { revision: revision.clone() }) };
        // Now, when it can still be refused, and not by the first stage that looks.
        self.git.check_files(location, revision).await?;
        let text = decode(&file).map_err(|wrong| Refused::Invalid {
            revision: revision.clone(),
            diagnostics: vec![wrong.diagnostic],
            text: wrong.text,
        })?;
        let invalid = |diagnostics| Refused::Invalid { revision: revision.clone(), diagnostics, text: text.clone() };
        let (source, definition) = read(&text);
        let definition = definition.map_err(invalid)?;
        if definition.name != *name {
            let problem = slipway_domain::check::Problem {
                code: "wrong-name",
                place: slipway_domain::check::Place::of(&["name"]),
                message: format!("the file names pipeline `{}`, and this is pipeline `{name}`", definition.name),
                hint: Some(format!("write `name = \"{name}\"`, or add the repository as `{}`", definition.name)),
            };
            return Err(invalid(source.locate_all(&[problem])));
        }
        let pins = match self.git.read(location, revision, LOCK_FILE, BYTES_MAX as u64).await? {
            Some(file) => {
                let read = read_lock(&String::from_utf8_lossy(&file));
                Some(read.map_err(|problem| invalid(source.locate_all(&[problem])))?)
            }
            None => None,
        };
        let uses: Vec<_> = definition.stages.iter().map(|stage| stage.uses.clone()).collect();
        let catalog = self.plugins.catalog(&uses, &self.git, location, revision, pins).await?;
        let (operator, reference) = (Arc::clone(&self.operator), reference.clone());
        let secrets = self.secrets.set_of(name).await?;
        // Where computing is allowed: schemas and values are somebody else's.
        let checked = tokio::task::spawn_blocking(move || {
            let situation =
                Situation { operator: &operator, tier, reference: Some(&reference), secrets: Some(&secrets) };
            let checked = check(&source, &definition, &catalog, &situation)?;
            Ok((checked, table(&definition, &catalog, &operator)))
        });
        let (checked, table) = checked.await.map_err(|_| Refused::Store(CommitError::Closed))?.map_err(invalid)?;
        let pipeline = Arc::new(Pipeline { digest: digest(&text, &checked), text, checked, table });
        self.pipelines.keep(asked, &pipeline);
        Ok(pipeline)
    }

    /// Accepts a run. When this returns an id, the run is durable and will end.
    pub async fn submit(&self, request: RunRequest) -> Result<RunId, Refused> {
        let name = &request.pipeline;
        // A request that is made again gets its run, whatever has become of the ref since.
        if let Some(key) = &request.idempotency_key
            && let Some((id, hash)) = self.store.run_by_key(name.as_str(), key).await?
        {
            let same = hash.is_some_and(|hash| hash == request_hash(&request));
            return RunId::new(id).ok().filter(|_| same).ok_or(Refused::KeyUsed);
        }
        if self.lock().runs.len() >= OPEN_RUNS_MAX {
            return Err(Refused::Full);
        }
        let row = self.store.pipeline(name.as_str()).await?.ok_or_else(|| Refused::UnknownPipeline(name.clone()))?;
        let CheckReport { resolved, pipeline } = self.check_row(name, &row, &request.reference, request.tier).await?;
        self.secrets.know(name).await?;
        let accepted = Accepted::new(request, row.repository, &resolved, &pipeline);
        // In a task of its own: a caller that goes away in between must not leave a run that
        // is stored and that nobody drives.
        let scheduler = self.clone();
        let accept = tokio::spawn(async move { scheduler.accept(accepted).await });
        accept.await.unwrap_or(Err(Refused::Store(CommitError::Closed)))
    }

    pub(super) async fn accept(&self, Accepted { active, actions, rest }: Accepted) -> Result<RunId, Refused> {
        let id = active.id.clone();
        match self.store.submit(Submission { run: active.row.clone(), rest }).await? {
            Submitted::Before(before) => Ok(RunId::new(before).unwrap_or(id)),
            Submitted::KeyUsed => Err(Refused::KeyUsed),
            Submitted::New => {
                let mut inner = self.lock();
                if !active.run.state().has_ended() {
                    inner.runs.insert(id.clone(), active);
                    self.perform(&mut inner, &id, actions);
                }
                Ok(id)
            }
        }
    }

    /// From now on every pipeline is checked anew.
    pub fn forget_checks(&self) {
        self.pipelines.forget_checked();
    }

    /// Cancels a run. The ticket tells when that is durable.
    pub fn cancel(&self, id: &RunId, by: &str) -> Result<Ticket, slipway_domain::run::InvalidTransition> {
        let event = slipway_domain::run::Event::CancelRequested { by: by.to_owned() };
        let record = EventRecord::CancelRequested { by: by.to_owned() };
        let mut inner = self.lock();
        self.apply(&mut inner, id, &event, record, Vec::new(), None)?;
        // Behind it in the queue, and durable after it.
        Ok(self.store.commit(Vec::new()))
    }
}

/// A run that is about to begin, with its first actions and the rows that belong to it.
pub(super) struct Accepted {
    pub(super) active: Active,
    actions: Vec<Action>,
    rest: Vec<Write>,
}

impl Accepted {
    pub(super) fn new(request: RunRequest, repository: String, resolved: &Resolved, pipeline: &Arc<Pipeline>) -> Self {
        let id = new_id();
        let (run, actions) = Run::new(pipeline.plan(&resolved.reference));
        let row = RunRow {
            id: id.to_string(),
            pipeline: request.pipeline.to_string(),
            repository,
            reference: resolved.full_name(),
            revision: resolved.revision.to_string(),
            version: resolved.reference.version(),
            tier: request.tier.as_str().to_owned(),
            definition: pipeline.digest.clone(),
            triggered_by: request.triggered_by.clone(),
            parameters: request.parameters.clone(),
            request_hash: request.idempotency_key.is_some().then(|| request_hash(&request)),
            idempotency_key: request.idempotency_key,
            state: run.state().as_str().to_owned(),
            culprit: None,
            created_at: now(),
            started_at: None,
            ended_at: None,
        };
        let mut active = Active::new(id, run, row, Arc::clone(pipeline));
        let mut rest = vec![Write::Definition {
            digest: pipeline.digest.clone(),
            text: pipeline.text.clone(),
            facts: super::recover::facts_json(&pipeline.checked),
        }];
        rest.push(active.event(EventRecord::Accepted));
        rest.extend(active.rows().into_iter().filter(|write| !matches!(write, Write::Run(_))));
        if active.run.state().has_ended() {
            let state = active.run.state().as_str().to_owned();
            rest.push(active.event(EventRecord::RunEnded { state }));
        }
        Self { active, actions, rest }
    }
}

/// A new id of a run, which sorts after those made before.
pub(crate) fn new_id() -> RunId {
    RunId::new(ulid::Ulid::generate().to_string()).expect("a ULID has 26 characters of Crockford's base 32")
}

fn digest(text: &str, checked: &Checked) -> String {
    let mut hash = Sha256::new();
    hash.update(text.as_bytes());
    hash.update([0]);
    hash.update(super::recover::facts_json(checked).as_bytes());
    format!("sha256:{}", hex::encode(hash.finalize()))
}

fn request_hash(request: &RunRequest) -> String {
    let parameters = serde_json::to_string(&request.parameters).unwrap_or_default();
    let RunRequest { pipeline, reference, tier, .. } = request;
    hex::encode(Sha256::digest(format!("{pipeline}\0{reference}\0{parameters}\0{}", tier.as_str()).as_bytes()))
}
