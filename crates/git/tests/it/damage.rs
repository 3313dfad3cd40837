//! Damaged and hostile repositories: never an empty answer.

use foreshore_git::{EntryKind, GitError};

use crate::{MAIN, git, repository, write_file};

#[test]
fn a_damaged_reference_is_an_error_and_not_absent() {
    let (_folder, repository) = repository();
    write_file(&repository, "a", "1");
    std::fs::write(repository.path().join("refs/heads/main"), "").unwrap();
    assert!(repository.resolve(MAIN).is_err());
    assert!(repository.refs("refs/heads").is_err());
}

#[test]
fn a_missing_and_a_damaged_object_are_told_apart_from_nothing() {
    let (_folder, repository) = repository();
    let tip = write_file(&repository, "a", "1");
    let entry = repository.entry(&tip, "a").unwrap().unwrap();
    let absent = "0123456789012345678901234567890123456789".parse().unwrap();
    assert!(matches!(
        repository.read_blob(&absent),
        Err(GitError::MissingObject { .. })
    ));
    assert!(matches!(
        repository.read_blob(&tip),
        Err(GitError::WrongKind { .. })
    ));
    for pack in std::fs::read_dir(repository.path().join("objects/pack")).unwrap() {
        let path = pack.unwrap().path();
        if path.extension().is_some_and(|end| end == "pack") {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, b"PACK damaged").unwrap();
        }
    }
    let fresh = foreshore_git::Repository::open(repository.path()).unwrap();
    assert!(fresh.read_blob(&entry.id).is_err());
}

#[test]
fn readers_start_again_after_their_process_died() {
    let (_folder, repository) = repository();
    let tip = write_file(&repository, "a", "1");
    let read = || repository.read_path(&tip, "a").unwrap().unwrap();
    assert_eq!(read(), b"1");
    let children = std::fs::read_to_string(format!(
        "/proc/self/task/{}/children",
        rustix::thread::gettid()
    ))
    .unwrap();
    for pid in children.split_ascii_whitespace() {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if command.contains("cat-file") {
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }
    assert_eq!(read(), b"1");
}

#[test]
fn links_submodules_and_names_that_collide_are_refused() {
    let (folder, repository) = repository();
    let clone = folder.path().join("clone");
    git(folder.path(), &["clone", "--quiet", "config.git", "clone"]);
    std::fs::write(clone.join("plain"), "x").unwrap();
    git(&clone, &["add", "plain"]);
    let blob = git(&clone, &["rev-parse", ":plain"]);
    let check = |mode: &str, name: &str, kind: EntryKind| {
        git(&clone, &["read-tree", "--empty"]);
        git(
            &clone,
            &[
                "update-index",
                "--add",
                "--cacheinfo",
                &format!("100644,{},plain", blob.trim()),
            ],
        );
        git(
            &clone,
            &[
                "update-index",
                "--add",
                "--cacheinfo",
                &format!("{mode},{},{name}", blob.trim()),
            ],
        );
        git(&clone, &["commit", "--quiet", "-m", name]);
        git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
        let tip = repository.resolve(MAIN).unwrap().unwrap();
        let tree = repository.root(&tip).unwrap();
        let found = repository
            .tree(&tree)
            .unwrap()
            .into_iter()
            .find(|entry| entry.name == name)
            .unwrap();
        assert_eq!(found.kind, kind);
        let error = repository.files(&tree).unwrap_err();
        assert!(matches!(error, GitError::OddEntry { .. }), "{error}");
    };
    check("120000", "link", EntryKind::Symlink);
    check("160000", "module", EntryKind::Submodule);
    check("100644", "PLAIN", EntryKind::File);
    check("100644", "back\\slash", EntryKind::File);
}
