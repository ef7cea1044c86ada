//! Files: copied when they are different, and as a tree.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Copies a file unless the same bytes are there, so that its time tells of real changes.
/// Whoever reads it meanwhile sees the old one or the new one.
pub(crate) fn copy_if_changed(from: &Path, to: &Path) -> Result<bool> {
    let new = fs::read(from).with_context(|| format!("cannot read `{}`", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    let folder = to.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    // A temporary file is for its owner only unless it is told otherwise.
    let readable = fs::Permissions::from_mode(0o644);
    let mut file = tempfile::Builder::new().permissions(readable).tempfile_in(folder)?;
    file.write_all(&new)?;
    file.persist(to).with_context(|| format!("cannot write `{}`", to.display()))?;
    Ok(true)
}

/// Removes the files of a folder that have this extension and whose name is not wanted.
pub(crate) fn remove_others(folder: &Path, extension: &str, wanted: &[String]) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|found| found == extension) && !wanted.contains(&name) {
            fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Copies a folder's contents, but for entries at its top that have one of these names.
/// What is there already is written over; links are followed.
pub(crate) fn copy_tree(from: &Path, to: &Path, without: &[&str]) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list `{}`", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if without.iter().any(|skipped| name == *skipped) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if source.is_dir() {
            copy_tree(&source, &target, &[])?;
        } else {
            fs::copy(&source, &target)
                .with_context(|| format!("cannot copy `{}` to `{}`", source.display(), target.display()))?;
        }
    }
    Ok(())
}

/// The entries of a folder, sorted.
pub(crate) fn list(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_file_keeps_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("new/to"));
        fs::write(&from, "one").unwrap();
        assert!(copy_if_changed(&from, &to).unwrap());
        let time = fs::metadata(&to).unwrap().modified().unwrap();
        assert!(!copy_if_changed(&from, &to).unwrap());
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), time);
        fs::write(&from, "two").unwrap();
        assert!(copy_if_changed(&from, &to).unwrap());
        assert_eq!(fs::read_to_string(&to).unwrap(), "two");
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o044, 0o044, "others may read it");
    }

    #[test]
    fn what_is_no_longer_built_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["old.wasm", "kept.wasm", "notes.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_others(folder.path(), "wasm", &["kept".into()]).unwrap();
        let left = list(folder.path()).unwrap();
        assert_eq!(left, [folder.path().join("kept.wasm"), folder.path().join("notes.txt")]);
    }

    #[test]
    fn a_tree_is_copied_without_what_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for path in ["a/target", "target", "b"] {
            fs::create_dir_all(from.join(path)).unwrap();
            fs::write(from.join(path).join("file"), path).unwrap();
        }
        copy_tree(&from, &to, &["target"]).unwrap();
        assert!(to.join("a/target/file").is_file() && to.join("b/file").is_file());
        assert!(!to.join("target").exists());
    }
}
