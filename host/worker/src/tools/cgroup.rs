//! Control groups (`cgroups(7)`): what a tool and all that it starts may take together. The kernel's own
//! count, which holds for root too.
//!
//! A worker that may not make groups does without: then processes are counted by the kernel for its user,
//! and by [`super::init`].

use slipway_protocol::call::ToolPlan;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The command of the `slipway` program that runs [`enter`].
pub const COMMAND: &str = "sandbox-enter";
/// Where groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// What the names of groups begin with.
const PREFIX: &str = "slipway-tool-";
/// How often, and after which pause, a group whose processes have just ended is tried to be removed.
const REMOVE: (u32, Duration) = (50, Duration::from_millis(10));
/// Of the machine's memory, what a tool without a limit of its own may take, in percent.
const MEMORY_PERCENT: u64 = 75;

/// Where groups can be made: one place for each thing that is counted, or one for all.
#[derive(Debug, Default)]
pub struct Groups {
    processes: Option<PathBuf>,
    memory: Option<PathBuf>,
    next: AtomicU64,
}

/// The groups of one tool, removed when dropped: by then it has ended.
#[derive(Debug)]
pub struct Group(Vec<PathBuf>);

impl Groups {
    /// Looks where this process may make groups, by trying.
    pub fn find() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let usable = |controller: &str, file: &str| {
            let parent = parent(&own, controller)?;
            remove_left(&parent);
            let tried = parent.join(format!("{PREFIX}{}-try", std::process::id()));
            fs::create_dir(&tried).ok()?;
            let works = tried.join(file).exists();
            fs::remove_dir(&tried).is_ok_and(|()| works).then_some(parent)
        };
        Self {
            processes: usable("pids", "pids.max"),
            memory: usable("memory", "memory.max").or_else(|| usable("memory", "memory.limit_in_bytes")),
            next: AtomicU64::new(0),
        }
    }

    /// Makes the groups for a tool. `None` where none can be made.
    pub fn make(&self, plan: &ToolPlan) -> io::Result<Option<Group>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let mut group = Group(Vec::new());
        if let Some(parent) = &self.processes {
            let folder = group.add(parent.join(&name))?;
            fs::write(folder.join("pids.max"), plan.processes_max.to_string())?;
        }
        if let Some(parent) = &self.memory {
            let folder = group.add(parent.join(&name))?;
            let bytes = memory(plan).to_string();
            if folder.join("memory.max").exists() {
                fs::write(folder.join("memory.max"), &bytes)?;
                // Where there is swap: what is beyond is not pushed there instead.
                let _without_swap = fs::write(folder.join("memory.swap.max"), "0").is_err();
            } else {
                fs::write(folder.join("memory.limit_in_bytes"), &bytes)?;
            }
        }
        Ok((!group.0.is_empty()).then_some(group))
    }

    /// What is counted.
    pub fn counts(&self) -> (bool, bool) {
        (self.processes.is_some(), self.memory.is_some())
    }
}

impl Group {
    fn add(&mut self, folder: PathBuf) -> io::Result<PathBuf> {
        if !self.0.contains(&folder) {
            fs::create_dir(&folder)?;
            self.0.push(folder.clone());
        }
        Ok(folder)
    }

    /// The folders that a process enters.
    pub fn folders(&self) -> &[PathBuf] {
        &self.0
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.0 {
            for _ in 0..REMOVE.0 {
                match fs::remove_dir(folder) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(REMOVE.1),
                    // What stays, the next worker removes.
                    Ok(()) | Err(_) => break,
                }
            }
        }
    }
}

/// The most memory of a tool and all that it starts, in bytes.
fn memory(plan: &ToolPlan) -> u64 {
    if plan.memory_bytes_max > 0 {
        return plan.memory_bytes_max;
    }
    let info = rustix::system::sysinfo();
    // The kernel's words are of the machine's size.
    let total = u64::from(info.mem_unit) * info.totalram;
    total / 100 * MEMORY_PERCENT
}

/// The folder in which this process may make groups for a controller: its own group. Version 1 of control
/// groups has a tree for each controller, version 2 one for all.
fn parent(own: &str, controller: &str) -> Option<PathBuf> {
    let line = |holds: &dyn Fn(&str) -> bool| {
        own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            holds(controllers).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    if let Some(path) = line(&|controllers| controllers.split(',').any(|word| word == controller)) {
        let mount = Path::new(MOUNT).join(controller);
        // In a container the path may be one of the machine's.
        return [mount.join(path), mount].into_iter().find(|folder| folder.is_dir());
    }
    let folder = Path::new(MOUNT).join(line(&str::is_empty)?);
    let has = |folder: &Path| {
        let on = fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
        on.split_whitespace().any(|word| word == controller)
    };
    if !has(&folder) {
        // Refused for a group that has processes of its own, if it is not the root.
        fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}")).ok()?;
    }
    has(&folder).then_some(folder)
}

/// After so long a group without processes is nobody's who is about to enter it.
const ENTERED: Duration = Duration::from_secs(60);

/// Removes the groups of workers that have ended otherwise. One with processes in it stays.
fn remove_left(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        // Another worker's, which may have made it just now. Of one in another container the number says nothing.
        let is_live = of.is_none_or(|id| Path::new("/proc").join(id).exists());
        let age = entry.metadata().and_then(|made| made.modified()).ok().and_then(|made| made.elapsed().ok());
        if !is_live && age.is_some_and(|age| age > ENTERED) {
            let _in_use = fs::remove_dir(entry.path()).is_err();
        }
    }
}

/// Enters groups and becomes a program: `args` are the groups' folders, `--`, the program and its
/// arguments. What the program starts is in the groups too.
pub fn enter(args: &[String]) -> ExitCode {
    let mut words = args.iter();
    for folder in words.by_ref().take_while(|word| *word != "--") {
        // Zero is whoever writes it.
        if let Err(error) = fs::write(Path::new(folder).join("cgroup.procs"), "0") {
            return complain(&format!("cannot enter `{folder}`: {error}"));
        }
    }
    let Some(program) = words.next() else { return complain("it takes groups and a program") };
    let error = Command::new(program).args(words).exec();
    complain(&format!("cannot start `{program}`: {error}"))
}

#[expect(clippy::print_stderr, reason = "standard error is where the stage's log comes from")]
fn complain(message: &str) -> ExitCode {
    eprintln!("slipway {COMMAND}: {message}");
    ExitCode::from(125)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_made_with_its_limits_and_removed() {
        let groups = Groups::find();
        let plan = ToolPlan { processes_max: 77, memory_bytes_max: 64 << 20, ..ToolPlan::default() };
        let Some(group) = groups.make(&plan).unwrap() else { return assert_eq!(groups.counts(), (false, false)) };
        let folders = group.folders().to_vec();
        let read = |name: &str| folders.iter().find_map(|folder| fs::read_to_string(folder.join(name)).ok());
        if groups.counts().0 {
            assert_eq!(read("pids.max").unwrap().trim(), "77");
        }
        if groups.counts().1 {
            let limit = read("memory.max").or_else(|| read("memory.limit_in_bytes")).unwrap();
            assert_eq!(limit.trim(), (64 << 20).to_string());
        }
        drop(group);
        assert!(folders.iter().all(|folder| !folder.exists()));
    }

    #[test]
    fn a_tool_without_a_limit_leaves_some_of_the_machine() {
        let all = memory(&ToolPlan::default());
        assert!(all > 0 && memory(&ToolPlan { memory_bytes_max: 5, ..ToolPlan::default() }) == 5);
    }
}
