//! Which packages make a toolchain, by the names that this system has for them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::apt::Apt;
use super::stamp::Stamp;
use crate::env::Env;
use crate::ui::Step;

/// The compiler's packages, the newest first: on Debian stable, `rustc-web` is what browsers
/// are built with, and follows Rust closely. The second is the compiler's source.
const COMPILERS: [(&str, &str); 2] = [("rustc-web", "rust-web-src"), ("rustc", "rust-src")];

/// The libraries of C for WebAssembly, and the Debian suite whose version knows the target.
const LIBC: (&str, &str) = ("wasi-libc", "sid");

/// Where it has to be once unpacked.
pub(super) const LIBC_FOLDER: &str = "usr/lib/wasm32-wasip2";

/// Downloads all that is needed into `work` and unpacks it into `prefix`.
pub(super) fn fetch(env: &Env, step: &Step, work: &Path, prefix: &Path) -> Result<Stamp> {
    let system = Apt::of_system(env)?;
    let mut stamp = match Release::find(&system).and_then(|release| release.unpack(&system, step, work, prefix)) {
        Ok(stamp) => stamp,
        // The system's lists may be missing, or name versions that are no longer there.
        Err(first) => {
            step.detail("the system's lists of packages will not do: fetching new ones");
            let fresh = system.refreshed(step, &work.join("apt")).map_err(|_| first)?;
            Release::find(&fresh)?.unpack(&fresh, step, work, prefix)?
        }
    };
    let (libc, suite) = LIBC;
    step.detail(libc);
    let apt = match system.suite(step, &work.join("apt-libc"), suite) {
        Ok(apt) => apt,
        Err(_) if system.version(libc).is_some() => system,
        Err(error) => return Err(error.context(format!("cannot get `{libc}`"))),
    };
    apt.unpack(step, &[libc.to_owned()], &work.join("debs-libc"), prefix)?;
    if !prefix.join(LIBC_FOLDER).is_dir() {
        bail!("this system's `{libc}` is too old: it has no `{LIBC_FOLDER}`");
    }
    stamp.packages.insert(libc.to_owned(), apt.version(libc).unwrap_or_default());
    Ok(stamp)
}

/// A compiler that fits, and the packages it consists of.
struct Release {
    version: String,
    packages: Vec<String>,
    llvm: String,
}

impl Release {
    /// Finds the first compiler that is new enough, and follows its dependencies.
    fn find(apt: &Apt) -> Result<Self> {
        let needed = env!("CARGO_PKG_RUST_VERSION");
        let mut old = Vec::new();
        for (compiler, source) in COMPILERS {
            let Some(version) = apt.version(compiler) else { continue };
            if !is_at_least(&version, needed) {
                old.push(format!("`{compiler}` is {version}"));
                continue;
            }
            let development =
                dependency(apt, compiler, |name| name.starts_with("libstd-rust") && name.ends_with("-dev"))?;
            let library = dependency(apt, &development, |name| name.starts_with("libstd-rust"))?;
            let llvm = dependency(apt, &library, |name| name.starts_with("libllvm"))?;
            let packages = vec![compiler.into(), source.into(), development, library, llvm.clone()];
            let version = version.split(['+', '-', '~']).next().unwrap_or(&version).to_owned();
            return Ok(Self { version, packages, llvm });
        }
        if old.is_empty() {
            bail!("this system has no package with a Rust compiler");
        }
        bail!("Rust {needed} is needed, and this system's {}", old.join(", "));
    }

    fn unpack(&self, apt: &Apt, step: &Step, work: &Path, prefix: &Path) -> Result<Stamp> {
        let mut packages = self.packages.clone();
        // LLVM's libraries load others that a small system does not have.
        packages.extend(apt.missing(&self.llvm)?);
        packages.sort();
        packages.dedup();
        step.detail(&format!("download Rust {}", self.version));
        apt.unpack(step, &packages, &work.join("debs"), prefix)?;
        let versions: BTreeMap<_, _> = packages
            .into_iter()
            .map(|package| {
                let version = apt.version(&package).unwrap_or_default();
                (package, version)
            })
            .collect();
        Ok(Stamp::new(self.version.clone(), versions))
    }
}

/// Finds the one dependency of a package that is named like this.
fn dependency(apt: &Apt, package: &str, fits: impl Fn(&str) -> bool) -> Result<String> {
    let found = apt.depends(package)?.into_iter().find(|name| fits(name));
    found.with_context(|| format!("package `{package}` does not depend on what it usually does"))
}

/// Compares the first two numbers of versions.
fn is_at_least(version: &str, needed: &str) -> bool {
    let numbers = |text: &str| {
        let mut parts =
            text.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    };
    numbers(version) >= numbers(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, fits) in [
            ("1.96.0+dfsg1-1~deb12u2", true),
            ("1.95.0", true),
            ("1.85.0+dfsg3-1", false),
            ("1.100.1-1", true),
            ("1.9.0", false),
            ("2.0", true),
            ("", false),
        ] {
            assert_eq!(is_at_least(version, "1.95"), fits, "{version}");
        }
    }
}
