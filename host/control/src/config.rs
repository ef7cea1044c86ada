//! The operator's configuration: one file, read at start, with every wrong value named.

use crate::definition::{PolicyFile, read_policy};
use serde::Deserialize;
use slipway_domain::ToolName;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The largest configuration, in bytes.
const BYTES_MAX: usize = 1 << 20;

/// The configuration of a server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where the embedded app host listens for the apps' users.
    pub apps_listen: SocketAddr,
    /// How many stages the embedded worker runs at once; 0 for no embedded worker.
    pub worker_slots: u32,
    /// The toolchain entries, by name.
    pub tools: BTreeMap<String, Tool>,
    /// The file with what stages may be granted at most, relative to this one.
    pub policy: Option<PathBuf>,
    /// What that file says, or what holds without one.
    #[serde(skip)]
    pub rules: PolicyFile,
}

/// A toolchain entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// The folder of the toolchain on this machine; seen inside as `/tools/<name>`.
    pub root: PathBuf,
    /// The programs, each by the path below `root`.
    pub programs: BTreeMap<String, String>,
    /// More variables for them.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// More paths of this machine that they see, read-only, at the same place.
    #[serde(default)]
    pub read: Vec<PathBuf>,
    /// Folders that outlive the stage: below `/cache/`, or one folder of `/work`.
    #[serde(default)]
    pub caches: Vec<String>,
    /// The most memory that one process may take, in MiB, and where the worker can make control groups all of
    /// them together; 0 for three quarters of the machine's together.
    #[serde(default)]
    pub memory_mib_max: u64,
    /// The most processes and threads at the same time.
    #[serde(default = "processes_max")]
    pub processes_max: u64,
    /// The most that the workspace and the caches may take of the disk, in MiB; 0 for no limit.
    #[serde(default = "disk_mib_max")]
    pub disk_mib_max: u64,
}

impl Default for Tool {
    fn default() -> Self {
        Self {
            root: PathBuf::new(),
            programs: BTreeMap::new(),
            env: BTreeMap::new(),
            read: Vec::new(),
            caches: Vec::new(),
            memory_mib_max: 0,
            processes_max: processes_max(),
            disk_mib_max: disk_mib_max(),
        }
    }
}

/// As many as a build on a machine with many processors needs, and far less than the kernel has.
const fn processes_max() -> u64 {
    4_096
}

