//! Tools that take all there is, tools that stay, and machines that cannot keep them.

use crate::sandbox::{repository, script, told};
use crate::support::{Server, slipway, stage};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// A server whose shell may have so many processes and so much memory and disk.
fn server(folder: &Path) -> Server {
    let config = folder.join("server.toml");
    let text = "[tools.sh]\nroot = \"/usr\"\nprograms = { sh = \"bin/sh\" }\n\
                processes_max = 50\nmemory_mib_max = 256\ndisk_mib_max = 64\n";
    std::fs::write(&config, text).unwrap();
    Server::start_with(&["--config", config.to_str().unwrap()])
}

/// Asks the server for as long as a run goes on, and returns the run with the longest answer.
async fn meanwhile(server: &Server, id: &str) -> (Value, Duration) {
    let mut longest = Duration::ZERO;
    loop {
        let asked = Instant::now();
        let run = server.get(&format!("/v1/runs/{id}")).await;
        longest = longest.max(asked.elapsed());
        if !matches!(run["state"].as_str(), Some("queued" | "running")) {
            return (run, longest);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Threat T52.
#[tokio::test(flavor = "multi_thread")]
async fn a_tool_takes_no_more_than_it_may_have() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let bombs = [
        ("forks", "bomb() { bomb | bomb & }; bomb; sleep 5; echo survived"),
        ("sleepers", "i=0; while [ $i -lt 2000 ]; do sleep 60 & i=$((i+1)); done; echo started"),
        ("memory", "perl -e 'my @a; push @a, \"x\" x (1 << 20) while 1'; echo code $?"),
        ("disk", "dd if=/dev/zero of=large bs=1M count=4096; sleep 30"),
        (
            "inodes",
            "mkdir many; perl -e 'for (1..100000) { open(my $f, \">\", \"many/$_\") or die; print $f \"x\" }'; sleep 30",
        ),
        ("descriptors", "perl -e '$n++ while syscall(32, 0) >= 0; print qq($n\n)'"),
        ("shared", "dd if=/dev/zero of=/dev/shm/large bs=1M count=4096 2>&1 | tail -1"),
    ];
    for (name, bomb) in bombs {
        let repository = repository(name, bomb, "timeout_seconds = 60");
        server.add(name, repository.path()).await;
        let id = server.trigger(name, "v1.0.0").await;
        let (run, longest) = meanwhile(&server, &id).await;
        let only = stage(&run, "only");
        let log: Vec<Value> = server.log(&id).await;
        let log = log.iter().map(|entry| entry["message"].as_str().unwrap_or_default()).collect::<Vec<_>>().join("\n");
        match name {
            // The group of the tool is full, or it is ended for it: either way it has not what it wanted.
            "forks" | "sleepers" => {
                let said = log.to_lowercase();
                assert!(said.contains("fork") || said.contains("more than 50 processes"), "{name}: {log}\n{run:#}");
            }
            "memory" => assert_ne!(only["outputs"]["stdout"], "code 0\n", "{run:#}"),
            "disk" | "inodes" => assert!(log.contains("a tool may write 64 MiB"), "{name}: {log}\n{run:#}"),
            "descriptors" => assert!(told(&run).parse::<u32>().unwrap() < 70_000, "{run:#}"),
            // It is memory: the first of both limits ends it.
            _ => assert!(!only["outputs"]["stdout"].as_str().unwrap().contains("(4.3 GB"), "{log}\n{run:#}"),
        }
        // Whoever asks meanwhile gets an answer, on a machine that is busy with it.
        assert!(longest < Duration::from_secs(5), "{name}: the API took {longest:?}");
    }
    assert_eq!(told(&script(&server, "after", "echo well", "").await), "well");
}

/// Threat T53: a daemon, twice forked and of a session of its own, is gone with its stage; and with the server, however
/// that ends.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_when_a_stage_or_the_server_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = server(folder.path());
    let mark = format!("{}.4321", std::process::id());
    let daemon =
        format!("trap '' TERM HUP; (setsid sh -c 'trap \"\" TERM; sleep {mark} & sleep {mark}' &) ; echo left");
    assert_eq!(told(&script(&server, "leaves", &daemon, "").await), "left");
    assert_eq!(running(&mark), 0, "after the stage");
    let repository = repository("stays", &format!("{daemon}; sleep {mark}"), "");
    server.add("stays", repository.path()).await;
    let id = server.trigger("stays", "v1.0.0").await;
    server.until_logged(&id, "left").await;
    server.until(|| running(&mark) > 0).await;
    server.kill();
    let until = Instant::now() + Duration::from_secs(10);
    while running(&mark) > 0 {
        assert!(Instant::now() < until, "after the server was killed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How many processes have a word among their arguments.
fn running(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let has = |words: Vec<u8>| words.split(|byte| *byte == 0).any(|one| one == word.as_bytes());
    processes.filter(|process| has(std::fs::read(process.path().join("cmdline")).unwrap_or_default())).count()
}

/// Without bubblewrap nothing is run, and the operator is told what is missing; what the operator allows all the
/// same is said in each stage's log.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_sandboxes_runs_tools_only_by_the_operators_word() {
    let folder = tempfile::tempdir().unwrap();
    // All programs but the one.
    let path = folder.path().join("bin");
    std::fs::create_dir(&path).unwrap();
    for place in ["/usr/bin", "/bin"] {
        for program in std::fs::read_dir(place).unwrap().flatten() {
            let name = program.file_name();
            if name != "bwrap" {
                let _there_already = std::os::unix::fs::symlink(program.path(), path.join(name)).is_err();
            }
        }
    }
    let start = |policy: &str| {
        std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
        let config = "policy = \"policy.toml\"\n[tools.sh]\nroot = \"/usr\"\nprograms = { sh = \"bin/sh\" }\ncaches = [\"/cache/sh\"]\n";
        std::fs::write(folder.path().join("server.toml"), config).unwrap();
        let path = format!("PATH={}", path.display());
        Server::start_within(&["env", &path], &["--config", folder.path().join("server.toml").to_str().unwrap()])
    };
    let asks = "pwd; ls -d /cache/sh; cat \"$KEPT\"; sleep 1 & echo done";
    let server = start("[untrusted]\ntools = [\"*\"]\n");
    let run = script(&server, "refused", asks, "").await;
    let failure = &stage(&run, "only")["failure"];
    assert_eq!(failure["code"], "sandbox-unavailable", "{run:#}");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("`bwrap` is not installed") && message.contains("allow_unsandboxed_tools"), "{message}");
    drop(server);

    let server = start("allow_unsandboxed_tools = true\n[untrusted]\ntools = [\"*\"]\n");
    let run = script(&server, "allowed", asks, "").await;
    let work = told(&run).lines().next().unwrap();
    assert!(work.contains("/worker/work/") && told(&run).ends_with("done"), "{run:#}");
    let log = server.log(run["id"].as_str().unwrap()).await;
    let warned =
        log.iter().any(|entry| entry["message"].as_str().unwrap_or_default().contains("without a whole sandbox"));
    assert!(warned, "{log:#?}");
    // Landlock is still there: files of the host are not.
    let canary = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    let reads = format!("cat {} 2>/dev/null && echo read || echo refused", canary.path().display());
    assert_eq!(told(&script(&server, "reads", &reads, "").await), "refused");
}

#[test]
fn the_doctor_tells_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let output = slipway().args(["doctor"]).env("PATH", folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("✗ tool sandbox") && text.contains("apt-get install bubblewrap"), "{text}");
}
