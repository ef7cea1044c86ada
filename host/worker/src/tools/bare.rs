//! A tool without namespaces, by the operator's explicit word: the machine has none, so the tool sees the
//! machine's own paths, and may what the worker's user may. Landlock and seccomp still hold where they are.

use super::init;
use super::launcher::Order;
use super::sandbox::Layout;
use slipway_confine::files::Files;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// What every tool sees of the machine beside its own, as far as Landlock is there.
const SYSTEM: [&str; 16] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ssl",
    "/etc/passwd",
    // Not what is told of processes: Landlock would let a tool read the environment of each of its user.
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/filesystems",
    "/proc/sys",
    "/sys/devices/system/cpu",
];
/// What every tool may write.
const OWN: [&str; 2] = ["/tmp", "/dev"];

/// The words that start it.
pub(super) fn arguments(layout: &Layout<'_>) -> io::Result<Vec<OsString>> {
    let Order { work, inputs, caches, plan, words, .. } = layout.order;
    let own = OWN.iter().map(PathBuf::from).chain([work.clone()]);
    let read = SYSTEM.iter().map(PathBuf::from).chain([inputs.clone()]);
    let confinement = init::Confinement {
        memory_bytes_max: plan.memory_bytes_max,
        processes_max: plan.processes_max,
        layers: layout.layers.clone(),
        files: Files {
            read: read.chain(plan.binds.iter().map(|bind| PathBuf::from(&bind.from))).collect(),
            write: own.chain(caches.iter().map(|(from, _)| from.clone())).collect(),
            // There is no proxy that could ask about each connection.
            connect: plan.has_network,
        },
        same: Vec::new(),
    };
    let mut args: Vec<OsString> = vec![
        layout.settings.init.clone().into(),
        init::COMMAND.into(),
        serde_json::to_string(&confinement)?.into(),
        outside(layout, &plan.program).into(),
    ];
    args.extend(words.args.iter().map(|word| OsString::from(outside(layout, word))));
    Ok(args)
}

/// The folder in which it starts.
pub(super) fn directory(layout: &Layout<'_>) -> PathBuf {
    layout.order.work.join(&layout.order.words.directory)
}

/// A word with the machine's paths in place of those of a sandbox: the whole of it, each part of a list
/// with `:`, or what comes after `=`.
pub(super) fn outside(layout: &Layout<'_>, word: &str) -> String {
    let Order { work, inputs, caches, plan, .. } = layout.order;
    let shown = |path: &PathBuf| path.display().to_string();
    let mut places = vec![("/work", shown(work)), ("/inputs", shown(inputs))];
    places.extend(caches.iter().map(|(from, to)| (to.as_str(), shown(from))));
    places.extend(plan.binds.iter().map(|bind| (bind.to.as_str(), bind.from.clone())));
    // The longest name first, as mounts lie over each other.
    places.sort_by_key(|(to, _)| std::cmp::Reverse(to.len()));
    let path = |part: &str| {
        let found = places.iter().find_map(|(to, from)| {
            let rest = part.strip_prefix(to)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{from}{rest}"))
        });
        found.unwrap_or_else(|| part.to_owned())
    };
    let list = |text: &str| text.split(':').map(path).collect::<Vec<_>>().join(":");
    match word.split_once('=') {
        Some((name, value)) if !name.contains('/') => format!("{name}={}", list(value)),
        Some(_) | None => list(word),
    }
}
