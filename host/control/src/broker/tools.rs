//! `tools`: how a granted tool is run, from the operator's entry.

use super::Done;
use crate::config::{Config, Tool};
use crate::scheduler::CallContext;
use slipway_domain::check::list;
use slipway_protocol::Reply;
use slipway_protocol::call::{Bind, Cache, ToolPlan};
use std::time::UNIX_EPOCH;

pub(super) fn start(config: &Config, context: &CallContext, tool: &str, program: &str) -> Done {
    let Some(entry) = config.tools.get(tool) else {
        return Done::refused("unknown-tool", format!("this server has no tool `{}`", tool.escape_debug()));
    };
    let Some(path) = entry.programs.get(program) else {
        let known: Vec<&str> = entry.programs.keys().map(String::as_str).collect();
        let message = format!("tool `{tool}` has no program `{}`: it has {}", program.escape_debug(), list(&known));
        return Done::refused("unknown-program", message);
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
    Done::reply(Reply::Tool(ToolPlan {
        program: format!("{root}/{path}"),
        binds,
        env,
        caches: caches.collect(),
        memory_bytes_max: entry.memory_mib_max << 20,
    }))
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
