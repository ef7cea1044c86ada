//! The state of the fake, and its answers.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use tempfile::TempDir;

use super::apps::Apps;
use super::artifacts::{Writing, below, is_key, too_large};
use super::http::{Draft, GivenSecret, Launch, SentRequest, Server};
use super::script::{Running, Script};
use super::{Change, LogEntry, StepRecord};
use crate::Failure;
use crate::apps::{Health, Release};
use crate::artifacts::{Artifact, BYTES_MAX};
use crate::host::{Host, LaunchDraft, RequestDraft, RunningProcess, RunningStep, SecretHandle, WritingArtifact};
use crate::log::Level;
use crate::reports::TestCase;
use crate::tools::Command;

const OUTPUT_BYTES_MAX: usize = 64 * 1024;
const OUTPUTS_MAX: usize = 256;
const CASES_MAX: usize = 100_000;

/// What a fake program is made of.
type Program = Rc<dyn Fn(&Command) -> Script>;

/// What the stage is told about its call.
pub(super) struct Facts {
    pub(super) config: String,
    pub(super) stage: String,
    pub(super) attempt: u32,
    pub(super) reference: String,
    pub(super) version: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) remaining: Duration,
    pub(super) cancelled: bool,
}

/// An earlier stage.
#[derive(Default)]
pub(super) struct Input {
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) artifacts: Vec<Artifact>,
}

/// Which export is being called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// `build`, `test`, `apply` or `rollback`.
    Act,
    /// `plan`.
    Plan,
}

/// Everything the fake knows. Each part has a cell of its own, because a fake program's
/// script may call the SDK while a call is under way.
pub(super) struct State {
    itself: Weak<Self>,
    pub(super) folder: TempDir,
    pub(super) facts: RefCell<Facts>,
    pub(super) phase: Cell<Phase>,
    granted: RefCell<BTreeSet<(String, String)>>,
    withdrawn: RefCell<BTreeSet<(String, String)>>,
    pub(super) inputs: RefCell<BTreeMap<String, Input>>,
    pub(super) outputs: RefCell<BTreeMap<String, String>>,
    pub(super) log: RefCell<Vec<LogEntry>>,
    pub(super) steps: RefCell<Vec<StepRecord>>,
    pub(super) artifacts: RefCell<Vec<Artifact>>,
    pub(super) writers: Cell<usize>,
    pub(super) blobs: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(super) tools: RefCell<BTreeMap<String, BTreeMap<String, Program>>>,
    pub(super) commands: RefCell<Vec<Command>>,
    pub(super) cases: RefCell<Vec<TestCase>>,
    pub(super) case_batches: Cell<usize>,
    pub(super) changes: RefCell<Vec<Change>>,
    pub(super) secrets: RefCell<BTreeSet<String>>,
    /// Those of which the stage may see the value.
    pub(super) values: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(super) given: RefCell<Vec<GivenSecret>>,
    pub(super) servers: RefCell<Vec<(String, Server)>>,
    pub(super) requests: RefCell<Vec<SentRequest>>,
    pub(super) apps: RefCell<Apps>,
}

impl State {
    pub(super) fn new() -> Rc<Self> {
        let folder = TempDir::new().expect("a folder for temporary files should be writable");
        for name in ["work", "inputs"] {
            std::fs::create_dir(folder.path().join(name)).expect("a new folder is empty");
        }
        Rc::new_cyclic(|itself| Self {
            itself: itself.clone(),
            folder,
            facts: RefCell::new(Facts {
                config: "{}".into(),
                stage: "stage".into(),
                attempt: 1,
                reference: "refs/heads/main".into(),
                version: None,
                environment: None,
                parameters: BTreeMap::new(),
                remaining: Duration::from_secs(3600),
                cancelled: false,
            }),
            phase: Cell::new(Phase::Act),
            granted: RefCell::default(),
            withdrawn: RefCell::default(),
            inputs: RefCell::default(),
            outputs: RefCell::default(),
            log: RefCell::default(),
            steps: RefCell::default(),
            artifacts: RefCell::default(),
            writers: Cell::default(),
            blobs: RefCell::default(),
            tools: RefCell::default(),
            commands: RefCell::default(),
            cases: RefCell::default(),
            case_batches: Cell::new(0),
            changes: RefCell::default(),
            secrets: RefCell::default(),
            values: RefCell::default(),
            given: RefCell::default(),
            servers: RefCell::default(),
            requests: RefCell::default(),
            apps: RefCell::new(Apps::new()),
        })
    }

