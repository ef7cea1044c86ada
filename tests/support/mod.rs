//! A server of the real binary, repositories of real git, and a client.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod golden;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a run may take in a test.
pub const RUN: Duration = Duration::from_secs(180);

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The bytes of a test guest.
pub fn guest(name: &str) -> Vec<u8> {
    let path = root().join("target/guests").join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask guests` first", path.display()))
}

/// The binary.
pub fn slipway() -> Command {
    Command::new(env!("CARGO_BIN_EXE_slipway"))
}

/// The binary, started by another program if there are words of one.
fn within_command(within: &[impl AsRef<str>]) -> Command {
    let Some((program, args)) = within.split_first() else { return slipway() };
    let mut command = Command::new(program.as_ref());
    command.args(args.iter().map(AsRef::as_ref)).arg(slipway().get_program());
    command
}

/// A running server.
pub struct Server {
    child: Child,
    folder: tempfile::TempDir,
    /// The program before the server's own that it is started by, with its arguments.
    within: Vec<String>,
    args: Vec<String>,
    pub api: String,
    pub apps_port: u16,
    pub token: String,
    client: reqwest::Client,
    kept: std::sync::Mutex<Vec<Repository>>,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server on a folder of its own, with more arguments.
    pub fn start_with(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self::start_by(slipway(), folder, &[], &data, args)
    }

    /// Starts a server that has no more rights than any user, whoever runs the tests.
    pub fn start_unprivileged(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let user = ["--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"];
        let within = [&["bwrap", "--die-with-parent", "--dev-bind", "/", "/"][..], &user, &["--"]].concat();
        Self::start_by(within_command(&within), folder, &within, &data, args)
    }

    /// Starts a server by another program, which is given with its arguments.
    pub fn start_within(within: &[&str], args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Self::start_by(within_command(within), folder, within, &data, args)
    }

    /// Starts a server whose data folder is given relative to the folder it is started in.
    pub fn start_relative() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = slipway();
        command.current_dir(folder.path());
        Self::start_by(command, folder, &[], Path::new("data"), &[])
    }

    /// Starts a server whose data folder is a disk of its own, of so many bytes. Only the server
    /// sees that disk; see [`Self::seen`].
    pub fn start_on_disk_of(bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let (size, disk) = (bytes.to_string(), data.to_str().unwrap());
        let within = ["bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--size", &size, "--tmpfs", disk, "--"];
        Self::start_by(within_command(&within), folder, &within, &data, &[])
    }

    fn start_by(mut command: Command, folder: tempfile::TempDir, within: &[&str], data: &Path, args: &[&str]) -> Self {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        let (within, args) = (owned(within), owned(args));
        command.args(["serve", "--data"]).arg(data);
        let (child, ready) = spawn(command, folder.path(), &args, "127.0.0.1:0");
        let token_file = seen(child.id(), &folder.path().join(ready["token_file"].as_str().unwrap()));
        let token = std::fs::read_to_string(token_file).unwrap().trim().to_owned();
        let apps_port = port(ready["apps"].as_str().unwrap());
        let api = ready["api"].as_str().unwrap().to_owned();
        Self {
            child,
            folder,
            within,
            args,
            api,
            apps_port,
            token,
            client: reqwest::Client::new(),
            kept: std::sync::Mutex::default(),
        }
    }

    /// Keeps a repository for as long as the server.
    pub fn keep(&self, repository: Repository) {
        self.kept.lock().unwrap().push(repository);
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A path of the data folder as the server sees it.
    pub fn seen(&self, path: &str) -> PathBuf {
        seen(self.pid(), &self.data().join(path))
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the process in good order, as SIGTERM asks for.
    pub fn stop(&mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "it ends in good order");
    }

    /// Starts it again on the same folder and address.
    pub fn restart(&mut self) {
        let listen = self.api.trim_start_matches("http://").to_owned();
        let mut command = within_command(&self.within);
        command.arg("serve").arg("--data").arg(self.data());
        let (child, ready) = spawn(command, self.folder.path(), &self.args, &listen);
        self.child = child;
        self.apps_port = port(ready["apps"].as_str().unwrap());
    }

    /// The processes that the server has started, by the word of their command.
    pub fn children(&self, word: &str) -> Vec<i32> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if parent == Some(self.pid()) && command.contains(&format!(" {word} --embedded")) {
                found.push(pid);
            }
        }
        found
    }

    pub async fn request(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.request_with(method, path, body, &[]).await
    }

    pub async fn request_with(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.api)).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.request("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    pub async fn add(&self, name: &str, repository: &Path) {
        let body = json!({ "repository": repository });
        let (status, body) = self.request("PUT", &format!("/v1/pipelines/{name}"), Some(body)).await;
        assert_eq!(status, 200, "{body}");
    }

    /// Triggers a run and returns its id.
    pub async fn trigger(&self, name: &str, reference: &str) -> String {
        let body = json!({ "reference": reference });
        let (status, body) = self.request("POST", &format!("/v1/pipelines/{name}/runs"), Some(body)).await;
        assert_eq!(status, 202, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Waits for a run's end.
    pub async fn end(&self, run: &str) -> Value {
        let until = std::time::Instant::now() + RUN;
        loop {
            let view = self.get(&format!("/v1/runs/{run}?wait_seconds=20")).await;
            if !view["ended_at"].is_null() {
                return view;
            }
            assert!(std::time::Instant::now() < until, "run {run} did not end: {view}");
        }
    }

    /// Triggers a run and waits for its end.
    pub async fn run(&self, name: &str, reference: &str) -> Value {
        let id = self.trigger(name, reference).await;
        self.end(&id).await
    }

    /// The messages of a run's log.
    pub async fn log(&self, run: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        let mut after = 0;
        loop {
            let page = self.get(&format!("/v1/runs/{run}/logs?after={after}")).await;
            entries.extend(page["entries"].as_array().unwrap().iter().cloned());
            match page["next"].as_u64() {
                Some(next) => after = next,
                None => return entries,
            }
        }
    }

    /// Waits until something holds.
    pub async fn until(&self, holds: impl Fn() -> bool) {
        let until = std::time::Instant::now() + RUN;
        while !holds() {
            assert!(std::time::Instant::now() < until, "it did not come to that");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a text is logged by a run.
    pub async fn until_logged(&self, run: &str, text: &str) {
        let until = std::time::Instant::now() + RUN;
        while !self.log(run).await.iter().any(|entry| entry["message"].as_str().unwrap_or_default().contains(text)) {
            assert!(std::time::Instant::now() < until, "run {run} did not log `{text}`");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks an app.
    pub async fn ask_app(&self, app: &str, path: &str) -> (u16, String) {
        let request = self.client.get(format!("http://127.0.0.1:{}{path}", self.apps_port));
        let response = request.header("host", format!("{app}.localhost")).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _gone = self.child.kill().is_err();
        let _reaped = self.child.wait().is_err();
    }
}

/// A worker with a token of its own, as on another machine: it lives on when the server dies.
pub struct Remote {
    child: Child,
    token: PathBuf,
    name: String,
}

impl Remote {
    pub async fn start(server: &Server, name: &str) -> Self {
        let made = server.request("POST", "/v1/tokens", Some(json!({ "name": name, "role": "worker" }))).await;
        let token = server.folder().join(format!("{name}.token"));
        std::fs::write(&token, made.1["token"].as_str().unwrap_or_else(|| panic!("{made:?}"))).unwrap();
        Self { child: Self::spawn(server, &token, name), token, name: name.to_owned() }
    }

    /// Ends it at once and starts another.
    pub fn restart(&mut self, server: &Server) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Self::spawn(server, &self.token, &self.name);
    }

    fn spawn(server: &Server, token: &Path, name: &str) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(server.folder().join("remote-log")).unwrap();
        slipway()
            .args(["worker", "--control", &server.api, "--slots", "4", "--token-file"])
            .arg(token)
            .arg("--data")
            .arg(server.folder().join(name))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _gone = self.child.kill().is_err();
        let _reaped = self.child.wait().is_err();
    }
}

fn port(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

/// A path as a process sees it, which may have mounts of its own. Of bubblewrap, the program in
/// it is meant.
fn seen(pid: u32, path: &Path) -> PathBuf {
    let process = Path::new("/proc").join(pid.to_string());
    if std::fs::read_to_string(process.join("comm")).unwrap().trim() == "bwrap" {
        let children = std::fs::read_to_string(process.join("task").join(pid.to_string()).join("children")).unwrap();
        return seen(children.trim().parse().unwrap(), path);
    }
    process.join("root").join(path.strip_prefix("/").unwrap())
}

fn spawn(mut command: Command, folder: &Path, args: &[String], listen: &str) -> (Child, Value) {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut child = command
        .args(["--json", "--listen", listen, "--apps-listen", "127.0.0.1:0"])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready = serde_json::from_str(&line).unwrap_or_else(|_| {
        panic!("the server did not start: {}", std::fs::read_to_string(folder.join("log")).unwrap_or_default())
    });
    (child, ready)
}

/// A repository made for a test.
pub struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    pub fn new() -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap() };
        repository.git(&["init", "--quiet", "-b", "main"]);
        repository
    }

    /// A repository with a pipeline file and guests as plugins in `plugins/`.
    pub fn with(pipeline: &str, guests: &[&str]) -> Self {
        let repository = Self::new();
        repository.write("slipway.toml", pipeline.as_bytes());
        for name in guests {
            repository.write(&format!("plugins/{name}.wasm"), &guest(name));
        }
        repository.commit("one", Some("v1.0.0"));
        repository
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Copies a folder into the repository, over what is there.
    pub fn copy(&self, from: &Path) {
        copy(from, self.path());
    }

    pub fn commit(&self, message: &str, tag: Option<&str>) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        if let Some(tag) = tag {
            self.git(&["tag", tag]);
        }
    }

    pub fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .args(["-c", "user.name=Ann", "-c", "user.email=ann@shop.example"])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() == "target" || entry.file_name() == "variants" {
                continue;
            }
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The stage of a run by name.
pub fn stage<'a>(run: &'a Value, name: &str) -> &'a Value {
    run["stages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|stage| stage["name"] == name)
        .unwrap_or_else(|| panic!("no stage `{name}` in {run}"))
}
