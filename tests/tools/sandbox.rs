//! What tools meet in their sandbox, and what they leave behind. The same is tried outside
//! where it makes sense, so that a test that cannot fail is seen.

use crate::support::{Repository, Server, slipway, stage};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The configuration of a server with a shell as a tool, which finds its programs in `/usr`.
fn shell(folder: &Path) -> String {
    let config = folder.join("server.toml");
    let text = "[tools.sh]\nroot = \"/usr\"\nprograms = { sh = \"bin/sh\" }\ncaches = [\"cached\"]\n";
    std::fs::write(&config, text).unwrap();
    config.to_str().unwrap().to_owned()
}

/// A repository whose only stage runs a script.
pub fn repository(name: &str, script: &str, more: &str) -> Repository {
    let script = serde_json::to_string(script).unwrap();
    let pipeline = format!(
        "name = \"{name}\"\n[stages.only]\nuses = \"./plugins/runs_tool.wasm\"\ngrant.tools = [\"sh\"]\n{more}\n\
         with = {{ tool = \"sh\", program = \"sh\", args = [\"-c\", {script}] }}"
    );
    Repository::with(&pipeline, &["runs_tool"])
}

/// Runs a script as the only stage.
pub async fn script(server: &Server, name: &str, script: &str, more: &str) -> Value {
    let repository = repository(name, script, more);
    server.add(name, repository.path()).await;
    server.run(name, "v1.0.0").await
}

/// What a script wrote to standard output.
pub fn told(run: &Value) -> &str {
    let only = stage(run, "only");
    assert_eq!(only["outputs"]["code"], "0", "{run:#}");
    only["outputs"]["stdout"].as_str().unwrap().trim()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_sees_its_workspace_and_nothing_of_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&["--config", &shell(folder.path())]);
    let data = server.data();
    let seen = |path: &str| format!("test -e '{path}' && echo seen || echo hidden");
    let hidden = [data.to_str().unwrap(), "/root", "/etc/shadow", "/sys/kernel"];
    for (number, path) in hidden.iter().enumerate() {
        let run = script(&server, &format!("hidden-{number}"), &seen(path), "").await;
        assert_eq!(told(&run), "hidden", "{path}");
    }
    assert!(Path::new("/etc/shadow").exists() && data.exists(), "there would be something to see");
    let questions = [
        ("user", "id -u", "1000"),
        ("network", "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '", "lo"),
        ("first", "cat /proc/1/comm", "init"),
        ("place", "pwd", "/work"),
        ("variables", "env | cut -d= -f1 | sort | tr '\\n' ' '", "HOME LANG PATH PWD TMPDIR"),
        ("usr", "touch /usr/x 2>/dev/null && echo written || echo refused", "refused"),
        ("root", "touch /x 2>/dev/null && echo written || echo refused", "refused"),
        ("usage", "touch /run/slipway/x 2>/dev/null && echo written || echo refused", "refused"),
        ("inputs", "touch /inputs/x 2>/dev/null && echo written || echo refused", "refused"),
        ("work", "touch /work/x 2>/dev/null && echo written || echo refused", "written"),
        ("nested", "unshare --user true 2>/dev/null && echo made || echo refused", "refused"),
    ];
    for (name, question, answer) in questions {
        let run = script(&server, name, question, "").await;
        assert_eq!(told(&run), answer, "{name}");
    }
    let run = script(&server, "words", "tr '\\0' ' ' < /proc/1/cmdline", "").await;
    assert!(!told(&run).contains(data.to_str().unwrap()), "no path of the host: {}", told(&run));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_open_when_the_program_was_started_is_not_open_in_its_tools() {
    let folder = tempfile::tempdir().unwrap();
    let config = shell(folder.path());
    let repository = repository("open", "ls /proc/self/fd/ /proc/1/fd/ | tr '\\n' ' '", "");
    // The shell leaves the root of the machine open under number 9.
    let run = format!("exec '{}' --json run --config '{config}' 9< /", slipway().get_program().to_str().unwrap());
    let outside = Command::new("sh").args(["-c", "ls /proc/self/fd/ 9< /"]).output().unwrap();
    assert!(String::from_utf8_lossy(&outside.stdout).contains('9'), "it is open outside");
    let output = Command::new("sh").args(["-c", &run]).current_dir(repository.path()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let seen = told.lines().find(|line| line.contains("/proc/1/fd/")).unwrap_or_else(|| panic!("{told}"));
    assert!(!seen.split_whitespace().any(|number| number == "9"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn opens_leavings() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&["--config", &shell(folder.path())]);
    let pipeline = "name = \"leavings\"\n[stages.only]\nuses = \"./plugins/opens_leavings.wasm\"\n\
                    grant.tools = [\"sh\"]\ntimeout_seconds = 20";
    let repository = Repository::with(pipeline, &["opens_leavings"]);
    server.add("leavings", repository.path()).await;
    let run = server.run("leavings", "v1.0.0").await;
    assert_eq!(stage(&run, "only")["outputs"]["checked"], "yes", "{run:#}");
}

/// Not as root, to whom nothing is shut.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_leaves_is_removed_however_it_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_unprivileged(&["--config", &shell(folder.path())]);
    let work = server.data().join("worker/work");
    let leave = "mkdir -p shut/inner && echo x > shut/inner/file && chmod 0 shut/inner shut; \
                 deep=$(printf 'd/%.0s' $(seq 1000)); for round in 1 2 3; do mkdir -p new/$deep; \
                 [ ! -d old ] || mv old new/$deep; mv new old; done; echo left";
    let run = script(&server, "leaves", leave, "").await;
    assert_eq!(told(&run), "left");
    server.until(|| std::fs::read_dir(&work).map_or(true, |mut left| left.next().is_none())).await;
    // The same is left by one that is killed in the middle, and does not keep the next from its work.
    let leave = format!("{leave}; sleep 1000");
    let repository = repository("stays", &leave, "");
    server.add("stays", repository.path()).await;
    let id = server.trigger("stays", "v1.0.0").await;
    server.until_logged(&id, "left").await;
    server.kill();
    assert!(std::fs::read_dir(&work).unwrap().next().is_some(), "it is still there");
    server.restart();
    server.request("POST", &format!("/v1/runs/{id}/cancel"), None).await;
    assert_eq!(server.end(&id).await["state"], "cancelled");
    let run = script(&server, "next", "echo next", "").await;
    assert_eq!(told(&run), "next");
    server.until(|| std::fs::read_dir(&work).map_or(true, |mut left| left.next().is_none())).await;
}

/// What a build leaves where its tool keeps it is there for the next, and for nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_build_is_warm() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&["--config", &shell(folder.path())]);
    let build = "cat cached/left 2>/dev/null || echo cold; mkdir -p cached; echo warm > cached/left";
    let repository = repository("one", build, "");
    server.add("one", repository.path()).await;
    for found in ["cold", "warm"] {
        assert_eq!(told(&server.run("one", "v1.0.0").await), found);
    }
    assert_eq!(told(&script(&server, "other", build, "").await), "cold");
}

