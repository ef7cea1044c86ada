use super::*;
use slipway_domain::definition::Reference;
use std::process::Command;

/// Runs git as a user would, in a repository made for the test.
fn user(repository: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(repository)
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@shop.example", "-c", "init.defaultBranch=main"])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn repository() -> (tempfile::TempDir, Location, Git) {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("shop");
    std::fs::create_dir_all(repository.join("src")).unwrap();
    user(&repository, &["init", "--quiet"]);
    std::fs::write(repository.join("slipway.toml"), "name = \"shop\"\n").unwrap();
    std::fs::write(repository.join("src/main.rs"), "fn main() {}\n").unwrap();
    std::os::unix::fs::symlink("src/main.rs", repository.join("link")).unwrap();
    std::fs::write(repository.join(".gitattributes"), "src/main.rs export-ignore\n").unwrap();
    user(&repository, &["add", "."]);
    user(&repository, &["commit", "--quiet", "-m", "one"]);
    user(&repository, &["tag", "-a", "v1.0.0", "-m", "one"]);
    let location = Location::parse(repository.to_str().unwrap()).unwrap();
    let git = Git::new(folder.path().join("mirrors"));
    (folder, location, git)
}

#[tokio::test]
async fn tags_branches_and_commits_are_resolved() {
    let (folder, location, git) = repository();
    let head = user(&folder.path().join("shop"), &["rev-parse", "HEAD"]);
    for (name, reference) in [
        ("v1.0.0", Reference::Tag("v1.0.0".into())),
        ("refs/tags/v1.0.0", Reference::Tag("v1.0.0".into())),
        ("main", Reference::Branch("main".into())),
        (head.as_str(), Reference::Revision),
    ] {
        let resolved = git.resolve(&location, name).await.unwrap();
        assert_eq!(resolved.revision.as_str(), head, "{name}: an annotated tag stands for its commit");
        assert_eq!(resolved.reference, reference);
    }
}

#[tokio::test]
async fn a_ref_that_moves_is_seen_at_once() {
    let (folder, location, git) = repository();
    let shop = folder.path().join("shop");
    for round in 0..3 {
        user(&shop, &["commit", "--quiet", "--allow-empty", "-m", "more"]);
        let tag = format!("t{round}");
        user(&shop, &["tag", &tag]);
        if round == 1 {
            user(&shop, &["pack-refs", "--all"]);
            user(&shop, &["gc", "--quiet"]);
        }
        let head = user(&shop, &["rev-parse", "HEAD"]);
        for name in ["main", tag.as_str(), "refs/heads/main"] {
            assert_eq!(git.resolve(&location, name).await.unwrap().revision.as_str(), head, "{name} in round {round}");
        }
    }
}

#[tokio::test]
async fn only_a_tag_is_taken_for_a_tag() {
    let (folder, location, git) = repository();
    let shop = folder.path().join("shop");
    let head = user(&shop, &["rev-parse", "HEAD"]);
    // What git's own guessing would take for a tag.
    user(&shop, &["update-ref", "refs/heads/refs/tags/v9", &head]);
    user(&shop, &["branch", "v8"]);
    let described = format!("v7-g{}", &head[..10]);
    for name in ["refs/tags/v9", "refs/tags/v8", described.as_str()] {
        assert!(matches!(git.resolve(&location, name).await, Err(Error::UnknownReference { .. })), "{name}");
    }
    assert_eq!(git.resolve(&location, "v8").await.unwrap().reference, Reference::Branch("v8".into()));
}

#[tokio::test]
async fn what_is_no_ref_or_not_there_is_told_apart() {
    let (_folder, location, git) = repository();
    for missing in ["v9.9.9", "refs/heads/v1.0.0", "refs/tags/main"] {
        assert!(matches!(git.resolve(&location, missing).await, Err(Error::UnknownReference { .. })), "{missing}");
    }
    for bad in ["--upload-pack=/bin/false", "-x", "a..b", "*", "v1^{}", "a b", "", "x@{1}", "a\nb"] {
        assert!(matches!(git.resolve(&location, bad).await, Err(Error::InvalidReference(_))), "{bad}");
    }
    let absent = Revision::new("1".repeat(40)).unwrap();
    assert!(matches!(git.fetch(&location, &absent).await, Err(Error::UnknownReference { .. })));
}