/// Large builds of compiled languages stay below it.
const fn disk_mib_max() -> u64 {
    32 << 10
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7077)),
            apps_listen: SocketAddr::from(([127, 0, 0, 1], 7080)),
            worker_slots: 4,
            tools: BTreeMap::new(),
            policy: None,
            rules: PolicyFile::default(),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: crate::files::Error,
    },
    /// It is not TOML of the right shape.
    #[error("the configuration `{}` is wrong:\n{message}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// Values that cannot be.
    #[error("the configuration is wrong:\n{}", .0.join("\n"))]
    Values(Vec<String>),
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |message: String| Error::Parse { path: path.to_owned(), message };
        let config: Self = toml::from_str(&text(path)?).map_err(|error| wrong(error.to_string()))?;
        config.check()?;
        match config.policy.clone() {
            Some(policy) => {
                let folder = path.parent().unwrap_or_else(|| Path::new("."));
                config.with_policy(&folder.join(policy))
            }
            None => Ok(config),
        }
    }

    /// Takes what stages may be granted from a file.
    pub fn with_policy(mut self, path: &Path) -> Result<Self, Error> {
        let wrong = |message: String| Error::Parse { path: path.to_owned(), message };
        self.rules = read_policy(&text(path)?).1.map_err(|found| {
            let lines = found.iter().map(|wrong| {
                let hint = wrong.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
                format!("  line {}, column {}: {}{hint}", wrong.line, wrong.column, wrong.message)
            });
            wrong(lines.collect::<Vec<_>>().join("\n"))
        })?;
        Ok(self)
    }

    /// Names every value that cannot be.
    pub fn check(&self) -> Result<(), Error> {
        let mut wrong = Vec::new();
        if self.worker_slots > 256 {
            wrong.push(format!("  worker_slots = {}: at most 256", self.worker_slots));
        }
        for (name, tool) in &self.tools {
            if let Err(error) = ToolName::new(name.clone()) {
                wrong.push(format!("  [tools.{name}]: {error}"));
            }
            if !tool.root.is_dir() {
                wrong.push(format!("  tools.{name}.root = {:?}: there is no such folder", tool.root));
            }
            if tool.programs.is_empty() {
                wrong.push(format!("  tools.{name}.programs is empty: add `cargo = \"bin/cargo\"`"));
            }
            for (program, path) in &tool.programs {
                if path.starts_with('/') || path.split('/').any(|part| part == "..") {
                    wrong.push(format!("  tools.{name}.programs.{program} = {path:?}: give a path below `root`"));
                } else if !tool.root.join(path).is_file() {
                    wrong.push(format!(
                        "  tools.{name}.programs.{program} = {path:?}: there is no such file below `root`"
                    ));
                }
            }
            for path in &tool.read {
                if !path.is_absolute() || !path.exists() {
                    wrong.push(format!("  tools.{name}.read: {path:?} is not an absolute path that exists"));
                }
            }
            for cache in &tool.caches {
                // In `/work`, a folder deeper down could be a link that the revision holds.
                let inner = cache.strip_prefix("/cache/").unwrap_or(cache);
                let plain = inner.split('/').all(|part| !matches!(part, "" | "." | ".."));
                if !plain || (inner == cache && cache.contains('/')) {
                    wrong.push(format!(
                        "  tools.{name}.caches: {cache:?} is neither below `/cache/` nor one folder of `/work`"
                    ));
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Values(wrong)) }
    }

    /// Adds what can be found on this machine and is not configured: a Rust toolchain.
    pub fn with_found_tools(mut self) -> Self {
        if !self.tools.contains_key("rust")
            && let Some(rust) = find_rust()
        {
            self.tools.insert("rust".into(), rust);
        }
        self
    }
}

/// The text of a file of the operator's.
fn text(path: &Path) -> Result<String, Error> {
    let bytes = crate::files::read(path, BYTES_MAX).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    String::from_utf8(bytes)
        .map_err(|error| Error::Parse { path: path.to_owned(), message: error.utf8_error().to_string() })
}

/// The toolchain named by `SLIPWAY_RUST_TOOLCHAIN`, or that of the `rustc` on the path.
fn find_rust() -> Option<Tool> {
    let root = match std::env::var_os("SLIPWAY_RUST_TOOLCHAIN") {
        Some(root) => PathBuf::from(root),
        None => {
            let output = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
            PathBuf::from(String::from_utf8(output.stdout).ok()?.trim())
        }
    };
    let programs: BTreeMap<String, String> = ["cargo", "rustc", "rustdoc"]
        .into_iter()
        .map(|program| (program.to_owned(), format!("bin/{program}")))
        .filter(|(_, path)| root.join(path).is_file())
        .collect();
    programs.contains_key("cargo").then(|| Tool {
        root,
        programs,
        env: [
            ("CARGO_HOME".to_owned(), "/cache/cargo".to_owned()),
            ("CARGO_TERM_COLOR".to_owned(), "never".to_owned()),
        ]
        .into(),
        read: Vec::new(),
        caches: vec!["/cache/cargo".into(), "target".into()],
        ..Tool::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gives_safe_defaults() {
        let config: Config = toml::from_str("").unwrap();
        assert!(config.listen.ip().is_loopback() && config.apps_listen.ip().is_loopback());
        config.check().unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<Config>("lisen = \"127.0.0.1:1\"").is_err());
    }

    #[test]
    fn every_wrong_value_is_named() {
        let config: Config = toml::from_str(
            "worker_slots = 1000\n[tools.Rust]\nroot = \"/nowhere\"\nprograms = { cargo = \"../cargo\" }\ncaches = [\"/etc\", \"a/b\", \"/cache/../x\", \"target\", \"/cache/a/b\"]",
        )
        .unwrap();
        let Err(Error::Values(wrong)) = config.check() else { panic!() };
        assert_eq!(wrong.len(), 7, "{wrong:?}");
    }
}
