//! The sandbox of a tool, as arguments for bubblewrap.
//!
//! bubblewrap was chosen over namespaces of our own and over a container runtime's
//! library: it is small, in every distribution, attacked and mended for years under
//! Flatpak, and takes a seccomp filter; what it does not do (resource limits, Landlock,
//! the way to the network) fits into the program that it starts first, [`super::init`].
//!
//! What comes from a guest is data at the end of the arguments: it never becomes an option.

use super::cgroup::{self, Group};
use super::init::{Confinement, Same};
use super::launcher::{Order, Settings};
use super::layers::{BUBBLEWRAP, Layer, Layers};
use super::{bare, init, network, relay};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use slipway_confine::files::Files;
use slipway_protocol::secret::{Place, ToolSecret};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// What of the machine every tool sees, read-only, where it exists.
const SYSTEM: [&str; 8] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache"];
/// Whom programs with a network believe, where it exists.
const CERTIFICATES: [&str; 3] = ["/etc/ssl/certs", "/etc/ca-certificates", "/etc/pki"];
/// Size of the folder of secrets, in bytes.
const SECRETS_BYTES: u64 = 16 << 20;
/// Size of `/dev/shm`, in bytes.
const SHARED_BYTES: u64 = 512 << 20;
/// The folder of the few files that programs expect.
const ETC: &str = "/etc";
/// The folder of files with secrets.
const SECRETS: &str = init::SECRETS;
/// Where the way to the proxy is, and this program itself.
const PROXY_FOLDER: &str = "/run/slipway";
/// Size of `/tmp`, in bytes.
const TMP_BYTES: u64 = 2 << 30;

/// What of the machine's devices and processes every tool sees.
const KERNEL: [&str; 2] = ["/proc", "/sys/devices/system/cpu"];
/// What every tool may write beside its workspace and caches.
const OWN: [&str; 4] = ["/tmp", "/dev", "/dev/shm", "/home/stage"];

/// What a guest asks a tool to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables beside the operator's.
    pub env: Vec<(String, String)>,
    /// The folder below `/work` in which it starts.
    pub directory: String,
}

/// What a sandbox is laid out from.
pub struct Layout<'a> {
    /// What the worker has ordered.
    pub order: &'a Order,
    /// What the launcher was told first.
    pub settings: &'a Settings,
    /// What was looked at of it.
    pub same: Vec<Same>,
    /// The layers that are used.
    pub layers: &'a Layers,
    /// The control groups of the tool.
    pub group: Option<&'a Group>,
}

/// The command that runs the tool.
pub fn command(layout: &Layout<'_>) -> io::Result<Command> {
    let is_apart = layout.layers.contains(&Layer::Namespaces);
    let mut words = if is_apart { arguments(layout)? } else { bare::arguments(layout)? };
    if let Some(group) = layout.group {
        let mut enter: Vec<OsString> = vec![layout.settings.init.clone().into(), cgroup::COMMAND.into()];
        enter.extend(group.folders().iter().map(OsString::from));
        enter.push("--".into());
        words.splice(0..0, enter);
    }
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).env_clear().env("PATH", "/usr/bin:/bin").envs(environment(layout));
    if !is_apart {
        command.current_dir(bare::directory(layout));
    }
    Ok(command)
}

/// What the tool is kept to, for [`super::init`].
fn confinement(layout: &Layout<'_>) -> io::Result<OsString> {
    let plan = &layout.order.plan;
    let read = SYSTEM.iter().chain(&KERNEL).chain(&[ETC, SECRETS, PROXY_FOLDER, "/inputs"]).map(PathBuf::from);
    let certificates = CERTIFICATES.iter().filter(|_| plan.has_network).map(PathBuf::from);
    let write = OWN.iter().map(PathBuf::from).chain(["/work".into(), init::USAGE.into()]);
    let confinement = Confinement {
        memory_bytes_max: plan.memory_bytes_max,
        processes_max: plan.processes_max,
        layers: layout.layers.clone(),
        files: Files {
            read: read.chain(certificates).chain(plan.binds.iter().map(|bind| PathBuf::from(&bind.to))).collect(),
            write: write.chain(layout.order.caches.iter().map(|(_, to)| PathBuf::from(to))).collect(),
            // The network has nothing in it but what the tool itself opens, and the way to the proxy.
            connect: true,
        },
        same: layout.same.clone(),
    };
    Ok(serde_json::to_string(&confinement)?.into())
}

