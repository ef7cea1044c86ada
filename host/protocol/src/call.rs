//! A guest's privileged imports, and what answers them.
//!
//! Each is checked against the lease's grants, put on the journal, acted upon and
//! answered by control, in that order.

use crate::http::{HttpRequest, HttpResponse};
use crate::lease::Artifact;
use crate::outcome::Failure;
use crate::secret::{Confidential, ToolSecret};
use serde::{Deserialize, Serialize};

/// A privileged import of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// `run.set-output`.
    SetOutput {
        /// The output's name.
        name: String,
        /// Its value.
        value: String,
    },
    /// `artifacts.put`, `put-file` and `writer.finish`, once the bytes were uploaded.
    PutArtifact {
        /// The artifact's name.
        name: String,
        /// Its media type.
        media_type: String,
        /// The digest that control computed of the upload.
        digest: String,
    },
    /// `reports.test-cases`.
    TestCases {
        /// The cases.
        cases: Vec<TestCase>,
    },
    /// `reports.change`.
    Change {
        /// A verb.
        action: String,
        /// What would change.
        object: String,
        /// As it is.
        before: Option<String>,
        /// As it would be.
        after: Option<String>,
    },
    /// `tools.start`: asks whether and how; the worker then runs it.
    StartTool {
        /// The toolchain entry.
        tool: String,
        /// The program of the entry.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// The working directory in `/work`.
        directory: String,
        /// The names of the variables that the guest adds, not their values.
        env: Vec<String>,
        /// The secrets that it gets, by name.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<ToolSecret<String>>,
    },
    /// A tool wants to connect somewhere: asked by the worker, before it does.
    ConnectTool {
        /// The number of the `StartTool` frame.
        start: u64,
        /// The toolchain entry.
        tool: String,
        /// The host, as the tool names it.
        host: String,
        /// The port.
        port: u16,
    },
    /// A connection of a tool has ended, or was not made: a fact of the worker.
    ToolDisconnected {
        /// The number of the `ConnectTool` frame.
        connect: u64,
        /// The address that was connected to.
        address: Option<String>,
        /// Bytes from the tool.
        sent: u64,
        /// Bytes to the tool.
        received: u64,
        /// Why it was not made, or broke.
        error: Option<String>,
    },
    /// What became of a tool that was started: a fact of the worker, not of the guest.
    ToolExited {
        /// The number of the `StartTool` frame.
        start: u64,
        /// How it ended.
        exit: ToolExit,
    },
    /// `secrets.open`.
    OpenSecret {
        /// The secret's name.
        name: String,
    },
    /// `secret.read`.
    ReadSecret {
        /// The secret's name.
        name: String,
    },
    /// `request.send`.
    SendRequest {
        /// The request.
        request: HttpRequest,
    },
    /// `apps.current`.
    CurrentRelease {
        /// The app.
        app: String,
    },
    /// `apps.release`.
    Release {
        /// The app.
        app: String,
        /// The component, which has to be one of the stage's inputs.
        digest: String,
    },
    /// `apps.health`.
    Health {
        /// The release.
        release: String,
        /// The path to ask for.
        path: String,
        /// How long to go on asking, in milliseconds.
        within_ms: u32,
    },
    /// `apps.switch`.
    Switch {
        /// The release.
        release: String,
    },
    /// `apps.restore`.
    Restore {
        /// The app.
        app: String,
    },
    /// `apps.address`.
    Address {
        /// The app.
        app: String,
    },
}

