//! The memory of a server that has nothing to do, and of all that it has started.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::figures::Findings;
use super::{Bench, start};
use crate::interrupt;
use crate::ui::{Mark, Step};

/// How long it is left alone first.
const REST: Duration = Duration::from_secs(3);

/// Measures it on a new folder.
pub(super) fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let step = Step::new("look at an idle server's memory");
    let server = start::server(bench, &bench.home("idle")?)?;
    interrupt::pause(REST)?;
    let processes = tree(server.id())?;
    let (mut rss, mut pss) = (0.0, 0.0);
    for process in &processes {
        let path = format!("/proc/{process}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
        rss += megabytes(&text, "Rss:").with_context(|| format!("`{path}` does not tell the resident memory"))?;
        pss += megabytes(&text, "Pss:").with_context(|| format!("`{path}` does not tell the memory's share"))?;
    }
    server.stop()?;
    findings.add_with("idle_rss_mb", rss, format!("{} processes", processes.len()));
    findings.add("idle_pss_mb", pss);
    step.end(Mark::Good, &format!("{} processes", processes.len()));
    Ok(())
}

/// A process and all that come from it.
fn tree(root: u32) -> Result<BTreeSet<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list `/proc`")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // It may have ended just now.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        parents.extend(parent(&stat).map(|parent| (process, parent)));
    }
    Ok(descendants(root, &parents))
}

/// The parent, as `/proc/PID/stat` tells it: the second word after the name, which is in
/// parentheses and may have anything in it.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn descendants(root: u32, parents: &[(u32, u32)]) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([root]);
    loop {
        let more = parents.iter().filter(|(_, parent)| found.contains(parent)).map(|(process, _)| *process);
        let more: Vec<u32> = more.filter(|process| !found.contains(process)).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// A line of `smaps_rollup`, which counts in kibibytes.
fn megabytes(text: &str, name: &str) -> Option<f64> {
    let kibibytes: f64 =
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB"))?.trim().parse().ok()?;
    Some(kibibytes * 1_024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_children_of_children() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 5)];
        assert_eq!(descendants(2, &parents), BTreeSet::from([2, 3, 4]));
        assert_eq!(descendants(6, &parents), BTreeSet::from([6]));
    }

    #[test]
    fn a_name_cannot_pass_for_a_parent() {
        assert_eq!(parent("12 (a) S 7 (b)) S 34 12 12 0"), Some(34));
        assert_eq!(parent("12"), None);
    }

    #[test]
    fn this_program_has_memory() {
        let process = std::process::id();
        assert!(tree(process).unwrap().contains(&process));
        let text = "00400000-7fff Rss\nRss:               15625 kB\nPss:                 100 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(megabytes(text, "Rss:"), Some(16.0));
        assert_eq!(megabytes(text, "Pss:"), Some(0.1024));
        assert_eq!(megabytes(text, "Swap:"), None);
    }
}
