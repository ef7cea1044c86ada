//! Real builds of other languages with a dependency, through the proxy: npm, pip and go. On a machine that has
//! not the program, or no network, there is nothing to see, and the test says so.

use crate::support::{Repository, Server};
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where distributions keep whom to believe.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

struct Build {
    name: &'static str,
    /// The toolchain, and its programs below that.
    root: Option<PathBuf>,
    programs: &'static str,
    env: String,
    /// What is run.
    program: &'static str,
    args: &'static [&'static str],
    files: &'static [(&'static str, &'static str)],
    /// The list of hosts, and those of it that are asked.
    network: &'static str,
    hosts: &'static [&'static str],
}

/// What a program prints, where there is one.
fn asked(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

fn builds() -> [Build; 3] {
    let pip = ["-c", "import pip, sys; print(sys.base_prefix)"];
    [
        Build {
            name: "npm",
            root: asked("/usr/bin/npm", &["--version"]).map(|_| "/usr".into()),
            programs: "{ npm = \"bin/npm\" }",
            env: format!("{{ NODE_EXTRA_CA_CERTS = \"{CERTIFICATES}\", NPM_CONFIG_CACHE = \"/tmp/npm\" }}"),
            program: "npm",
            args: &["install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"],
            files: &[("package.json", r#"{"name":"a","version":"1.0.0","dependencies":{"is-number":"7.0.0"}}"#)],
            network: "npm",
            hosts: &["registry.npmjs.org"],
        },
        Build {
            name: "pip",
            root: asked("python3", &pip).map(PathBuf::from),
            programs: "{ python = \"bin/python3\" }",
            // A toolchain that was built for another place finds its libraries by this.
            env: format!("{{ PIP_CERT = \"{CERTIFICATES}\", LD_LIBRARY_PATH = \"/tools/built/lib\" }}"),
            program: "python",
            args: &[
                "-m",
                "pip",
                "install",
                "--no-cache-dir",
                "--retries",
                "0",
                "--disable-pip-version-check",
                "--target",
                "deps",
                "idna",
            ],
            files: &[("README", "a")],
            network: "pypi",
            hosts: &["pypi.org", "files.pythonhosted.org"],
        },
        Build {
            name: "go",
            root: asked("go", &["env", "GOROOT"]).map(PathBuf::from),
            programs: "{ go = \"bin/go\" }",
            // The checksums stand in the repository, as they do in every one that builds twice.
            env: "{ GOPATH = \"/tmp/go\", GOCACHE = \"/tmp/go-build\", CGO_ENABLED = \"0\", GOFLAGS = \"-mod=mod\", \
                  GONOSUMDB = \"*\", GOTOOLCHAIN = \"local\" }"
                .into(),
            program: "go",
            args: &["build", "-o", "a", "."],
            files: &[
                ("go.mod", "module a\n\ngo 1.20\n\nrequire golang.org/x/text v0.3.8\n"),
                (
                    "main.go",
                    "package main\n\nimport (\n\t\"fmt\"\n\t\"golang.org/x/text/language\"\n)\n\n\
                     func main() { fmt.Println(language.English) }\n",
                ),
            ],
            network: "go",
            hosts: &["proxy.golang.org"],
        },
    ]
}

fn server(folder: &Path, build: &Build, root: &Path, reach: &[String]) -> Server {
    let policy = format!(
        "reach = [{}]\n[untrusted]\ntools = [\"*\"]\n[trusted]\nnetwork = [\"*:*\"]\n",
        reach.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ")
    );
    std::fs::write(folder.join("policy.toml"), policy).unwrap();
    let Build { programs, env, .. } = build;
    let config = format!(
        "policy = \"policy.toml\"\n[tools.built]\nroot = \"{}\"\nprograms = {programs}\nenv = {env}\n",
        root.display()
    );
    std::fs::write(folder.join("server.toml"), config).unwrap();
    Server::start_with(&["--config", folder.join("server.toml").to_str().unwrap()])
}

#[tokio::test(flavor = "multi_thread")]
async fn other_languages_fetch_dependencies_through_the_proxy_and_not_without_it() {
    for build in builds() {
        let Some(root) = &build.root else {
            println!("{}: it is not on this machine", build.name);
            continue;
        };
        // Where a registry is a mirror of one's own network, that network has to be reached.
        let resolved = build.hosts.iter().map(|host| (*host, 443).to_socket_addrs());
        let Ok(addresses) = resolved.collect::<Result<Vec<_>, _>>() else {
            println!("{}: {:?} cannot be resolved", build.name, build.hosts);
            continue;
        };
        let reach: Vec<String> = addresses.into_iter().flatten().map(|address| address.ip().to_string()).collect();
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path(), &build, root, &reach);
        let args = serde_json::to_string(build.args).unwrap();
        let granted = format!("{{ built = {{ network = [\"{}\"] }} }}", build.network);
        for (name, grant, code) in [("with", granted.as_str(), Some("0")), ("without", "[\"built\"]", None)] {
            let pipeline = format!(
                "name = \"{name}\"\n[stages.only]\nuses = \"./plugins/runs_tool.wasm\"\ngrant.tools = {grant}\n\
                 timeout_seconds = 240\nwith = {{ tool = \"built\", program = \"{}\", args = {args} }}",
                build.program
            );
            let repository = Repository::with(&pipeline, &["runs_tool"]);
            for (path, text) in build.files {
                repository.write(path, text.as_bytes());
            }
            repository.commit("all", Some("v1.1.0"));
            server.add(name, repository.path()).await;
            let run = server.run(name, "v1.1.0").await;
            let log = server.log(run["id"].as_str().unwrap()).await;
            let lines: Vec<&str> = log.iter().filter_map(|entry| entry["message"].as_str()).collect();
            let ended = crate::support::stage(&run, "only")["outputs"]["code"].as_str().map(str::to_owned);
            match code {
                Some(code) => assert_eq!(ended.as_deref(), Some(code), "{}: {run:#}\n{}", build.name, lines.join("\n")),
                None => assert_ne!(ended.as_deref(), Some("0"), "{}: it went out by another way", build.name),
            }
        }
        println!("{}: built", build.name);
    }
}
