//! `tools`: how a granted tool is run, from the operator's entry.

use super::{Broker, Done, named};
use crate::config::{Config, Tool};
use crate::scheduler::CallContext;
use slipway_domain::SecretName;
use slipway_domain::check::list;
use slipway_domain::grant::Capability;
use slipway_protocol::Reply;
use slipway_protocol::call::{Bind, Cache, ToolPlan};
use slipway_protocol::outcome::Failure;
use slipway_protocol::secret::{Place, ToolSecret};
use std::time::UNIX_EPOCH;

/// How a tool runs, with its secrets.
pub(super) async fn start_with(
    broker: &Broker,
    context: &CallContext,
    tool: &str,
    program: &str,
    secrets: &[ToolSecret<String>],
) -> Done {
    let mut values = Vec::with_capacity(secrets.len());
    for ToolSecret { secret, place } in secrets {
        let name = match named(SecretName::new(secret.as_str())) {
            Ok(name) => name,
            Err(failure) => return Done::reply(Reply::Refused(failure)),
        };
        match broker.secret(context, &name).await {
            Ok(value) if matches!(place, Place::Env(_)) && value.expose().contains(&0) => {
                let message = format!("secret `{name}` holds a NUL byte, and cannot stand in the environment");
                return Done::refused("invalid-command", message);
            }
            Ok(value) => values.push(ToolSecret { secret: value, place: place.clone() }),
            Err(failure) => return Done::reply(Reply::Refused(failure)),
        }
    }
    match start(&broker.config, context, tool, program) {
        Ok(plan) => Done::reply(Reply::Tool(ToolPlan { secrets: values, ..plan })),
        Err(failure) => Done::reply(Reply::Refused(failure)),
    }
}

/// How a tool runs.
pub(super) fn start(config: &Config, context: &CallContext, tool: &str, program: &str) -> Result<ToolPlan, Failure> {
    let Some(entry) = config.tools.get(tool) else {
        return Err(Failure::new("unknown-tool", format!("this server has no tool `{}`", tool.escape_debug())));
    };
    let Some(path) = entry.programs.get(program) else {
        let known: Vec<&str> = entry.programs.keys().map(String::as_str).collect();
        let message = format!("tool `{tool}` has no program `{}`: it has {}", program.escape_debug(), list(&known));
        return Err(Failure::new("unknown-program", message));
    };
    let root = format!("/tools/{tool}");
    let mut binds = vec![Bind { from: entry.root.display().to_string(), to: root.clone() }];
    binds.extend(entry.read.iter().map(|path| {
        let path = path.display().to_string();
        Bind { from: path.clone(), to: path }
    }));
    let folder = path.rsplit_once('/').map_or(root.clone(), |(folder, _)| format!("{root}/{folder}"));
    let mut env = vec![
        ("PATH".to_owned(), format!("{folder}:/usr/bin:/bin")),
        ("HOME".to_owned(), "/home/stage".to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("TMPDIR".to_owned(), "/tmp".to_owned()),
    ];
    env.extend(entry.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    // Another pipeline or another tier never finds what this one left, nor does another
    // compiler, which could not use it.
    let (pipeline, tier, identity) = (&context.pipeline_name, &context.tier, identity(entry));
    let caches = entry
        .caches
        .iter()
        .map(|to| Cache { key: format!("{pipeline}\0{tier}\0{tool}\0{identity}\0{to}"), to: to.clone() });
    let has_network =
        |capability: &Capability| matches!(capability, Capability::Network(name, _) if name.as_str() == tool);
    Ok(ToolPlan {
        program: format!("{root}/{path}"),
        binds,
        env,
        caches: caches.collect(),
        memory_bytes_max: entry.memory_mib_max << 20,
        processes_max: entry.processes_max,
        disk_bytes_max: entry.disk_mib_max << 20,
        allow_unsandboxed: config.rules.allow_unsandboxed_tools,
        secrets: Vec::new(),
        has_network: context.grants.iter().any(has_network),
        reach: config.rules.reach.0.iter().map(ToString::to_string).collect(),
    })
}

/// What tells one state of a toolchain from another: where it is, and the size and time of its
/// programs.
fn identity(tool: &Tool) -> String {
    let programs = tool.programs.values().map(|path| {
        let metadata = std::fs::metadata(tool.root.join(path)).ok();
        let time = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
        let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        format!("{path} {} {}", metadata.map_or(0, |metadata| metadata.len()), since.as_nanos())
    });
    std::iter::once(tool.root.display().to_string()).chain(programs).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_compiler_is_another_toolchain() {
        let folder = tempfile::tempdir().unwrap();
        let tool = Tool {
            root: folder.path().to_owned(),
            programs: [("rustc".to_owned(), "rustc".to_owned())].into(),
            ..Tool::default()
        };
        std::fs::write(folder.path().join("rustc"), "1").unwrap();
        let first = identity(&tool);
        assert_eq!(identity(&tool), first);
        std::fs::write(folder.path().join("rustc"), "22").unwrap();
        assert_ne!(identity(&tool), first);
    }
}
