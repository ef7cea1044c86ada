//! What a worker has given up: the process itself, as the kernel sees it.

use crate::support::{Repository, Server};

/// The number of the embedded worker.
fn worker(server: &Server) -> i32 {
    server.children("worker").into_iter().next().unwrap()
}

fn status(process: i32, key: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{key}: {status}")).trim().to_owned()
}

fn limit(process: i32, name: &str) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    limits.lines().find(|line| line.starts_with(name)).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_and_the_app_host_have_given_up_what_they_do_not_need() {
    let server = Server::start();
    let repository =
        Repository::with("name = \"a\"\n[stages.a]\nuses = \"./plugins/noop_build.wasm\"", &["noop_build"]);
    server.add("a", repository.path()).await;
    assert_eq!(server.run("a", "v1.0.0").await["state"], "passed");
    for child in ["worker", "apps"] {
        let process = server.children(child).into_iter().next().unwrap();
        for (key, value) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
            assert_eq!(status(process, key), value, "{child}: {key}");
        }
        assert!(limit(process, "Max core file size").split_whitespace().nth(4) == Some("0"), "{child}");
        // What cannot be dumped is root's in `/proc`, whoever runs it.
        let owner =
            std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{process}/environ")).unwrap());
        assert_eq!(owner, 0, "{child}");
        // Every thread, since they share their memory.
        for thread in std::fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten() {
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap();
            assert!(status.contains("Seccomp:\t2"), "{child}: a thread without: {status}");
        }
    }
    assert!(status(server.pid() as i32, "Seccomp") == "0", "the server itself runs git and its children");
    assert!(worker(&server) > 0);
}
