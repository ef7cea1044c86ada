//! A toolchain put together from the distribution's packages, for machines where rustup
//! cannot download.
//!
//! It appears in the cache when it is whole and not before; two programs that want one at
//! the same time make one.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::packages::LIBC_FOLDER;
use super::stamp::Stamp;
use super::{TARGET, Toolchain, layout, packages, standard, verify};
use crate::env::Env;
use crate::process;
use crate::ui::{Mark, Step};

/// What is done here, in words.
pub(super) const WAY: &str = "a toolchain from the distribution's packages";

/// How the folders of unfinished toolchains begin.
const UNFINISHED: &str = ".unfinished-";

const FINISHED: &str = "rust-wasi-";

/// Finds a toolchain that was put together before.
pub(super) fn find(env: &Env) -> Option<Toolchain> {
    let folders = crate::files::list(&env.toolchains()).ok()?;
    let mut found: Vec<(String, Toolchain)> = folders
        .into_iter()
        .filter(|folder| begins_with(folder, FINISHED))
        .filter_map(|folder| Some((Stamp::read(&folder)?.rust, Toolchain::at(folder))))
        .filter(|(_, toolchain)| toolchain.is_complete())
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found.pop().map(|(_, toolchain)| toolchain)
}

/// Puts a toolchain together, with the help of the current one.
pub(super) fn assemble(env: &Env, current: &Toolchain) -> Result<Toolchain> {
    let step = Step::new(format!("assemble a Rust toolchain for {TARGET}"));
    let folder = env.toolchains();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let _lock = lock(&step, &folder)?;
    if let Some(made) = find(env) {
        step.end(Mark::Good, "another program just did");
        return Ok(made);
    }
    remove_unfinished(&folder)?;

    let work = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&folder)?;
    let prefix = work.path().join("prefix");
    fs::create_dir_all(&prefix)?;
    let mut stamp = packages::fetch(env, &step, work.path(), &prefix)?;
    let (host, lender) = identity(env, current)?;
    stamp.lender = lender;

    let toolchain = layout::arrange(&prefix, current, &host)?;
    let libc = prefix.join(LIBC_FOLDER);
    let crates = standard::build(env, &step, &toolchain, work.path(), &libc)?;
    layout::install_target(&toolchain.root, &crates, &libc)?;
    layout::tidy(&toolchain.root)?;
    verify::verify(env, &step, &toolchain, work.path())?;
    stamp.write(&toolchain.root)?;

    let home = folder.join(format!("{FINISHED}{}", stamp.rust));
    if home.exists() {
        // One that `find` would not have: of another recipe, or damaged.
        fs::remove_dir_all(&home).with_context(|| format!("cannot remove `{}`", home.display()))?;
    }
    fs::rename(&toolchain.root, &home).with_context(|| format!("cannot make `{}`", home.display()))?;
    step.end(Mark::Good, &format!("Rust {}", stamp.rust));
    Ok(Toolchain::at(home))
}

/// Waits until no other program puts a toolchain together. Dropping the file ends that.
fn lock(step: &Step, folder: &Path) -> Result<File> {
    let file = File::create(folder.join(".lock"))?;
    if file.try_lock().is_err() {
        step.detail("waiting for another program that does the same");
        file.lock().context("cannot wait for another program")?;
    }
    Ok(file)
}

/// Removes what programs left that were killed.
fn remove_unfinished(folder: &Path) -> Result<()> {
    for left in crate::files::list(folder)?.into_iter().filter(|path| begins_with(path, UNFINISHED)) {
        fs::remove_dir_all(&left).with_context(|| format!("cannot remove `{}`", left.display()))?;
    }
    Ok(())
}

/// The machine that a toolchain is for, and its version.
fn identity(env: &Env, toolchain: &Toolchain) -> Result<(String, String)> {
    let mut command = env.command(&toolchain.rustc);
    command.arg("-vV");
    let answer = process::ask(command)?;
    let host = answer.lines().find_map(|line| line.strip_prefix("host: "));
    let version = answer.lines().next().unwrap_or_default();
    Ok((host.context("the compiler does not say what machine it is for")?.to_owned(), version.to_owned()))
}

fn begins_with(path: &Path, beginning: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_unfinished_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".unfinished-a", "rust-wasi-1.96.0", "other"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        remove_unfinished(folder.path()).unwrap();
        let left = crate::files::list(folder.path()).unwrap();
        assert_eq!(left, [folder.path().join("other"), folder.path().join("rust-wasi-1.96.0")]);
    }
}
