//! Buildbot: a master with a worker in the same process, triggered by its change hook.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::Peered;
use crate::bench::Bench;
use crate::bench::statistics::{median, millis};
use crate::env::Env;
use crate::group::Group;
use crate::slipway::http::Client;
use crate::ui::{Mark, Step};
use crate::{interrupt, process};

const VERSION: &str = "4.3.0";

/// How often it is run before it counts, and then.
const RUNS: (usize, usize) = (1, 9);

/// How long it may take to start.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long one build may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How long the installation may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How often it is asked. More often would keep it from its work: it has one thread.
const PACE: Duration = Duration::from_millis(20);

/// Installs it where it is missing, and measures it.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Peered> {
    let programs = ensure(bench.env)?;
    let step = Step::new("run three steps with Buildbot");
    let master = Master::start(bench, &programs)?;
    let mut times = Vec::new();
    for number in 1..=RUNS.0 + RUNS.1 {
        let time = master.build(number)?;
        if number > RUNS.0 {
            times.push(millis(time));
            step.detail(&format!("{} of {}", times.len(), RUNS.1));
        }
    }
    step.end(Mark::Good, &format!("{} runs", times.len()));
    Ok(Peered { median_ms: median(&times), runs: times.len() })
}

/// A build, as Buildbot tells it.
#[derive(Debug, Deserialize)]
struct Build {
    complete: bool,
    results: Option<u32>,
}

#[derive(Deserialize)]
struct Builds {
    builds: Vec<Build>,
}

/// A Buildbot that runs.
struct Master {
    group: Group,
    client: Client,
    address: String,
    log: PathBuf,
}

impl Master {
    fn start(bench: &Bench<'_>, programs: &Path) -> Result<Self> {
        let folder = bench.home("buildbot")?;
        let mut create = buildbot(bench.env, programs, &folder);
        create.args(["create-master", "--quiet", "."]);
        process::ask(create).context("Buildbot cannot be set up")?;
        let port = free_port()?;
        std::fs::write(folder.join("master.cfg"), configuration(port))?;

        let log = folder.join("output.log");
        let output = File::create(&log)?;
        let mut command = buildbot(bench.env, programs, &folder);
        command.args(["start", "--nodaemon", "."]).stdin(Stdio::null());
        command.stdout(output.try_clone()?).stderr(output);
        let group = Group::start("Buildbot", command)?;
        let mut master = Self { group, client: Client::new(), address: format!("http://127.0.0.1:{port}"), log };
        let began = Instant::now();
        // Its listener opens when all else is there.
        while master.find(1).is_err() {
            if master.group.ended()?.is_some() || began.elapsed() > START_LIMIT {
                bail!("Buildbot does not start: {}", master.last_line());
            }
            interrupt::pause(PACE)?;
        }
        Ok(master)
    }

    /// Triggers the build of this number and waits for its end.
    fn build(&self, number: usize) -> Result<Duration> {
        let body = format!("author=bench&comments=noop&branch=main&revision={number}&files=[]");
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let began = Instant::now();
        let answer = self.client.send("POST", &format!("{}/change_hook/base", self.address), &headers, Some(&body))?;
        if answer.status != 200 {
            bail!("Buildbot did not take a change: {} {}", answer.status, answer.body);
        }
        while began.elapsed() < LIMIT {
            match self.find(number)? {
                Some(Build { complete: true, results: Some(0) }) => return Ok(began.elapsed()),
                Some(Build { complete: true, results }) => bail!("a build of Buildbot ended with {results:?}"),
                Some(_) | None => interrupt::pause(PACE)?,
            }
        }
        bail!("Buildbot did not end a build within {} s: {}", LIMIT.as_secs(), self.last_line())
    }

    fn find(&self, number: usize) -> Result<Option<Build>> {
        let answer = self.client.send("GET", &format!("{}/api/v2/builds/{number}", self.address), &[], None)?;
        match answer.status {
            200 => {
                let found: Builds = serde_json::from_str(&answer.body).context("cannot read what Buildbot says")?;
                Ok(found.builds.into_iter().next())
            }
            404 => Ok(None),
            status => bail!("Buildbot answered {status}: {}", answer.body),
        }
    }

    fn last_line(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing").to_owned()
    }
}

fn configuration(port: u16) -> String {
    format!(
        r#"from buildbot.plugins import schedulers, steps, util, worker

factory = util.BuildFactory([steps.ShellCommand(command=["true"]) for _ in range(3)])
BuildmasterConfig = {{
    "workers": [worker.LocalWorker("local")],
    "builders": [util.BuilderConfig(name="noop", workernames=["local"], factory=factory)],
    "schedulers": [schedulers.AnyBranchScheduler(name="all", treeStableTimer=None, builderNames=["noop"])],
    "protocols": {{"null": {{}}}},
    "db": {{"db_url": "sqlite:///state.sqlite"}},
    "www": {{"port": "tcp:{port}:interface=127.0.0.1", "change_hook_dialects": {{"base": True}}}},
    "buildbotNetUsageData": None,
}}
"#
    )
}

/// A port that is free now. Buildbot cannot be told to take any.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("there is no free port")?;
    Ok(listener.local_addr()?.port())
}

fn buildbot(env: &Env, programs: &Path, folder: &Path) -> Command {
    let mut command = env.command(programs.join("buildbot"));
    command.current_dir(folder);
    command
}

/// Makes sure of it, and returns the folder of its programs.
fn ensure(env: &Env) -> Result<PathBuf> {
    let folder = env.tools().join(format!("buildbot-{VERSION}"));
    let programs = folder.join("bin");
    let mut version = env.command(programs.join("buildbot"));
    version.arg("--version");
    if process::works(version) {
        return Ok(programs);
    }
    let step = Step::new("install Buildbot");
    let mut environment = env.command("python3");
    environment.args(["-m", "venv"]).arg(&folder);
    let mut packages = env.command(programs.join("pip"));
    packages
        .arg("install")
        .args(["buildbot", "buildbot-worker", "buildbot-www"].map(|name| format!("{name}=={VERSION}")));
    for command in [environment, packages] {
        let told = process::follow(command, Some(INSTALL_LIMIT), |line| step.detail(line));
        let told = told.context("Buildbot is installed with Python, which is not here")?;
        if !told.is_success() {
            bail!("Buildbot cannot be installed: {}", told.reason());
        }
    }
    step.done();
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_read_while_it_goes_on() {
        let found: Builds =
            serde_json::from_str(r#"{"builds":[{"buildid":1,"complete":false,"results":null}],"meta":{}}"#).unwrap();
        assert!(!found.builds[0].complete && found.builds[0].results.is_none());
    }

    #[test]
    fn it_listens_on_this_machine_only() {
        assert!(configuration(1234).contains(r#""port": "tcp:1234:interface=127.0.0.1""#));
    }
}
