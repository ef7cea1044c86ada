//! What a worker and its launcher say to each other.

use super::super::init::{self, Same};
use super::super::sandbox::{USAGE_FILE, Words};
use super::super::{network, relay};
use crate::beneath::Root;
use serde::{Deserialize, Serialize};
use slipway_protocol::call::ToolPlan;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What a launcher is told first, by a worker that runs nothing yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The worker's folder: workspaces, caches and scratch folders are below it.
    pub folder: PathBuf,
    /// What of the machine tools can be shown beside that, read-only, with all that is below.
    pub shown: Vec<PathBuf>,
    /// The program that starts inside a sandbox.
    pub init: PathBuf,
}

/// A tool to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// A folder for this sandbox alone.
    pub scratch: PathBuf,
    /// What is `/work` inside.
    pub work: PathBuf,
    /// What is `/inputs` inside.
    pub inputs: PathBuf,
    /// Folders of caches, and where they are seen.
    pub caches: Vec<(PathBuf, String)>,
    /// The operator's plan.
    pub plan: ToolPlan,
    /// The guest's words.
    pub words: Words,
}

/// How a tool ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The limit that it went beyond, for which it was ended.
    pub limit: Option<String>,
    /// Why it was not started: a code and a message.
    pub refused: Option<(String, String)>,
}

impl Ended {
    pub(super) fn refused(code: &str, message: impl Into<String>) -> Self {
        Self { refused: Some((code.to_owned(), message.into())), ..Self::default() }
    }
}

impl Order {
    /// Refuses what would show a tool more than it may see. What is the worker's own could be exchanged
    /// between this look and the sandbox: so what was looked at is returned, for [`super::super::init`] to
    /// compare.
    pub(super) fn check(&self, settings: &Settings) -> Result<Vec<Same>, String> {
        let folder = Root::open(&settings.folder).map_err(|error| format!("the worker's folder is gone: {error}"))?;
        let usage = self.scratch.join(USAGE_FILE);
        let socket = self.scratch.join(network::SOCKET);
        let mut own = vec![(&self.work, "/work"), (&self.inputs, "/inputs"), (&usage, init::USAGE)];
        if self.plan.has_network {
            own.push((&socket, relay::SOCKET));
        }
        own.extend(self.caches.iter().map(|(from, to)| (from, to.as_str())));
        let mut same = Vec::new();
        for (from, inside) in own {
            let looked = from.strip_prefix(&settings.folder).map_err(io::Error::other);
            let looked = looked.and_then(|path| folder.identify(path.to_str().unwrap_or_default()));
            let (device, inode) =
                looked.map_err(|error| format!("`{}` is not in the worker's folder: {error}", from.display()))?;
            same.push(Same { inside: inside.to_owned(), device, inode });
        }
        for bind in &self.plan.binds {
            let from = Path::new(&bind.from);
            let shown = settings.shown.iter().any(|shown| is_within(from, shown));
            if !shown || is_within(from, &settings.folder) || is_within(&settings.folder, from) {
                return Err(format!(
                    "`{}` may not be shown to tools on this worker: name it with `--tool-path` when the worker is started",
                    from.display()
                ));
            }
        }
        Ok(same)
    }
}

/// Whether a path is a folder or below it, by its words and by where its links lead.
fn is_within(path: &Path, folder: &Path) -> bool {
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    is_plain
        && path.starts_with(folder)
        && matches!((path.canonicalize(), folder.canonicalize()), (Ok(path), Ok(folder)) if path.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_protocol::call::Bind;

    #[test]
    fn an_order_shows_the_workers_folder_and_what_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["worker/work/1", "worker/inputs", "worker/scratch", "worker/cache", "tools/rust/bin", "secret"] {
            std::fs::create_dir_all(at(path)).unwrap();
        }
        std::fs::write(at("worker/scratch").join(USAGE_FILE), "").unwrap();
        std::os::unix::fs::symlink(at("secret"), at("worker/link")).unwrap();
        std::os::unix::fs::symlink(at("secret"), at("tools/link")).unwrap();
        let settings = Settings { folder: at("worker"), shown: vec![at("tools")], init: PathBuf::new() };
        let order = |change: &dyn Fn(&mut Order)| {
            let bind = Bind { from: at("tools/rust").display().to_string(), to: "/tools/rust".into() };
            let mut order = Order {
                scratch: at("worker/scratch"),
                work: at("worker/work/1"),
                inputs: at("worker/inputs"),
                caches: vec![(at("worker/cache"), "/cache".into())],
                plan: ToolPlan { binds: vec![bind], ..ToolPlan::default() },
                words: Words::default(),
            };
            change(&mut order);
            order.check(&settings)
        };
        let same = order(&|_| {}).unwrap();
        assert_eq!(
            same.iter().map(|same| same.inside.as_str()).collect::<Vec<_>>(),
            ["/work", "/inputs", init::USAGE, "/cache"]
        );
        let refused: [&dyn Fn(&mut Order); 10] = [
            &|order| order.work = at("secret"),
            &|order| order.plan.has_network = true,
            &|order| order.work = at("worker/link"),
            &|order| order.work = at("worker/../secret"),
            &|order| order.inputs = PathBuf::from("/"),
            &|order| order.scratch = PathBuf::from("work"),
            &|order| order.caches[0].0 = at("tools/rust"),
            &|order| order.plan.binds[0].from = "/".into(),
            &|order| order.plan.binds[0].from = at("tools/link").display().to_string(),
            &|order| order.plan.binds[0].from = at("worker/work/1").display().to_string(),
        ];
        for (number, change) in refused.into_iter().enumerate() {
            assert!(order(change).is_err(), "{number}");
        }
    }
}
