//! The sandbox of a tool, as arguments for bubblewrap.
//!
//! bubblewrap was chosen over namespaces of our own and over a container runtime's
//! library: it is small, in every distribution, attacked and mended for years under
//! Flatpak, and takes a seccomp filter; what it does not do (resource limits, Landlock,
//! the way to the network) fits into the program that it starts first, [`super::init`].
//!
//! What comes from a guest is data at the end of the arguments: it never becomes an option.

use super::{init, network, relay};
use crate::runtime::wit::v0::slipway::stage::tools::Command;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use slipway_protocol::call::ToolPlan;
use slipway_protocol::outcome::Failure;
use slipway_protocol::secret::{Place, ToolSecret};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The program.
const BUBBLEWRAP: &str = "bwrap";
/// What of the machine every tool sees, read-only, where it exists.
const SYSTEM: [&str; 8] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache"];
/// Whom programs with a network believe, where it exists.
const CERTIFICATES: [&str; 3] = ["/etc/ssl/certs", "/etc/ca-certificates", "/etc/pki"];
/// Size of the folder of secrets, in bytes.
const SECRETS_BYTES: u64 = 16 << 20;
/// Size of `/tmp`, in bytes.
const TMP_BYTES: u64 = 2 << 30;

/// What a sandbox is laid out from.
pub struct Layout<'a> {
    /// The host's folder that is `/work`.
    pub work: &'a Path,
    /// The host's folder that is `/inputs`.
    pub inputs: &'a Path,
    /// A folder of the host's for this sandbox alone.
    pub scratch: &'a Path,
    /// The program that starts first.
    pub init: &'a Path,
    /// Host folders of caches, and where they are seen.
    pub caches: &'a [(PathBuf, String)],
    /// The operator's plan.
    pub plan: &'a ToolPlan,
    /// What the guest asks for.
    pub command: &'a Command,
}

/// Whether tools can be sandboxed on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// They can.
    Available,
    /// They cannot.
    Missing {
        /// What is missing.
        what: String,
        /// How to mend it.
        hint: String,
    },
}

