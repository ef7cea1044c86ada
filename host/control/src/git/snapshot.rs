//! A folder's files as they are, committed or not, as a commit in a repository of ours.

use super::command::{git, run};
use super::error::Error;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long taking the files may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Attributes of a repository of ours win over those of the folder, which would change what is
/// taken: line ends, filters, encodings (gitattributes(5)).
const ATTRIBUTES: &str = "* -text -eol -ident -filter -working-tree-encoding\n";
/// From how many loose objects on they are packed, and what no snapshot holds is thrown away.
const TIDY_FROM: &str = "gc.auto=1000";

/// Takes the files of `folder` (without what its `.gitignore` names) as a commit in the
/// bare `repository`, which is made when it is not there, and returns the commit. The
/// folder's own repository, if it is one, is neither used nor changed.
pub async fn snapshot(folder: &Path, repository: &Path) -> Result<String, Error> {
    let io = |source| Error::Io { what: "cannot make the repository of snapshots", source };
    if let Some(parent) = repository.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(io)?;
    }
    if !repository.join("HEAD").exists() {
        let mut init = git(None);
        init.args(["init", "--quiet", "--bare", "--template=", "--end-of-options"]).arg(repository);
        run(init, LIMIT).await?;
    }
    let _turn = turn(repository).await.map_err(io)?;
    let attributes = repository.join("info/attributes");
    let make = async {
        tokio::fs::create_dir_all(repository.join("info")).await?;
        tokio::fs::write(attributes, ATTRIBUTES).await
    };
    make.await.map_err(io)?;
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
    run(
        with(repository, &["-c", TIDY_FROM, "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet", "--prune=now"]),
        LIMIT,
    )
    .await?;
    Ok(revision)
}

/// Waits until nobody else takes files into this repository; the system ends that when the
/// process ends. Then no lock of git's own can be anybody's.
async fn turn(repository: &Path) -> io::Result<File> {
    let repository = repository.to_owned();
    let wait = move || {
        let turn = File::create(repository.join("turn"))?;
        turn.lock()?;
        for lock in ["index.lock", "HEAD.lock", "refs/heads/snapshot.lock", "gc.pid.lock", "packed-refs.lock"] {
            // Most often it is not there.
            let _gone = std::fs::remove_file(repository.join(lock)).is_err();
        }
        Ok(turn)
    };
    tokio::task::spawn_blocking(wait).await.map_err(io::Error::other)?
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
        // Whatever the folder's own attributes say, and whatever a killed one has left.
        std::fs::write(files.join(".gitattributes"), "* text=auto eol=lf\n").unwrap();
        std::fs::write(files.join("lines"), "one\r\ntwo\r\n").unwrap();
        std::fs::write(repository.join("index.lock"), "").unwrap();
        let whole = snapshot(&files, &repository).await.unwrap();
        let lines = run(with(&repository, &["cat-file", "blob", &format!("{whole}:lines")]), LIMIT).await.unwrap();
        assert_eq!(lines, b"one\r\ntwo\r\n");
        for gone in [".gitattributes", "lines"] {
            std::fs::remove_file(files.join(gone)).unwrap();
        }
        let (one, two) = tokio::join!(snapshot(&files, &repository), snapshot(&files, &repository));
        assert_eq!((one.unwrap(), two.unwrap()), (first.clone(), first.clone()), "one after the other");
        std::fs::write(files.join("a"), "2").unwrap();
        std::fs::write(files.join("b"), "new").unwrap();
        let second = snapshot(&files, &repository).await.unwrap();
        assert_ne!(first, second);
        let listed = run(with(&repository, &["ls-tree", "-r", "--name-only", &second]), LIMIT).await.unwrap();
        assert_eq!(String::from_utf8(listed).unwrap(), ".gitignore\na\nb\n");
    }
}