/// What the tool gets in its environment and in files, for [`super::init`] to hand on. It does not
/// stand among the arguments, which every process of the machine can read, and under these names it
/// means nothing to bubblewrap.
fn environment(layout: &Layout<'_>) -> Vec<(OsString, OsString)> {
    let variable = |name: &str, value: &[u8]| {
        (OsString::from(format!("{}{name}", init::VARIABLE)), OsString::from_vec(value.to_vec()))
    };
    let Order { plan, words, .. } = layout.order;
    let is_apart = layout.layers.contains(&Layer::Namespaces);
    let seen = |value: &str| if is_apart { value.to_owned() } else { bare::outside(layout, value) };
    let plain = plan.env.iter().chain(&words.env);
    let plain = plain.map(|(name, value)| variable(name, seen(value).as_bytes()));
    let secrets = plan.secrets.iter().filter_map(|ToolSecret { secret, place }| match place {
        Place::Env(name) => Some(variable(name, secret.expose())),
        Place::File(name) => {
            let name = OsString::from(format!("{}{name}", init::FILE));
            Some((name, STANDARD.encode(secret.expose()).into()))
        }
        Place::Stdin => None,
    });
    let proxy = relay::VARIABLES.iter().filter(|_| is_apart && plan.has_network);
    let proxy = proxy.map(|name| variable(name, format!("http://{}", relay::ADDRESS).as_bytes()));
    proxy.chain(plain).chain(secrets).collect()
}

/// The processes of a started sandbox: bubblewrap outside, and all that is inside.
pub struct Sandbox {
    /// The process that was started.
    first: Option<Pid>,
    /// Whether what is inside has a namespace that ends with its first process.
    is_apart: bool,
}

impl Sandbox {
    /// The sandbox that a child is the parent of.
    pub fn of(child: &Child, is_apart: bool) -> Self {
        Self { first: i32::try_from(child.id()).ok().and_then(Pid::from_raw), is_apart }
    }

    /// Ends all that is inside; bubblewrap ends when nothing of it is left. The kernel ends a
    /// process namespace with its first process, and lets that one go last
    /// (`pid_namespaces(7)`). Must not be called after the child was waited for.
    pub fn kill(&self) {
        let Some(outside) = self.first else { return };
        if !self.is_apart {
            kill_all_of(outside.as_raw_nonzero().get().unsigned_abs());
        }
        let found = self.is_apart && kill_children(outside);
        // It has not come to making the sandbox, or the system does not tell: what is inside
        // dies with its parent, a moment later.
        if !found && let Err(error) = kill_process(outside, Signal::KILL) {
            tracing::debug!(%error, "cannot end a sandbox");
        }
    }
}

/// Ends the children of a process. `false` when there are none.
fn kill_children(of: Pid) -> bool {
    let mut found = false;
    for first in children(of) {
        // A number alone may be somebody else's by now; a descriptor is not.
        if let Ok(process) = pidfd_open(first, PidfdFlags::empty())
            && children(of).contains(&first)
        {
            found |= pidfd_send_signal(&process, Signal::KILL).is_ok();
        }
    }
    found
}

/// How often what was started meanwhile is looked for.
const ROUNDS: u32 = 100;