impl Call {
    /// The WIT function behind it, as `interface.function`: for the journal and metrics.
    pub const fn function(&self) -> &'static str {
        match self {
            Self::SetOutput { .. } => "run.set-output",
            Self::PutArtifact { .. } => "artifacts.put",
            Self::TestCases { .. } => "reports.test-cases",
            Self::Change { .. } => "reports.change",
            Self::StartTool { .. } => "tools.start",
            Self::ConnectTool { .. } => "tools.connect",
            Self::ToolDisconnected { .. } => "tools.disconnect",
            Self::ToolExited { .. } => "tools.exit",
            Self::OpenSecret { .. } => "secrets.open",
            Self::ReadSecret { .. } => "secrets.read",
            Self::SendRequest { .. } => "http.send",
            Self::CurrentRelease { .. } => "apps.current",
            Self::Release { .. } => "apps.release",
            Self::Health { .. } => "apps.health",
            Self::Switch { .. } => "apps.switch",
            Self::Restore { .. } => "apps.restore",
            Self::Address { .. } => "apps.address",
        }
    }
}

/// What answers a [`Call`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Done, with nothing to say.
    Done,
    /// Refused, or not possible.
    Refused(Failure),
    /// The stored artifact.
    Artifact(Artifact),
    /// How to run the tool.
    Tool(ToolPlan),
    /// The value of a secret.
    Secret {
        /// The value.
        value: Confidential,
    },
    /// What a server answered.
    Response(HttpResponse),
    /// The release that was asked for or made.
    Release(ReleaseInfo),
    /// There is none.
    NoRelease,
    /// What the health check answered.
    Health(HealthInfo),
    /// An address.
    Address {
        /// The address.
        url: String,
    },
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCase {
    /// The suite.
    pub suite: String,
    /// The name within it.
    pub name: String,
    /// `passed`, `failed` or `skipped`.
    pub outcome: String,
    /// Microseconds, where known.
    pub time_us: Option<u64>,
    /// Why it failed or was skipped.
    pub message: Option<String>,
    /// More facts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, String)>,
}

/// How a tool ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolExit {
    /// The exit status.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// User and system time of all its processes, in milliseconds.
    pub cpu_ms: u64,
    /// The largest memory of one of its processes, in bytes.
    pub memory_peak_bytes: u64,
    /// Time from start to end, in milliseconds.
    pub wall_ms: u64,
}

/// How to run a tool: the operator's toolchain entry, as the worker needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolPlan {
    /// The program, as seen inside the sandbox.
    pub program: String,
    /// Paths of the machine that are shown inside, read-only.
    pub binds: Vec<Bind>,
    /// The environment: all of it.
    pub env: Vec<(String, String)>,
    /// Folders that outlive the stage.
    pub caches: Vec<Cache>,
    /// The most memory that one process may take, in bytes.
    pub memory_bytes_max: u64,
    /// The most processes and threads that it and all that it starts may have at the same time.
    #[serde(default)]
    pub processes_max: u64,
    /// The most that its workspace and caches may take of the disk, in bytes; 0 for no limit.
    #[serde(default)]
    pub disk_bytes_max: u64,
    /// Whether it runs on a machine that cannot keep it in a sandbox.
    #[serde(default)]
    pub allow_unsandboxed: bool,
    /// The secrets that it gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<ToolSecret<Confidential>>,
    /// Whether it has a network, through the worker's proxy.
    #[serde(default)]
    pub has_network: bool,
    /// The private networks that may be reached through it, as ranges of addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<String>,
}

/// A path of the machine that is shown inside a sandbox, read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the machine.
    pub from: String,
    /// In the sandbox.
    pub to: String,
}

/// A folder that outlives the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Which one: stages with the same key find what was left.
    pub key: String,
    /// Where it is seen: an absolute path, or one relative to `/work`.
    pub to: String,
}

/// A release as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseInfo {
    /// Its id.
    pub id: String,
    /// The version, or the revision when there is none.
    pub version: String,
    /// The component it runs.
    pub digest: String,
}

/// What a health check answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthInfo {
    /// Whether the host counts it as healthy.
    pub healthy: bool,
    /// The HTTP status, or 0.
    pub status: u16,
    /// The start of the body, or why there was no answer.
    pub message: String,
    /// How long the answer took, in microseconds.
    pub time_us: u64,
}
