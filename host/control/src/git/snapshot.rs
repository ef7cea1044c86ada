//! A folder's files as they are, committed or not, as a commit in a repository of ours.

use super::command::{git, run};
use super::error::Error;
use std::path::Path;
use std::time::Duration;

/// How long taking the files may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Takes the files of `folder` (without what its `.gitignore` names) as a commit in the
/// bare `repository`, which is made when it is not there, and returns the commit. The
/// folder's own repository, if it is one, is neither used nor changed.
pub async fn snapshot(folder: &Path, repository: &Path) -> Result<String, Error> {
    let io = |source| Error::Io { what: "cannot make the folder of snapshots", source };
    if let Some(parent) = repository.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(io)?;
    }
    if !repository.join("HEAD").exists() {
        let mut init = git(None);
        init.args(["init", "--quiet", "--bare", "--template=", "--end-of-options"]).arg(repository);
        run(init, LIMIT).await?;
    }
    let mut add = git(Some(repository));
    add.arg("--work-tree").arg(folder).current_dir(folder).args(["add", "--all", "--", "."]);
    run(add, LIMIT).await?;
    let tree = word(&run(with(repository, &["write-tree"]), LIMIT).await?);
    let mut commit = with(repository, &["commit-tree", "-m", "the folder as it is", &tree]);
    for (name, value) in [("NAME", "Slipway"), ("EMAIL", "slipway@localhost"), ("DATE", "2000-01-01T00:00:00Z")] {
        commit.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
    }
    let revision = word(&run(commit, LIMIT).await?);
    run(with(repository, &["update-ref", "refs/heads/snapshot", &revision]), LIMIT).await?;
    Ok(revision)
}

fn with(repository: &Path, args: &[&str]) -> tokio::process::Command {
    let mut command = git(Some(repository));
    command.args(args);
    command
}

fn word(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (files, repository) = (folder.path().join("files"), folder.path().join("snapshot.git"));
        std::fs::create_dir(&files).unwrap();
        std::fs::write(files.join("a"), "1").unwrap();
        std::fs::write(files.join(".gitignore"), "target\n").unwrap();
        std::fs::create_dir(files.join("target")).unwrap();
        std::fs::write(files.join("target/big"), "x").unwrap();
        let first = snapshot(&files, &repository).await.unwrap();
        assert_eq!(snapshot(&files, &repository).await.unwrap(), first, "the same files give the same commit");
        std::fs::write(files.join("a"), "2").unwrap();
        std::fs::write(files.join("b"), "new").unwrap();
        let second = snapshot(&files, &repository).await.unwrap();
        assert_ne!(first, second);
        let listed = run(with(&repository, &["ls-tree", "-r", "--name-only", &second]), LIMIT).await.unwrap();
        assert_eq!(String::from_utf8(listed).unwrap(), ".gitignore\na\nb\n");
    }
}
