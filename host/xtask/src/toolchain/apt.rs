//! Debian packages, downloaded and unpacked without being installed.
//!
//! Nothing here changes the system: where its lists of packages will not do, apt works in a
//! folder of ours.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::env::Env;
use crate::process;
use crate::ui::Step;

/// The archive's public keys, by the names that the package with them has used.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// apt, with one set of sources and lists.
pub(super) struct Apt<'a> {
    env: &'a Env,
    options: Vec<String>,
}

impl<'a> Apt<'a> {
    /// apt as it is set up on this machine.
    pub(super) fn of_system(env: &'a Env) -> Result<Self> {
        for program in ["apt-get", "apt-cache", "dpkg"] {
            let mut command = env.command(program);
            command.arg("--version");
            if !process::works(command) {
                bail!("`{program}` is not here, so this is no Debian or Ubuntu");
            }
        }
        Ok(Self { env, options: vec!["-o".into(), "APT::Sandbox::User=root".into()] })
    }

    /// The system's sources with lists of their own in `folder`, brought up to date.
    pub(super) fn refreshed(&self, step: &Step, folder: &Path) -> Result<Self> {
        self.elsewhere(step, folder, Vec::new())
    }

    /// A suite of the Debian archive that the system gets its packages from, with lists in `folder`.
    pub(super) fn suite(&self, step: &Step, folder: &Path, suite: &str) -> Result<Self> {
        let mirror = self.mirror()?;
        let mut source = format!("Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\n");
        if let Some(keyring) = KEYRINGS.iter().find(|keyring| Path::new(keyring).is_file()) {
            source.push_str(&format!("Signed-By: {keyring}\n"));
        }
        let sources = folder.join("sources");
        fs::create_dir_all(&sources)?;
        fs::write(sources.join(format!("{suite}.sources")), source)?;
        let settings =
            vec!["Dir::Etc::sourcelist=/dev/null".into(), format!("Dir::Etc::sourceparts={}", sources.display())];
        self.elsewhere(step, folder, settings)
    }

    /// apt with these settings and lists in `folder`, which are fetched.
    fn elsewhere(&self, step: &Step, folder: &Path, mut settings: Vec<String>) -> Result<Self> {
        let (lists, cache) = (folder.join("lists"), folder.join("cache"));
        fs::create_dir_all(lists.join("partial"))?;
        fs::create_dir_all(cache.join("archives").join("partial"))?;
        settings.push(format!("Dir::State::lists={}", lists.display()));
        settings.push(format!("Dir::Cache={}", cache.display()));
        settings.push("Acquire::Languages=none".into());
        let mut options = self.options.clone();
        options.extend(settings.into_iter().flat_map(|setting| ["-o".to_owned(), setting]));
        let apt = Self { env: self.env, options };
        process::run(step, apt.command("apt-get", &["update"]))?;
        Ok(apt)
    }

    /// The version of a package that would be downloaded, if there is one.
    pub(super) fn version(&self, package: &str) -> Option<String> {
        let answer = process::ask(self.command("apt-cache", &["show", "--no-all-versions", package])).ok()?;
        answer.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::to_owned)
    }

    /// The packages that a package depends on.
    pub(super) fn depends(&self, package: &str) -> Result<Vec<String>> {
        Ok(dependencies(&process::ask(self.command("apt-cache", &["depends", package]))?))
    }

    /// The packages that this one needs, directly or not, and that are not installed.
    pub(super) fn missing(&self, package: &str) -> Result<Vec<String>> {
        let (mut missing, mut next) = (Vec::new(), vec![package.to_owned()]);
        while let Some(package) = next.pop() {
            for needed in self.depends(&package)? {
                if !missing.contains(&needed) && !self.is_installed(&needed)? {
                    next.push(needed.clone());
                    missing.push(needed);
                }
            }
        }
        Ok(missing)
    }

    fn is_installed(&self, package: &str) -> Result<bool> {
        Ok(is_installed(&process::ask(self.command("apt-cache", &["policy", package]))?))
    }

    /// Downloads packages and unpacks them into `prefix`.
    pub(super) fn unpack(&self, step: &Step, packages: &[String], folder: &Path, prefix: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut download = self.command("apt-get", &["download"]);
        download.args(packages).current_dir(folder);
        process::run(step, download)?;
        for file in crate::files::list(folder)?.iter().filter(|file| is_package(file)) {
            let mut command = self.env.command("dpkg");
            command.arg("-x").arg(file).arg(prefix);
            step.detail(&format!("unpack {}", file.file_name().unwrap_or_default().to_string_lossy()));
            process::run(step, command)?;
        }
        Ok(())
    }

    /// Where the system gets Debian from.
    fn mirror(&self) -> Result<String> {
        let arguments = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"];
        let answer = process::ask(self.command("apt-get", &arguments))?;
        archive(&answer).context("none of the system's package sources is Debian's archive")
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.env.command(program);
        command.args(&self.options).args(arguments).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

fn is_package(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "deb")
}

/// Reads what `apt-cache depends` says. A name in angle brackets is no real package.
fn dependencies(answer: &str) -> Vec<String> {
    let names = answer.lines().filter_map(|line| line.trim().trim_start_matches('|').strip_prefix("Depends: "));
    names.filter(|name| !name.starts_with('<')).map(str::to_owned).collect()
}

/// Reads what `apt-cache policy` says about a package.
fn is_installed(answer: &str) -> bool {
    let version = answer.lines().find_map(|line| line.trim().strip_prefix("Installed: "));
    version.is_some_and(|version| version != "(none)")
}

/// Picks Debian's main archive among the addresses of repositories.
fn archive(addresses: &str) -> Option<String> {
    let main = |address: &&str| address.trim_end_matches('/').ends_with("/debian");
    addresses.lines().map(str::trim).find(main).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_real_packages() {
        let answer = "rustc\n  Depends: libc6\n |Depends: gcc\n  Depends: <libc-dev>\n    libc6-dev\n  Conflicts: x\n";
        assert_eq!(dependencies(answer), ["libc6", "gcc"]);
    }

    #[test]
    fn what_is_installed_has_a_version() {
        assert!(is_installed("libz3-4:\n  Installed: 4.8.12-3.1\n  Candidate: 4.8.12-3.1\n"));
        assert!(!is_installed("libz3-4:\n  Installed: (none)\n  Candidate: 4.8.12-3.1\n"));
        assert!(!is_installed(""));
    }

    #[test]
    fn the_security_archive_is_not_the_archive() {
        let addresses = "http://x.example/debian-security/\nhttp://x.example/debian/\n";
        assert_eq!(archive(addresses).as_deref(), Some("http://x.example/debian/"));
        assert_eq!(archive("http://x.example/ubuntu/\n"), None);
    }
}