/// Ends all that a process has started, and what they have: what loses its parent comes to the process,
/// which adopts orphans.
pub(super) fn kill_all_of(id: u32) {
    let Some(outside) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return };
    for _ in 0..ROUNDS {
        if !kill_children(outside) {
            return;
        }
        // They are still there until somebody has waited for them.
        let _none_yet = rustix::process::wait(WaitOptions::NOHANG).is_err();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The children of a process (`proc_pid_task(5)`), none if the system does not tell.
fn children(of: Pid) -> Vec<Pid> {
    let id = of.as_raw_nonzero();
    let tasks = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let of_task = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let all: Vec<String> = tasks.map(of_task).collect();
    let numbers = all.iter().flat_map(|children| children.split_whitespace());
    numbers.filter_map(|id| id.parse().ok().and_then(Pid::from_raw)).collect()
}

/// The name of [`init::USAGE`] in the scratch folder.
pub const USAGE_FILE: &str = "usage.json";

/// Makes the folder for one sandbox.
pub fn prepare(scratch: &Path) -> io::Result<()> {
    std::fs::create_dir_all(scratch)?;
    std::fs::write(scratch.join(USAGE_FILE), "")
}

/// The files of `/etc` that programs expect, in a folder of the worker's that it does not change.
pub const ETC_FOLDER: &str = "etc";
/// Their names.
const ETC_FILES: [&str; 4] = ["passwd", "group", "hosts", "nsswitch.conf"];

/// Writes them. Before the worker runs anything.
pub fn prepare_etc(folder: &Path) -> io::Result<()> {
    let etc = folder.join(ETC_FOLDER);
    std::fs::create_dir_all(&etc)?;
    let texts = [
        "stage:x:1000:1000:stage:/home/stage:/bin/sh\n",
        "stage:x:1000:\n",
        "127.0.0.1 localhost\n::1 localhost\n",
        "passwd: files\ngroup: files\nhosts: files\n",
    ];
    ETC_FILES.iter().zip(texts).try_for_each(|(name, text)| std::fs::write(etc.join(name), text))
}

/// bubblewrap's arguments: the policy first, then the guest's command.
fn arguments(layout: &Layout<'_>) -> io::Result<Vec<OsString>> {
    let Order { scratch, work, inputs, caches, plan, words } = layout.order;
    let mut args: Vec<OsString> = vec![BUBBLEWRAP.into()];
    let mut add =
        |words: &[&dyn AsRef<std::ffi::OsStr>]| args.extend(words.iter().map(|word| word.as_ref().to_owned()));
    add(&[
        &"--unshare-user",
        &"--unshare-pid",
        // bubblewrap's own first process would show its arguments, and so the host's paths.
        &"--as-pid-1",
        &"--unshare-ipc",
        &"--unshare-uts",
        &"--unshare-net",
        &"--unshare-cgroup-try",
    ]);
    add(&[&"--disable-userns", &"--die-with-parent", &"--new-session", &"--cap-drop", &"ALL"]);
    add(&[&"--uid", &"1000", &"--gid", &"1000", &"--hostname", &"stage"]);
    for path in SYSTEM {
        match std::fs::read_link(path) {
            Ok(target) => add(&[&"--symlink", &target, &path]),
            Err(_) => add(&[&"--ro-bind-try", &path, &path]),
        }
    }
    add(&[&"--proc", &"/proc", &"--dev", &"/dev", &"--size", &TMP_BYTES.to_string(), &"--tmpfs", &"/tmp"]);
    // A memory of its own for what shares memory, and nothing new among the devices.
    add(&[&"--size", &SHARED_BYTES.to_string(), &"--tmpfs", &"/dev/shm", &"--remount-ro", &"/dev"]);
    for file in ETC_FILES {
        add(&[&"--ro-bind", &layout.settings.folder.join(ETC_FOLDER).join(file), &format!("{ETC}/{file}")]);
    }
    add(&[&"--dir", &"/home/stage"]);
    for bind in &plan.binds {
        add(&[&"--ro-bind", &bind.from, &bind.to]);
    }
    add(&[&"--ro-bind", &layout.settings.init, &init::PROGRAM]);
    add(&[&"--bind", &scratch.join(USAGE_FILE), &init::USAGE]);
    if plan.has_network {
        add(&[&"--ro-bind", &scratch.join(network::SOCKET), &relay::SOCKET]);
        for path in CERTIFICATES {
            add(&[&"--ro-bind-try", &path, &path]);
        }
    }
    add(&[&"--bind", work, &"/work", &"--ro-bind", inputs, &"/inputs"]);
    for (from, to) in caches {
        add(&[&"--bind", from, to]);
    }
    // In memory: what is in it is gone with the sandbox.
    add(&[&"--perms", &"0700", &"--size", &SECRETS_BYTES.to_string(), &"--tmpfs", &init::SECRETS]);
    add(&[&"--remount-ro", &"/"]);
    // Without the slash at the end that joining nothing makes.
    let directory: PathBuf = Path::new("/work").join(&words.directory).components().collect();
    add(&[&"--chdir", &directory]);
    add(&[&"--", &init::PROGRAM, &init::COMMAND, &confinement(layout)?, &plan.program]);
    args.extend(words.args.iter().map(OsString::from));
    Ok(args)
}

#[cfg(test)]
#[path = "sandbox_tests.rs"]
mod tests;
