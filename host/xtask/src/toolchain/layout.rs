//! From unpacked packages to a toolchain that can be moved: everything it needs lies within
//! it and is found from where it is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{TARGET, Toolchain};
use crate::files;

/// What the packages have and the toolchain has no use for.
const NEEDLESS: [&str; 4] = ["include", "share", "src", "lib/rustlib/src"];

/// Makes the compiler start from wherever it lies, and adds what the packages lack: cargo,
/// the linkers and the library that those load, from `lender`.
pub(super) fn arrange(prefix: &Path, lender: &Toolchain, host: &str) -> Result<Toolchain> {
    let root = prefix.join("usr");
    let libraries = libraries(&root)?;
    let name = libraries.file_name().context("the libraries are in a folder")?.to_string_lossy().into_owned();
    // Some packages still use the old folder beside `usr`.
    let old = prefix.join("lib").join(&name);
    if old.is_dir() {
        files::copy_tree(&old, &libraries, &[])?;
    }
    for program in ["rustc", "rustdoc"] {
        wrap(&root, program, &name)?;
    }
    lend(&root, lender, host)?;
    Ok(Toolchain::at(root))
}

/// The folder with the compiler's library, which is named after the machine's architecture.
fn libraries(root: &Path) -> Result<PathBuf> {
    let folders = files::list(&root.join("lib"))?;
    let has_driver = |folder: &PathBuf| {
        folder.is_dir()
            && files::list(folder)
                .is_ok_and(|files| files.iter().any(|file| file.to_string_lossy().contains("/librustc_driver-")))
    };
    folders.into_iter().find(has_driver).context("the packages have no `librustc_driver`")
}

/// Moves a program away and puts a script in its place that tells it where its libraries are.
fn wrap(root: &Path, program: &str, libraries: &str) -> Result<()> {
    let (visible, real) = (root.join("bin").join(program), root.join("libexec").join(program));
    fs::create_dir_all(root.join("libexec"))?;
    fs::rename(&visible, &real).with_context(|| format!("the packages have no `{program}`"))?;
    let script = format!(
        "#!/bin/sh\n\
         # The libraries of {program} are beside it, not in the system.\n\
         case $0 in\n\
         /*) root=${{0%/*}}/.. ;;\n\
         */*) root=$PWD/${{0%/*}}/.. ;;\n\
         *) root=$(dirname \"$(command -v -- \"$0\")\")/.. ;;\n\
         esac\n\
         LD_LIBRARY_PATH=$root/lib/{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\n\
         export LD_LIBRARY_PATH\n\
         exec \"$root/libexec/{program}\" \"$@\"\n"
    );
    fs::write(&visible, script)?;
    fs::set_permissions(&visible, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Copies what the packages lack from a toolchain of rustup's.
fn lend(root: &Path, lender: &Toolchain, host: &str) -> Result<()> {
    let linkers = Path::new("lib/rustlib").join(host).join("bin");
    let missing = |path: &Path| format!("the current toolchain has no `{}` to lend", path.display());
    for needed in [linkers.join("rust-lld"), linkers.join("gcc-ld/wasm-ld"), linkers.join("wasm-component-ld")] {
        if !lender.root.join(&needed).is_file() {
            anyhow::bail!(missing(&needed));
        }
    }
    files::copy_tree(&lender.root.join(&linkers), &root.join(&linkers), &[])?;
    let cargo = Path::new("bin/cargo");
    fs::copy(&lender.cargo, root.join(cargo)).with_context(|| missing(cargo))?;
    for library in files::list(&lender.root.join("lib"))? {
        let name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("libLLVM.so.") && !library.is_symlink() {
            fs::copy(&library, root.join("lib").join(&name))?;
        }
    }
    Ok(())
}

/// Puts the standard library and the libraries of C where the compiler looks for them.
pub(super) fn install_target(root: &Path, crates: &[PathBuf], libc: &Path) -> Result<()> {
    let library = root.join("lib/rustlib").join(TARGET).join("lib");
    let contained = library.join("self-contained");
    fs::create_dir_all(&contained)?;
    for file in crates {
        fs::copy(file, library.join(file.file_name().unwrap_or_default()))?;
    }
    for file in files::list(libc)? {
        if file.extension().is_some_and(|extension| extension == "a" || extension == "o") {
            fs::copy(&file, contained.join(file.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// Removes what nobody needs once the standard library is built.
pub(super) fn tidy(root: &Path) -> Result<()> {
    for name in NEEDLESS {
        let path = root.join(name);
        if path.is_symlink() || path.is_file() {
            fs::remove_file(&path)?;
        } else if path.is_dir() {
            fs::remove_dir_all(&path)?;
        }
    }
    for folder in files::list(&root.join("lib"))? {
        if folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("wasm32-")) {
            fs::remove_dir_all(&folder)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_wrapped_program_finds_its_libraries_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let (first, moved) = (folder.path().join("first"), folder.path().join("mo ved"));
        fs::create_dir_all(first.join("bin")).unwrap();
        let program = first.join("bin/rustc");
        fs::write(&program, "#!/bin/sh\necho \"$LD_LIBRARY_PATH $*\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        wrap(&first, "rustc", "some-linux-gnu").unwrap();
        fs::rename(&first, &moved).unwrap();

        let expected = format!("{}/bin/../lib/some-linux-gnu -V\n", moved.display());
        let absolute = moved.join("bin/rustc");
        let told = |command: &mut Command| {
            let output = command.arg("-V").env_remove("LD_LIBRARY_PATH").output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(told(&mut Command::new(&absolute)), expected);
        assert_eq!(told(Command::new("sh").args(["-c", "bin/rustc $1", "sh"]).current_dir(&moved)), expected);
        let path = format!("{}:/usr/bin:/bin", moved.join("bin").display());
        assert_eq!(told(Command::new("sh").args(["-c", "rustc $1", "sh"]).env("PATH", path)), expected);
    }
}