#[tokio::test]
async fn a_mirror_keeps_what_was_fetched_last_and_gets_the_rest_again() {
    let (folder, location, git) = repository();
    let shop = folder.path().join("shop");
    let mut revisions = Vec::new();
    for _ in 0..6 {
        user(&shop, &["commit", "--quiet", "--allow-empty", "-m", "more"]);
        let revision = git.resolve(&location, "main").await.unwrap().revision;
        git.fetch(&location, &revision).await.unwrap();
        revisions.push(revision);
    }
    let mirror = git.mirror_path(&location);
    let count = |what: &str| std::fs::read_dir(mirror.join(what)).unwrap().count();
    let keep = |at_most, stay| tidy::Keep { at_most, stay };
    git.tidy(&location, &mirror, keep(6, 2)).await.unwrap();
    assert_eq!(count("refs/slipway"), 6, "not too many yet");
    git.tidy(&location, &mirror, keep(5, 2)).await.unwrap();
    let listed = user(&mirror, &["for-each-ref", "--format=%(objectname)"]);
    let kept: std::collections::BTreeSet<&str> = listed.lines().collect();
    assert_eq!(kept, revisions[4..].iter().map(Revision::as_str).collect());
    let shallow = std::fs::read_to_string(mirror.join("shallow")).unwrap();
    assert_eq!(shallow.lines().count(), 2, "the lines of what is gone go too");
    // Once more, and what was asked for again counts as new.
    git.fetch(&location, &revisions[4]).await.unwrap();
    for _ in 0..6 {
        user(&shop, &["commit", "--quiet", "--allow-empty", "-m", "more"]);
        let revision = git.resolve(&location, "main").await.unwrap().revision;
        git.fetch(&location, &revision).await.unwrap();
    }
    git.fetch(&location, &revisions[4]).await.unwrap();
    git.tidy(&location, &mirror, keep(5, 2)).await.unwrap();
    assert_eq!(count("refs/slipway"), 2, "in each round");
    let listed = user(&mirror, &["for-each-ref", "--format=%(objectname)"]);
    assert!(listed.lines().count() == 2 && listed.contains(revisions[4].as_str()), "{listed}");
    for revision in [&revisions[5], &revisions[0]] {
        git.fetch(&location, revision).await.unwrap();
        assert!(git.read(&location, revision, "slipway.toml", 1000).await.unwrap().is_some(), "{revision}");
    }
}

#[tokio::test]
async fn a_damaged_repository_is_told_from_none() {
    let (folder, location, git) = repository();
    let shop = folder.path().join("shop");
    std::fs::write(shop.join(".git/refs/tags/empty"), "").unwrap();
    let error = git.resolve(&location, "empty").await.unwrap_err();
    assert!(matches!(error, Error::BrokenReference { .. }), "{error}");
    std::fs::remove_file(shop.join(".git/refs/tags/empty")).unwrap();
    // A tree that git itself would never write.
    let blob = user(&shop, &["rev-parse", "HEAD:slipway.toml"]);
    std::fs::write(shop.join("tree"), format!("100644 blob {blob}\t.git\n")).unwrap();
    let tree = user(&shop, &["-c", "alias.make=!git mktree < tree", "make"]);
    let bad = user(&shop, &["commit-tree", &tree, "-m", "bad"]);
    user(&shop, &["update-ref", "refs/heads/bad", &bad]);
    let error = git.fetch(&location, &Revision::new(bad).unwrap()).await.unwrap_err();
    let Error::Damaged { message, .. } = &error else { panic!("{error}") };
    assert!(message.contains("contains '.git'"), "{message}");
    // The good ones are fetched all the same.
    let good = git.resolve(&location, "main").await.unwrap().revision;
    git.fetch(&location, &good).await.unwrap();
}

#[test]
fn what_git_complains_of_is_told_by_its_cause() {
    let full = "error: file write error: No space left on device\nfatal: index-pack failed\n";
    assert!(matches!(Error::told(full), Error::DiskFull));
    // Another machine's disk is not ours, whatever it says.
    let theirs = "remote: fatal: No space left on device\nfatal: the remote end hung up unexpectedly\n";
    assert!(matches!(Error::told(theirs), Error::Git { .. }));
    let told = |complaint: &str| Error::told(complaint).to_string();
    assert_eq!(told("warning: ignoring\nfatal: bad\u{1b}[2J\nmore"), "git: bad\u{fffd}[2J");
    assert_eq!(told("\n"), "git: git gave no reason");
}

#[tokio::test]
async fn what_is_no_repository_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let git = Git::new(folder.path().join("mirrors"));
    let location = Location::parse(folder.path().to_str().unwrap()).unwrap();
    assert!(matches!(git.check(&location).await, Err(Error::NotARepository { .. })));
    assert!(matches!(git.resolve(&location, "main").await, Err(Error::NotARepository { .. })));
}

#[tokio::test]
async fn a_commit_is_read_and_archived_as_it_is() {
    let (folder, location, git) = repository();
    let revision = git.resolve(&location, "main").await.unwrap().revision;
    git.fetch(&location, &revision).await.unwrap();
    git.fetch(&location, &revision).await.unwrap();
    let file = git.read(&location, &revision, "slipway.toml", 1000).await.unwrap();
    assert_eq!(file.as_deref(), Some(&b"name = \"shop\"\n"[..]));
    assert_eq!(git.read(&location, &revision, "nothing.toml", 1000).await.unwrap(), None);
    assert!(git.read(&location, &revision, "slipway.toml", 3).await.is_err(), "too large");
    assert!(git.read(&location, &revision, "link", 1000).await.is_err(), "a link");
    git.check_files(&location, &revision).await.unwrap();
    let archive = folder.path().join("archive.tar");
    git.archive(&location, &revision, &archive).await.unwrap();
    let mut archive = tar::Archive::new(std::fs::File::open(archive).unwrap());
    let mut paths: Vec<String> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    paths.sort();
    assert_eq!(paths, [".gitattributes", "link", "slipway.toml", "src/main.rs"], "attributes hide nothing");
}