/// A tool that is let go ends, and what it has started in the background with it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_tool_outlives_its_stage() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&["--config", &shell(folder.path())]);
    // A number of seconds that nobody else sleeps.
    let sleeps = "setsid sh -c 'sleep 86399' & sleep 86399";
    let run = script(&server, "sleeps", sleeps, "timeout_seconds = 2").await;
    assert_eq!(stage(&run, "only")["fault"]["code"], "deadline", "{run:#}");
    let is_left = std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let words = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        words.starts_with(b"sleep\x0086399")
    });
    assert!(!is_left);
}

/// Threats T51 and T55: calls of the kernel that attacks begin with, by number (`x86_64`), and what they say. Outside
/// they say something else, so the filter is what is seen.
#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_refuses_a_tool_what_no_build_needs() {
    const CALLS: &[(&str, u32, &str, i32)] = &[
        ("ptrace", 101, "0, 0, 0, 0", 1),
        ("process_vm_readv", 310, "0, 0, 0, 0, 0, 0", 1),
        ("bpf", 321, "99, 0, 0", 1),
        ("perf_event_open", 298, "0, 0, -1, -1, 0", 1),
        ("userfaultfd", 323, "4294967295", 1),
        ("keyctl", 250, "99, 0, 0, 0, 0", 1),
        ("add_key", 248, "0, 0, 0, 0, 0", 1),
        ("open_by_handle_at", 304, "-1, 0, 0", 1),
        ("unshare", 272, "4294967295", 1),
        ("setns", 308, "-1, 0", 1),
        ("mount", 165, "0, 0, 0, 0, 0", 1),
        ("pidfd_getfd", 438, "-1, 0, 0", 1),
        ("io_uring_setup", 425, "0, 0", 38),
        ("clone3", 435, "0, 0", 38),
        ("ioctl TIOCSTI", 16, "-1, 21522, 0", 1),
        ("ioctl TIOCLINUX", 16, "-1, 21532, 0", 1),
        ("ioctl TCGETS", 16, "-1, 21505, 0", 9),
        ("x32 bpf", 321 + 0x4000_0000, "99, 0, 0", 1),
        ("getpid", 39, "", 0),
    ];
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(&["--config", &shell(folder.path())]);
    let line = |number: &u32, arguments: &str| {
        let arguments = if arguments.is_empty() { String::new() } else { format!(", {arguments}") };
        format!("perl -e '$! = 0; syscall({number}{arguments}); print $!+0, qq(\\n)'")
    };
    let lines: Vec<String> = CALLS.iter().map(|(_, number, arguments, _)| line(number, arguments)).collect();
    let run = script(&server, "calls", &lines.join("\n"), "").await;
    let inside: Vec<i32> = told(&run).lines().map(|line| line.parse().unwrap()).collect();
    let outside = Command::new("sh").args(["-c", &lines.join("\n")]).output().unwrap();
    let outside: Vec<i32> =
        String::from_utf8(outside.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    for (index, (name, _, _, errno)) in CALLS.iter().enumerate() {
        assert_eq!(inside[index], *errno, "{name} inside");
        if matches!(errno, 1 | 38) && !name.starts_with("x32") {
            assert_ne!(outside[index], *errno, "{name} outside: the test would see nothing");
        }
    }
}