    pub(super) fn grant(&self, interface: &str, name: &str) {
        self.granted.borrow_mut().insert((interface.into(), name.into()));
    }

    pub(super) fn withdraw(&self, interface: &str, name: &str) {
        self.withdrawn.borrow_mut().insert((interface.into(), name.into()));
    }

    pub(super) fn is_withdrawn(&self, interface: &str, name: &str) -> bool {
        self.withdrawn.borrow().contains(&(interface.into(), name.into()))
    }

    /// Refuses what was not granted, or is not any more.
    fn check_grant(&self, interface: &str, name: &str) -> Result<(), Failure> {
        let key = (interface.to_owned(), name.to_owned());
        if self.granted.borrow().contains(&key) && !self.withdrawn.borrow().contains(&key) {
            return Ok(());
        }
        Err(refusal("not-granted", &format!("this stage was not granted {interface} `{name}`")))
    }

    /// Refuses a request that no grant takes in: grants of the fake are a method and how a URL begins.
    pub(super) fn check_request(&self, request: &SentRequest) -> Result<(), Failure> {
        let takes = |(interface, rule): &(String, String)| {
            let (method, start) = rule.split_once(' ').unwrap_or(("*", rule));
            interface == "http" && (method == "*" || method == request.method) && request.url.starts_with(start)
        };
        let withdrawn = self.withdrawn.borrow();
        if self.granted.borrow().iter().any(|grant| takes(grant) && !withdrawn.contains(grant)) {
            return Ok(());
        }
        let SentRequest { method, url, .. } = request;
        Err(refusal("not-granted", &format!("this stage was not granted requests `{method} {url}`")))
    }

    /// Refuses what only `plan` may do, or what `plan` may not.
    pub(super) fn check_phase(&self, phase: Phase, what: &str) -> Result<(), Failure> {
        if self.phase.get() == phase {
            return Ok(());
        }
        Err(refusal("not-in-this-phase", &format!("`{what}` cannot be called in this phase")))
    }

    fn program(&self, command: &Command) -> Result<Program, Failure> {
        self.check_grant("tools", &command.tool)?;
        let tools = self.tools.borrow();
        let programs = tools
            .get(&command.tool)
            .ok_or_else(|| refusal("unknown-tool", &format!("there is no tool `{}`", command.tool)))?;
        let program = programs.get(&command.program).ok_or_else(|| {
            let message = format!("tool `{}` has no program `{}`", command.tool, command.program);
            refusal("unknown-program", &message)
        })?;
        let directory = below(&self.workspace(), &command.directory);
        if !directory.is_some_and(|directory| directory.is_dir()) {
            let message = format!("`{}` is no folder of the workspace", command.directory);
            return Err(refusal("invalid-directory", &message));
        }
        Ok(Rc::clone(program))
    }
}

impl Host for State {
    fn run_id(&self) -> String {
        "01JRUN000000000000000000".into()
    }

    fn run_pipeline(&self) -> String {
        "sample".into()
    }

    fn run_stage(&self) -> String {
        self.facts.borrow().stage.clone()
    }

    fn run_attempt(&self) -> u32 {
        self.facts.borrow().attempt
    }

    fn run_revision(&self) -> String {
        "0123456789abcdef0123456789abcdef01234567".into()
    }

    fn run_reference(&self) -> String {
        self.facts.borrow().reference.clone()
    }

    fn run_version(&self) -> Option<String> {
        self.facts.borrow().version.clone()
    }

    fn run_environment(&self) -> Option<String> {
        self.facts.borrow().environment.clone()
    }

    fn run_config(&self) -> String {
        self.facts.borrow().config.clone()
    }

    fn run_parameter(&self, name: &str) -> Option<String> {
        self.facts.borrow().parameters.get(name).cloned()
    }

    fn run_set_output(&self, name: &str, value: &str) -> Result<(), Failure> {
        if !is_key(name) {
            return Err(refusal("invalid-name", &format!("`{name}` cannot name an output")));
        }
        if value.len() > OUTPUT_BYTES_MAX {
            return Err(refusal("too-large", &format!("output `{name}` is over 64 KiB")));
        }
        let mut outputs = self.outputs.borrow_mut();
        if outputs.len() >= OUTPUTS_MAX && !outputs.contains_key(name) {
            return Err(refusal("too-many", "a stage has at most 256 outputs"));
        }
        outputs.insert(name.into(), value.into());
        Ok(())
    }

