//! What the figures were measured on: a number without it says little.

use std::fs;
use std::path::{Path, PathBuf};

/// Describes the machine, and the file system of a folder, in one line.
pub(super) fn describe(folder: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = value(&read("/proc/meminfo"), "MemTotal").and_then(|text| gibibytes(&text));
    let memory = memory.map(|memory| format!(", {memory} GiB of memory")).unwrap_or_default();
    let system = file_system(&read("/proc/mounts"), folder);
    let system = system.map(|name| format!(", data on {name}")).unwrap_or_default();
    format!("{cores} cores ({cpu}){memory}{system}")
}

/// The value of the first line `name: value`.
fn value(text: &str, name: &str) -> Option<String> {
    let found = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)?;
    Some(found.1.trim().to_owned())
}

/// A number of kibibytes, rounded.
fn gibibytes(text: &str) -> Option<String> {
    let kibibytes: f64 = text.strip_suffix("kB")?.trim().parse().ok()?;
    Some(format!("{:.0}", kibibytes / 1_048_576.0))
}

/// The kind of the file system that is mounted closest above a folder.
fn file_system(mounts: &str, folder: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((PathBuf::from(words.next()?), words.next()?))
    });
    let above = mounts.filter(|(mounted, _)| folder.starts_with(mounted));
    above.max_by_key(|(mounted, _)| mounted.components().count()).map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_the_closest_one() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /home xfs rw 0 0\nproc /proc proc rw 0 0";
        assert_eq!(file_system(mounts, Path::new("/tmp/a")).as_deref(), Some("tmpfs"));
        assert_eq!(file_system(mounts, Path::new("/home/ann/.cache")).as_deref(), Some("xfs"));
        assert_eq!(file_system(mounts, Path::new("/homes")).as_deref(), Some("ext4"));
    }

    #[test]
    fn the_machine_is_told_in_a_line() {
        assert_eq!(value("a\t: 1\nmodel name\t: Fast\nmodel name: 2", "model name").as_deref(), Some("Fast"));
        assert_eq!(gibibytes("16777216 kB").as_deref(), Some("16"));
        assert_eq!(describe(Path::new("/")).lines().count(), 1);
    }
}
