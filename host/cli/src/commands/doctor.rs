//! `slipway doctor`: whether this machine has what is needed, and what to do when not.

use super::inspect::Inspector;
use super::serve::config;
use crate::{built_in, exit, output};
use serde_json::json;
use slipway_control::config::Tool;
use slipway_worker::tools::cgroup::Groups;
use slipway_worker::tools::layers::Missing;
use slipway_worker::tools::{Availability, probe};
use std::path::Path;
use std::process::ExitCode;

/// How a thing stands.
enum Finding {
    Good(String),
    /// Something does not work without it.
    Bad {
        what: String,
        hint: String,
    },
}

pub(super) async fn run(file: Option<&Path>, as_json: bool) -> anyhow::Result<ExitCode> {
    let rust = config(file, None)?.tools.remove("rust");
    let findings = [
        ("git", git()),
        ("tool sandbox", sandbox()),
        ("tool limits", limits()),
        ("rust toolchain", toolchain(rust.as_ref())),
        ("rust doc tests", doc_tests(rust.as_ref())),
        ("built-in plugins", plugins().await),
    ];
    let bad = findings.iter().filter(|(_, finding)| matches!(finding, Finding::Bad { .. })).count();
    if as_json {
        let findings = findings.iter().map(|(name, finding)| match finding {
            Finding::Good(what) => json!({ "name": name, "ok": true, "what": what }),
            Finding::Bad { what, hint } => json!({ "name": name, "ok": false, "what": what, "hint": hint }),
        });
        output::json(&json!({ "ok": bad == 0, "findings": findings.collect::<Vec<_>>() }));
    } else {
        for (name, finding) in &findings {
            match finding {
                Finding::Good(what) => output::line(format!("✓ {name:<18} {}", output::plain(what))),
                Finding::Bad { what, hint } => {
                    output::line(format!("✗ {name:<18} {}\n    {}", output::plain(what), output::plain(hint)));
                }
            }
        }
    }
    Ok(ExitCode::from(if bad == 0 { exit::OK } else { exit::FAILED }))
}

fn git() -> Finding {
    match std::process::Command::new("git").arg("--version").output() {
        Ok(output) if output.status.success() => {
            Finding::Good(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(_) | Err(_) => Finding::Bad {
            what: "`git` is not there".into(),
            hint: "install it: revisions come from git repositories".into(),
        },
    }
}

fn sandbox() -> Finding {
    let Availability(missing) = probe();
    if missing.is_empty() {
        return Finding::Good("namespaces, Landlock and seccomp keep tools to their own".into());
    }
    let list = |of: fn(&Missing) -> &String| missing.iter().map(|one| of(one).as_str()).collect::<Vec<_>>().join("; ");
    Finding::Bad { what: list(|missing| &missing.what), hint: list(|missing| &missing.hint) }
}

fn limits() -> Finding {
    let counted = |by_group: bool| if by_group { "by control groups" } else { "for each process" };
    let (processes, memory) = Groups::find().counts();
    let processes = if processes { counted(true) } else { "by looking at them" };
    Finding::Good(format!("memory is limited {}, processes {processes}", counted(memory)))
}

/// Whether tests in the documentation can run: `cargo-test@1` runs them where there is a
/// library, and cargo asks rustdoc for them.
fn doc_tests(tool: Option<&Tool>) -> Finding {
    let Some(tool) = tool else {
        return Finding::Bad {
            what: "there is no toolchain to run them".into(),
            hint: "`cargo-test@1` runs the tests in the documentation of libraries with it".into(),
        };
    };
    let bad = |what: String| Finding::Bad {
        what,
        hint:
            "`cargo-test@1` cannot test libraries with it: give `[tools.rust]` a toolchain with a whole `rustdoc`, or \
               set `doctest = false` in the `[lib]` of such packages"
                .into(),
    };
    let Some(path) = tool.programs.get("rustdoc") else {
        return bad(format!("the toolchain at {} has no `rustdoc`", tool.root.display()));
    };
    let program = tool.root.join(path);
    match std::process::Command::new(&program).arg("--version").output() {
        Ok(output) if output.status.success() => {
            Finding::Good(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or("it says nothing").trim().to_owned();
            bad(format!("`{}` does not start: {said}", program.display()))
        }
        Err(error) => bad(format!("`{}` does not start: {error}", program.display())),
    }
}

fn toolchain(tool: Option<&Tool>) -> Finding {
    let Some(tool) = tool else {
        return Finding::Bad {
            what: "no Rust toolchain was found for tool `rust`".into(),
            hint: "install one with rustup, or configure `[tools.rust]`; pipelines in other languages do not need it"
                .into(),
        };
    };
    if tool.root.join("lib/rustlib/wasm32-wasip2").is_dir() {
        return Finding::Good(format!("{} with wasm32-wasip2", tool.root.display()));
    }
    Finding::Bad {
        what: format!("the toolchain at {} cannot build for wasm32-wasip2", tool.root.display()),
        hint: "`rustup target add wasm32-wasip2`, or name another toolchain in $SLIPWAY_RUST_TOOLCHAIN; only apps \
               for the embedded app host need it"
            .into(),
    }
}

async fn plugins() -> Finding {
    let looked = async {
        let inspector = Inspector::new().map_err(|error| error.to_string())?;
        let mut names = Vec::new();
        for (name, bytes) in built_in::plugins(None).map_err(|error| error.to_string())? {
            let facts = inspector.look(&bytes).await.1.map_err(|reason| format!("`{name}`: {reason}"))?;
            names.push(format!("{}@{}", facts.plugin.name, facts.plugin.version));
        }
        Ok(names)
    };
    match looked.await {
        Ok(names) if names.is_empty() => Finding::Bad {
            what: "this build has none".into(),
            hint: "`cargo xtask guests` builds them, then build `slipway` again".into(),
        },
        Ok(names) => Finding::Good(names.join(", ")),
        Err(what) => Finding::Bad { what: String::clone(&what), hint: "this build is broken".into() },
    }
}