    fn run_inputs(&self) -> Vec<String> {
        self.inputs.borrow().keys().cloned().collect()
    }

    fn run_input(&self, stage: &str, name: &str) -> Result<Option<String>, Failure> {
        if stage == self.run_stage() {
            return Ok(self.outputs.borrow().get(name).cloned());
        }
        let inputs = self.inputs.borrow();
        let input = inputs.get(stage).ok_or_else(|| not_an_input(stage))?;
        Ok(input.outputs.get(name).cloned())
    }

    fn run_remaining_ms(&self) -> u64 {
        u64::try_from(self.facts.borrow().remaining.as_millis()).unwrap_or(u64::MAX)
    }

    fn run_cancelled(&self) -> bool {
        self.facts.borrow().cancelled
    }

    fn log_write(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let entry = LogEntry { level, message: message.into(), fields: fields.to_vec() };
        self.log.borrow_mut().push(entry);
    }

    fn log_step(&self, name: &str) -> Box<dyn RunningStep> {
        let mut steps = self.steps.borrow_mut();
        steps.push(StepRecord { name: name.into(), ..StepRecord::default() });
        Box::new(Step { state: self.itself.clone(), index: steps.len() - 1 })
    }

    fn artifacts_put(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<Artifact, Failure> {
        too_large(bytes)?;
        self.store(name, media_type, bytes)
    }

    fn artifacts_put_file(&self, name: &str, media_type: &str, path: &str) -> Result<Artifact, Failure> {
        self.check_artifact(name, media_type)?;
        let bytes = below(&self.workspace(), path).and_then(|path| std::fs::read(path).ok());
        let bytes = bytes.ok_or_else(|| refusal("no-such-file", &format!("the workspace has no `{path}`")))?;
        self.store(name, media_type, &bytes)
    }

    fn artifacts_create(&self, name: &str, media_type: &str) -> Result<Box<dyn WritingArtifact>, Failure> {
        self.check_artifact(name, media_type)?;
        self.check_writers()?;
        Ok(Box::new(Writing {
            state: self.itself.upgrade().expect("a call comes through the fake"),
            name: name.into(),
            media_type: media_type.into(),
            bytes: RefCell::default(),
        }))
    }

    fn artifacts_inputs(&self, stage: &str) -> Result<Vec<Artifact>, Failure> {
        if stage == self.run_stage() {
            return Ok(self.artifacts.borrow().clone());
        }
        let inputs = self.inputs.borrow();
        Ok(inputs.get(stage).ok_or_else(|| not_an_input(stage))?.artifacts.clone())
    }

    fn artifacts_read(&self, digest: &str, offset: u64, length: u32) -> Result<Vec<u8>, Failure> {
        if length as usize > BYTES_MAX {
            return Err(refusal("too-large", "one call carries at most 4 MiB"));
        }
        let bytes = self.readable(digest)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(bytes.into_iter().skip(offset).take(length as usize).collect())
    }

    fn tools_start(&self, command: &Command) -> Result<Box<dyn RunningProcess>, Failure> {
        let program = self.program(command)?;
        self.commands.borrow_mut().push(command.clone());
        let script = program(command);
        match script.refused.clone() {
            Some(failure) => Err(failure),
            None => Ok(Box::new(Running::new(script))),
        }
    }

    fn reports_test_cases(&self, cases: &[TestCase]) -> Result<(), Failure> {
        let mut all = self.cases.borrow_mut();
        if all.len() + cases.len() > CASES_MAX {
            return Err(refusal("too-many", "a stage reports at most 100,000 tests"));
        }
        all.extend_from_slice(cases);
        self.case_batches.set(self.case_batches.get() + 1);
        Ok(())
    }

    fn reports_change(
        &self,
        action: &str,
        object: &str,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Result<(), Failure> {
        self.check_phase(Phase::Plan, "reports.change")?;
        self.changes.borrow_mut().push(Change {
            action: action.into(),
            object: object.into(),
            before: before.map(Into::into),
            after: after.map(Into::into),
        });
        Ok(())
    }

    fn secrets_open(&self, name: &str) -> Result<Box<dyn SecretHandle>, Failure> {
        self.check_grant("secrets", name)?;
        if !self.secrets.borrow().contains(name) {
            return Err(refusal("unknown-secret", &format!("there is no secret `{name}`")));
        }
        Ok(Box::new(Secret { state: self.itself.clone(), name: name.into() }))
    }

    fn tools_launch(&self, command: &Command) -> Box<dyn LaunchDraft> {
        Box::new(Launch { state: self.itself.clone(), command: command.clone(), secrets: RefCell::default() })
    }

    fn http_request(&self, method: &str, url: &str) -> Box<dyn RequestDraft> {
        Box::new(Draft::new(self.itself.clone(), method, url))
    }

    fn apps_current(&self, app: &str) -> Result<Option<Release>, Failure> {
        self.check_grant("apps", app)?;
        Ok(self.apps.borrow().current(app))
    }

    fn apps_release(&self, app: &str, digest: &str) -> Result<Release, Failure> {
        self.check_grant("apps", app)?;
        self.check_phase(Phase::Act, "apps.release")?;
        let inputs = self.inputs.borrow();
        let artifact = inputs
            .values()
            .flat_map(|input| &input.artifacts)
            .find(|artifact| artifact.digest == digest)
            .ok_or_else(|| refusal("unknown-artifact", &format!("`{digest}` is none of the inputs")))?;
        if artifact.media_type != "application/wasm" {
            return Err(refusal("not-an-app", &format!("`{}` is no component", artifact.name)));
        }
        let version = self.run_version().unwrap_or_else(|| self.run_revision());
        Ok(self.apps.borrow_mut().release(app, &version, digest))
    }

    fn apps_health(&self, release: &str, path: &str, within_ms: u32) -> Result<Health, Failure> {
        let (found, answer) = self.apps.borrow_mut().ask(release, path, within_ms)?;
        let health = answer(&found, path);
        self.apps.borrow_mut().answered(release, health.healthy);
        Ok(health)
    }

    fn apps_switch(&self, release: &str) -> Result<(), Failure> {
        self.check_phase(Phase::Act, "apps.switch")?;
        if let Some(app) = self.apps.borrow().app_of(release) {
            self.check_grant("apps", &app)?;
        }
        self.apps.borrow_mut().switch(release)
    }

    fn apps_restore(&self, app: &str) -> Result<Option<Release>, Failure> {
        self.check_grant("apps", app)?;
        self.check_phase(Phase::Act, "apps.restore")?;
        Ok(self.apps.borrow_mut().restore(app))
    }

    fn apps_address(&self, app: &str) -> Result<String, Failure> {
        self.check_grant("apps", app)?;
        Ok(format!("http://{app}.localhost/"))
    }

    fn workspace(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn inputs(&self) -> PathBuf {
        self.folder.path().join("inputs")
    }
}

/// A step under way.
struct Step {
    state: Weak<State>,
    index: usize,
}

impl Step {
    fn change(&self, change: impl FnOnce(&mut StepRecord)) {
        let Some(state) = self.state.upgrade() else { return };
        if let Some(record) = state.steps.borrow_mut().get_mut(self.index) {
            change(record);
        }
    }
}

impl RunningStep for Step {
    fn progress(&self, done: u64, total: Option<u64>) {
        self.change(|record| record.progress = Some((done, total)));
    }

    fn fail(&self, message: &str) {
        self.change(|record| record.failed = Some(message.into()));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.change(|record| record.ended = true);
    }
}

struct Secret {
    state: Weak<State>,
    name: String,
}

impl SecretHandle for Secret {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn read(&self) -> Result<Vec<u8>, Failure> {
        let state = self.state.upgrade().ok_or_else(|| refusal("host", "the fake is gone"))?;
        state.check_grant("secrets", &format!("{} read", self.name))?;
        Ok(state.values.borrow().get(&self.name).cloned().unwrap_or_default())
    }
}

/// Makes a failure as the host tells it.
pub(super) fn refusal(code: &str, message: &str) -> Failure {
    Failure::new(code, message)
}

fn not_an_input(stage: &str) -> Failure {
    refusal("not-an-input", &format!("this stage does not need stage `{stage}`"))
}

/// Writes a file and the folders above it.
pub(super) fn write_file(root: &Path, path: &str, bytes: &[u8]) {
    let path = below(root, path).expect("a test's file should lie in the workspace");
    let parent = path.parent().expect("a file lies in a folder");
    std::fs::create_dir_all(parent).expect("the fake's folder is writable");
    std::fs::write(&path, bytes).expect("the fake's folder is writable");
}
