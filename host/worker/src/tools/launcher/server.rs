//! The launcher's side: one thread a tool.

use super::super::cgroup::{Group, Groups};
use super::super::layers::{self, Layer};
use super::super::quota::Quota;
use super::super::sandbox::{self, Layout, Sandbox};
use super::order::{Ended, Order, Settings};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use slipway_confine::wire;
use slipway_protocol::message::decode;
use slipway_protocol::secret::{Confidential, Place, ToolSecret};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;

struct Launcher {
    settings: Settings,
    groups: Groups,
}

/// Takes orders from standard input, a Unix socket, until it is closed; then everything it has started
/// ends with it.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    // Secrets of tools pass through here.
    slipway_confine::process::close_to_others()?;
    let orders = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let Some((settings, _)) = wire::receive(&orders)? else { return Ok(()) };
    let settings = decode(&settings).map_err(io::Error::other)?;
    let launcher = Arc::new(Launcher { settings, groups: Groups::find() });
    while let Some((order, files)) = wire::receive(&orders)? {
        let Ok([stdin, stdout, stderr, control]) = <[OwnedFd; 4]>::try_from(files) else {
            return Err(io::Error::other("an order came without its files"));
        };
        let order: Order = decode(&order).map_err(io::Error::other)?;
        let launcher = Arc::clone(&launcher);
        // What cannot be started is told by its control socket, which closes.
        thread::Builder::new().name("tool".into()).spawn(move || {
            let control = UnixStream::from(control);
            let mut group = None;
            let ended = launcher.run(&order, [stdin, stdout, stderr], &control, &mut group);
            let text = serde_json::to_vec(&ended).unwrap_or_default();
            // The worker may have let go of it.
            let _gone = (&control).write_all(&text).is_err();
            // It may take a moment until the kernel lets go of it, which nobody has to wait for.
            drop((control, group));
        })?;
    }
    Ok(())
}

impl Launcher {
    /// Runs a tool to its end. `kept` holds its control groups, until it is known that it has ended.
    fn run(&self, order: &Order, streams: [OwnedFd; 3], control: &UnixStream, kept: &mut Option<Group>) -> Ended {
        let same = match order.check(&self.settings) {
            Ok(same) => same,
            Err(why) => return Ended::refused("host", format!("the tool is not started: {why}")),
        };
        let layers = match layers::here().usable(order.plan.allow_unsandboxed) {
            Ok(layers) => layers,
            Err(missing) => return Ended::refused("sandbox-unavailable", missing),
        };
        let as_file = |secret: &ToolSecret<Confidential>| matches!(secret.place, Place::File(_));
        if !layers.contains(&Layer::Namespaces) && order.plan.secrets.iter().any(as_file) {
            let why = "a secret as a file needs a file system of its own, which this worker cannot make";
            return Ended::refused("sandbox-unavailable", why);
        }
        let failed = |error: io::Error| Ended::refused("host", format!("cannot start the sandbox: {error}"));
        *kept = match self.groups.make(&order.plan) {
            Ok(group) => group,
            Err(error) => return failed(error),
        };
        let layout = Layout { order, settings: &self.settings, same, layers: &layers, group: kept.as_ref() };
        let [stdin, stdout, stderr] = streams;
        let spawned = sandbox::command(&layout).and_then(|mut command| {
            command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr)).spawn()
        });
        match spawned.and_then(|child| wait(child, order, control, layers.contains(&Layer::Namespaces))) {
            Ok(ended) => ended,
            Err(error) => failed(error),
        }
    }
}

/// Waits for the end of a tool, which comes earlier when the worker lets go of it or it writes too much.
fn wait(mut child: Child, order: &Order, control: &UnixStream, is_apart: bool) -> io::Result<Ended> {
    let sandbox = Sandbox::of(&child, is_apart);
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let process = pidfd_open(id.ok_or_else(|| io::Error::other("the tool has no number"))?, PidfdFlags::empty())?;
    let mut quota = Quota::new(order);
    let mut limit = None;
    let mut is_killed = false;
    loop {
        let mut watched = vec![PollFd::new(&process, PollFlags::IN)];
        if !is_killed {
            watched.push(PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN));
        }
        let pause = Timespec::try_from(quota.pause()).unwrap_or_default();
        match poll(&mut watched, Some(&pause)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_over = watched.first().is_some_and(|process| !process.revents().is_empty());
        let is_let_go = watched.get(1).is_some_and(|control| !control.revents().is_empty());
        if is_over {
            break;
        }
        if is_let_go {
            is_killed = true;
            sandbox.kill();
        } else if limit.is_none()
            && let Some(why) = quota.exceeded()
        {
            limit = Some(why);
            sandbox.kill();
        }
    }
    let status = child.wait()?;
    Ok(Ended { code: status.code(), signal: status.signal(), limit, refused: None })
}

#[expect(clippy::print_stderr, reason = "the worker's own standard error is where its log goes")]
fn complain(message: &str) {
    eprintln!("slipway {}: {message}", super::COMMAND);
}
