//! What a worker that is taken over reaches: its own code, with a shell in place of guests.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use slipway_worker::confine::prepare;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the worker that this process is, and the script that it runs once it is one.
const FOLDER: &str = "SLIPWAY_TEST_FOLDER";
const SCRIPT: &str = "SLIPWAY_TEST_SCRIPT";

/// Run by the tests below, in a process of its own: what it gives up it does not get back.
#[test]
fn as_a_worker() {
    let (Some(folder), Some(script)) = (std::env::var_os(FOLDER), std::env::var_os(SCRIPT)) else { return };
    let folder = PathBuf::from(folder);
    // In place of the launcher: it takes its orders and starts nothing.
    let launcher = folder.join("launcher");
    std::fs::write(&launcher, "#!/bin/sh\ncat >/dev/null\n").unwrap();
    std::fs::set_permissions(&launcher, PermissionsExt::from_mode(0o755)).unwrap();
    let _prepared = prepare(&folder, &launcher, Vec::new()).unwrap();
    let output = Command::new("/bin/sh").arg("-c").arg(script).output().unwrap();
    println!("told: {}", String::from_utf8_lossy(&output.stdout));
}

/// What a script tells that a worker in this folder runs.
fn told(folder: &Path, script: &str) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "as_a_worker", "--nocapture", "--test-threads=1"]);
    let output = command.env(FOLDER, folder).env(SCRIPT, script).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().find_map(|line| line.split_once("told: ")).unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

/// Opens a file to write, which is what counts: its times can be changed by whoever owns it.
const APPEND: &str = "sh -c ': >> \"$0\"'";

/// Threat T79.
#[test]
fn it_reaches_its_own_folders_and_no_others() {
    // Not below a folder that every process may write to.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let own = folder.path().join("worker");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::create_dir_all(folder.path().join("control")).unwrap();
    let key = folder.path().join("control/secrets.keys");
    std::fs::write(&key, "canary").unwrap();
    let attempts: [(PathBuf, &str, &str); 11] = [
        (own.join("work/mine"), "touch", "works"),
        (own.join("etc/passwd"), "cat", "works"),
        (own.join("etc/passwd"), APPEND, "refused"),
        (own.join("etc/passwd"), "rm", "refused"),
        (own.join("etc"), "mv -T /dev/null", "refused"),
        (own.join("new"), "mkdir", "refused"),
        (key.clone(), "cat", "refused"),
        (key, APPEND, "refused"),
        (folder.path().join("control"), "ls", "refused"),
        ("/etc/shadow".into(), "cat", "refused"),
        ("/var/tmp/slipway-x".into(), "mkdir", "refused"),
    ];
    for (path, how, expected) in attempts {
        let script = format!("{how} '{}' >/dev/null 2>&1 && echo works || echo refused", path.display());
        assert_eq!(told(&own, &script), expected, "{how} {}", path.display());
    }
}

#[test]
fn it_reaches_no_other_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Command::new("sleep").arg("600").env("A", "canary").spawn().unwrap();
    let id = other.id();
    for attempt in [format!("kill -0 {id}"), format!("cat /proc/{id}/environ"), format!("ls /proc/{id}/root/")] {
        let script = format!("{attempt} >/dev/null 2>&1 && echo works || echo refused");
        assert_eq!(told(folder.path(), &script), "refused", "{attempt}");
        let outside = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&outside.stdout).trim(), "works", "{attempt} outside");
    }
    other.kill().unwrap();
    other.wait().unwrap();
}