#[tokio::test]
async fn a_tag_of_a_tag_stands_for_the_commit() {
    let (folder, location, git) = repository();
    let shop = folder.path().join("shop");
    user(&shop, &["tag", "-a", "outer", "-m", "outer", "v1.0.0"]);
    let head = user(&shop, &["rev-parse", "HEAD"]);
    for _ in 0..2 {
        assert_eq!(git.resolve(&location, "outer").await.unwrap().revision.as_str(), head);
    }
}

#[tokio::test]
async fn what_a_broken_fetch_left_does_not_stop_the_next() {
    let (folder, location, git) = repository();
    let shop = folder.path().join("shop");
    let first = git.resolve(&location, "main").await.unwrap().revision;
    // Half a mirror, under the name that it has until it is whole.
    let mirror = git.mirror_path(&location);
    std::fs::create_dir_all(mirror.with_extension("new").join("refs")).unwrap();
    git.fetch(&location, &first).await.unwrap();
    user(&shop, &["commit", "--quiet", "--allow-empty", "-m", "more"]);
    let second = git.resolve(&location, "main").await.unwrap().revision;
    for lock in ["shallow.lock", "packed-refs.lock", "config.lock", &format!("refs/slipway/{second}.lock")] {
        std::fs::write(mirror.join(lock), "").unwrap();
    }
    git.fetch(&location, &second).await.unwrap();
}

#[tokio::test]
async fn a_fetch_goes_on_when_nobody_waits_for_it() {
    let (_folder, location, git) = repository();
    let revision = git.resolve(&location, "main").await.unwrap().revision;
    // Polled once, so that it has begun, then dropped.
    assert!(futures_util::FutureExt::now_or_never(git.fetch(&location, &revision)).is_none());
    let turn = loop {
        let turn = git.state.fetching.lock().unwrap().get(&location).cloned();
        match turn {
            Some(turn) => break turn,
            None => tokio::task::yield_now().await,
        }
    };
    // Whoever has the turn now has waited for the fetch.
    drop(turn.lock().await);
    assert!(git.is_present(&location, &revision));
}

#[tokio::test]
async fn a_large_file_goes_into_the_archive_whole() {
    let (folder, location, git) = repository();
    let shop = folder.path().join("shop");
    let bytes: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    std::fs::write(shop.join("large"), &bytes).unwrap();
    user(&shop, &["add", "."]);
    user(&shop, &["commit", "--quiet", "-m", "large"]);
    let revision = git.resolve(&location, "main").await.unwrap().revision;
    git.fetch(&location, &revision).await.unwrap();
    let to = folder.path().join("archive.tar");
    git.archive(&location, &revision, &to).await.unwrap();
    let mut archive = tar::Archive::new(std::fs::File::open(to).unwrap());
    let mut entry = archive.entries().unwrap().map(Result::unwrap).find(|entry| entry.path_bytes() == &b"large"[..]);
    let mut found = Vec::new();
    io::Read::read_to_end(entry.as_mut().unwrap(), &mut found).unwrap();
    assert!(found == bytes);
}

#[tokio::test]
async fn what_is_known_is_resolved_without_git_and_what_moved_is_not_taken_for_it() {
    let (folder, location, git) = repository();
    let shop = folder.path().join("shop");
    let known = async |name: &str| git.resolve_known(&location, location.as_path().unwrap(), name, name).await;
    assert_eq!(known("v1.0.0").await, None, "git was not asked yet");
    for packed in [false, true] {
        for name in ["v1.0.0", "main"] {
            let resolved = git.resolve(&location, name).await.unwrap();
            assert_eq!(known(name).await, Some(resolved), "{name}, packed: {packed}");
        }
        user(&shop, &["pack-refs", "--all"]);
    }
    user(&shop, &["commit", "--quiet", "--allow-empty", "-m", "more"]);
    user(&shop, &["tag", "--force", "-a", "v1.0.0", "-m", "moved"]);
    assert_eq!((known("v1.0.0").await, known("main").await), (None, None), "both have moved");
    let head = user(&shop, &["rev-parse", "HEAD"]);
    assert_eq!(git.resolve(&location, "v1.0.0").await.unwrap().revision.as_str(), head);
    assert_eq!(known("v1.0.0").await.unwrap().revision.as_str(), head);
    user(&shop, &["tag", "--delete", "v1.0.0"]);
    assert_eq!(known("v1.0.0").await, None);
    assert!(matches!(git.resolve(&location, "v1.0.0").await, Err(Error::UnknownReference { .. })));
}
