//! `tools`: how a granted tool is run, from the operator's entry.

use super::Done;
use crate::config::Config;
use crate::scheduler::CallContext;
use slipway_domain::check::list;
use slipway_protocol::Reply;
use slipway_protocol::call::{Bind, Cache, ToolPlan};

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
    // Another pipeline or another tier never finds what this one left.
    let caches = entry
        .caches
        .iter()
        .map(|to| Cache { key: format!("{}\0{}\0{tool}\0{to}", context.pipeline_name, context.tier), to: to.clone() });
    Done::reply(Reply::Tool(ToolPlan {
        program: format!("{root}/{path}"),
        binds,
        env,
        caches: caches.collect(),
        memory_bytes_max: entry.memory_mib_max << 20,
    }))
}