/// Tries an empty sandbox.
pub fn probe() -> Availability {
    let tried = std::process::Command::new(BUBBLEWRAP)
        .args(["--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--", "/bin/true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    match tried {
        Ok(output) if output.status.success() => Availability::Available,
        Ok(output) => Availability::Missing {
            what: format!("bubblewrap cannot make a sandbox: {}", String::from_utf8_lossy(&output.stderr).trim()),
            hint: "allow unprivileged user namespaces: `sysctl kernel.unprivileged_userns_clone=1`, or see \
                   `kernel.apparmor_restrict_unprivileged_userns`"
                .into(),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Availability::Missing {
            what: "`bwrap` is not installed".into(),
            hint: "install bubblewrap: `apt-get install bubblewrap` or `dnf install bubblewrap`".into(),
        },
        Err(error) => Availability::Missing { what: format!("cannot start `bwrap`: {error}"), hint: String::new() },
    }
}

/// The command that runs the tool.
pub fn command(layout: &Layout<'_>) -> Result<tokio::process::Command, Failure> {
    prepare(layout.scratch).map_err(|error| Failure::new("host", format!("cannot prepare the sandbox: {error}")))?;
    let mut command = tokio::process::Command::new(BUBBLEWRAP);
    command.args(arguments(layout)).env_clear().env("PATH", "/usr/bin:/bin").kill_on_drop(true);
    command.envs(environment(layout));
    Ok(command)
}

/// What the tool gets in its environment and in files, for [`super::init`] to hand on. It does not
/// stand among the arguments, which every process of the machine can read, and under these names it
/// means nothing to bubblewrap.
fn environment(layout: &Layout<'_>) -> Vec<(OsString, OsString)> {
    let variable = |name: &str, value: &[u8]| {
        (OsString::from(format!("{}{name}", init::VARIABLE)), OsString::from_vec(value.to_vec()))
    };
    let plain = layout.plan.env.iter().chain(&layout.command.env);
    let plain = plain.map(|(name, value)| variable(name, value.as_bytes()));
    let secrets = layout.plan.secrets.iter().filter_map(|ToolSecret { secret, place }| match place {
        Place::Env(name) => Some(variable(name, secret.expose())),
        Place::File(name) => {
            let name = OsString::from(format!("{}{name}", init::FILE));
            Some((name, STANDARD.encode(secret.expose()).into()))
        }
        Place::Stdin => None,
    });
    let proxy = relay::VARIABLES.iter().filter(|_| layout.plan.has_network);
    let proxy = proxy.map(|name| variable(name, format!("http://{}", relay::ADDRESS).as_bytes()));
    proxy.chain(plain).chain(secrets).collect()
}

/// The processes of a started sandbox: bubblewrap outside, and all that is inside.
pub struct Sandbox(Option<Pid>);

impl Sandbox {
    /// The sandbox that bubblewrap is the parent of.
    pub fn of(bubblewrap: &tokio::process::Child) -> Self {
        let id = bubblewrap.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Ends all that is inside; bubblewrap ends when nothing of it is left. The kernel ends a
    /// process namespace with its first process, and lets that one go last
    /// (`pid_namespaces(7)`). Must not be called after bubblewrap was waited for.
    pub fn kill(&self) {
        let Some(bubblewrap) = self.0 else { return };
        let mut found = false;
        for first in children(bubblewrap) {
            // A number alone may be somebody else's by now; a descriptor is not.
            if let Ok(process) = pidfd_open(first, PidfdFlags::empty())
                && children(bubblewrap).contains(&first)
            {
                found |= pidfd_send_signal(&process, Signal::KILL).is_ok();
            }
        }
        // It has not come to making the sandbox, or the system does not tell: what is inside
        // dies with its parent, a moment later.
        if !found && let Err(error) = kill_process(bubblewrap, Signal::KILL) {
            tracing::debug!(%error, "cannot end a sandbox");
        }
    }
}

/// The children of a process (`proc_pid_task(5)`), none if the system does not tell.
fn children(of: Pid) -> Vec<Pid> {
    let id = of.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|id| id.parse().ok().and_then(Pid::from_raw)).collect()
}

/// The name of [`init::USAGE`] in the scratch folder.
pub const USAGE_FILE: &str = "usage.json";

/// Writes the few files of `/etc` that programs expect.
fn prepare(scratch: &Path) -> io::Result<()> {
    let etc = scratch.join("etc");
    std::fs::create_dir_all(&etc)?;
    std::fs::write(scratch.join(USAGE_FILE), "")?;
    std::fs::write(etc.join("passwd"), "stage:x:1000:1000:stage:/home/stage:/bin/sh\n")?;
    std::fs::write(etc.join("group"), "stage:x:1000:\n")?;
    std::fs::write(etc.join("hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
    std::fs::write(etc.join("nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n")?;
    Ok(())
}

/// bubblewrap's arguments: the policy first, then the guest's command.
fn arguments(layout: &Layout<'_>) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
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
    for file in ["passwd", "group", "hosts", "nsswitch.conf"] {
        add(&[&"--ro-bind", &layout.scratch.join("etc").join(file), &format!("/etc/{file}")]);
    }
    add(&[&"--dir", &"/home/stage"]);
    for bind in &layout.plan.binds {
        add(&[&"--ro-bind", &bind.from, &bind.to]);
    }
    add(&[&"--ro-bind", &layout.init, &init::PROGRAM]);
    add(&[&"--bind", &layout.scratch.join(USAGE_FILE), &init::USAGE]);
    if layout.plan.has_network {
        add(&[&"--ro-bind", &layout.scratch.join(network::SOCKET), &relay::SOCKET]);
        for path in CERTIFICATES {
            add(&[&"--ro-bind-try", &path, &path]);
        }
    }
    add(&[&"--bind", &layout.work, &"/work", &"--ro-bind", &layout.inputs, &"/inputs"]);
    for (from, to) in layout.caches {
        add(&[&"--bind", from, to]);
    }
    // In memory: what is in it is gone with the sandbox.
    add(&[&"--perms", &"0700", &"--size", &SECRETS_BYTES.to_string(), &"--tmpfs", &init::SECRETS]);
    add(&[&"--remount-ro", &"/"]);
    // Without the slash at the end that joining nothing makes.
    let directory: PathBuf = Path::new("/work").join(&layout.command.directory).components().collect();
    add(&[&"--chdir", &directory]);
    add(&[&"--", &init::PROGRAM, &init::COMMAND, &layout.plan.memory_bytes_max.to_string(), &layout.plan.program]);
    args.extend(layout.command.args.iter().map(OsString::from));
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use slipway_protocol::secret::Confidential;

    #[test]
    fn what_a_tool_gets_stands_in_no_argument_and_means_nothing_to_bubblewrap() {
        let secret = |place| ToolSecret { secret: Confidential::new(b"hunter2-hunter2".to_vec()), place };
        let plan = ToolPlan {
            env: vec![("LD_LIBRARY_PATH".into(), "/tools/x/lib".into())],
            secrets: vec![
                secret(Place::Env("TOKEN".into())),
                secret(Place::File("key.pem".into())),
                secret(Place::Stdin),
            ],
            ..ToolPlan::default()
        };
        let command = Command {
            tool: "x".into(),
            program: "x".into(),
            args: vec![],
            env: vec![("A".into(), "visible-to-nobody".into())],
            directory: String::new(),
            stdin: Vec::new(),
            details: Vec::new(),
        };
        let layout = Layout {
            work: Path::new("/w"),
            inputs: Path::new("/i"),
            scratch: Path::new("/s"),
            init: Path::new("/init"),
            caches: &[],
            plan: &plan,
            command: &command,
        };
        let shown = format!("{:?}", arguments(&layout));
        assert!(!shown.contains("hunter2") && !shown.contains("visible-to-nobody"), "{shown}");
        let names: Vec<String> =
            environment(&layout).into_iter().map(|(name, _)| name.into_string().unwrap()).collect();
        assert_eq!(
            names,
            [
                "SLIPWAY_TOOL_ENV_LD_LIBRARY_PATH",
                "SLIPWAY_TOOL_ENV_A",
                "SLIPWAY_TOOL_ENV_TOKEN",
                "SLIPWAY_TOOL_FILE_key.pem"
            ]
        );
    }

    proptest! {
        /// Whatever a guest asks for, the policy is the same, and its words come last as they are.
        #[test]
        fn a_guest_never_changes_the_policy(
            args in proptest::collection::vec(".{0,20}", 0..6),
            values in proptest::collection::vec(".{0,20}", 0..4),
        ) {
            let plan = ToolPlan { program: "/tools/rust/bin/cargo".into(), ..ToolPlan::default() };
            let with = |args: Vec<String>, env: Vec<(String, String)>| {
                let command = Command {
                    tool: "rust".into(), program: "cargo".into(), args, env,
                    directory: String::new(), stdin: Vec::new(), details: Vec::new(),
                };
                arguments(&Layout {
                    work: Path::new("/w"), inputs: Path::new("/i"), scratch: Path::new("/s"),
                    init: Path::new("/init"), caches: &[], plan: &plan, command: &command,
                })
            };
            let plain = with(vec![], vec![]);
            let env: Vec<(String, String)> = values.iter().map(|value| ("NAME".to_owned(), value.clone())).collect();
            let asked = with(args.clone(), env);
            let tail: Vec<OsString> = args.iter().map(OsString::from).collect();
            prop_assert_eq!(&asked[..plain.len()], &plain[..]);
            prop_assert_eq!(&asked[plain.len()..], &tail[..]);
        }
    }
}
