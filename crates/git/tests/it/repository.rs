//! Commits, references, trees and history.

use foreshore_git::{Chain, Change, Expected, GitError, LogQuery, RefUpdate, Repository};

use crate::{MAIN, commit, git, repository, tempdir, write_file};

#[test]
fn a_batch_is_one_commit_each_and_plain_git_reads_it() {
    let (folder, repository) = repository();
    let commits = vec![
        commit(
            "first\n\nActor: anna\n",
            vec![
                Change::write("a/b.yaml", "1\n"),
                Change::write("a/c.yaml", "2\n"),
            ],
        ),
        commit(
            "second",
            vec![
                Change::remove("a/b.yaml"),
                Change::write("d \"e\".yaml", "3\n"),
            ],
        ),
        commit("third", vec![Change::remove("a")]),
    ];
    let ids = repository.commit(MAIN, None, commits).unwrap();
    assert_eq!(ids.len(), 3);
    repository.check().unwrap();
    assert_eq!(repository.resolve(MAIN).unwrap().as_ref(), ids.last());

    git(folder.path(), &["clone", "--quiet", "config.git", "clone"]);
    let log = git(
        &folder.path().join("clone"),
        &["log", "--reverse", "--format=%s by %an <%ae>, %cn"],
    );
    let who = "by Anna Nyborg <anna@example.com>, foreshore";
    assert_eq!(log, format!("first {who}\nsecond {who}\nthird {who}\n"));
    assert_eq!(
        git(&folder.path().join("clone"), &["ls-files", "-z"]),
        "d \"e\".yaml\0"
    );
    assert_eq!(
        repository.read_path(&ids[0], "a/c.yaml").unwrap().unwrap(),
        b"2\n"
    );
    assert_eq!(repository.read_path(&ids[2], "a/c.yaml").unwrap(), None);
    assert_eq!(
        repository.refs("refs").unwrap().len(),
        1,
        "fast-import leaves no reference of its own"
    );
}

#[test]
fn independent_chains_are_written_together() {
    let (_folder, repository) = repository();
    let base = write_file(&repository, "base", "0");
    let chain = |name: &str| Chain {
        parent: Some(base.clone()),
        commits: vec![
            commit(name, vec![Change::write(name, name)]),
            commit(name, vec![Change::write(name, "2")]),
        ],
    };
    let root = Chain {
        parent: None,
        commits: vec![commit("root", vec![Change::write("x", "x")])],
    };
    let ids = repository
        .write_commits(&[chain("left"), root, chain("right")])
        .unwrap();
    assert_eq!(ids.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 2]);
    let query = LogQuery {
        from: &ids[2][1],
        until: None,
        path: None,
        limit: 10,
    };
    let log = repository.log(&query).unwrap();
    assert_eq!(log.len(), 3);
    assert_eq!(log[2].id, base);
    assert_eq!(
        repository
            .files(&log[0].tree)
            .unwrap()
            .into_keys()
            .collect::<Vec<_>>(),
        ["base", "right"]
    );
    let log = repository
        .log(&LogQuery {
            from: &ids[1][0],
            until: None,
            path: None,
            limit: 10,
        })
        .unwrap();
    assert!(log[0].parents.is_empty());
}

#[test]
fn an_existing_tree_is_put_at_a_second_place_without_reading_it() {
    let (_folder, repository) = repository();
    let first = write_file(&repository, "old/manifests/a.yaml", "a");
    let tree = repository
        .tree_id(&first, "old/manifests")
        .unwrap()
        .unwrap();
    let graft = Change::Graft {
        path: "new/manifests".to_owned(),
        tree: tree.clone(),
    };
    let ids = repository
        .commit(MAIN, Some(&first), vec![commit("graft", vec![graft])])
        .unwrap();
    assert_eq!(
        repository.tree_id(&ids[0], "new/manifests").unwrap(),
        Some(tree)
    );
}

#[test]
fn whoever_comes_second_is_told_and_changes_nothing() {
    let (_folder, repository) = repository();
    let base = write_file(&repository, "a", "1");
    let winner = write_file(&repository, "a", "2");
    let loser = commit("loser", vec![Change::write("a", "3")]);
    let error = repository
        .commit(MAIN, Some(&base), vec![loser])
        .unwrap_err();
    let GitError::Moved { name, found, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((name.as_str(), found.as_ref()), (MAIN, Some(&winner)));
    assert_eq!(repository.resolve(MAIN).unwrap(), Some(winner.clone()));

    let update = |name: &str, expected| RefUpdate {
        name: name.to_owned(),
        new: Some(base.clone()),
        expected,
    };
    let both = [
        update("refs/heads/new", Expected::Absent),
        update(MAIN, Expected::At(base.clone())),
    ];
    assert!(matches!(
        repository.update_refs(&both),
        Err(GitError::Moved { .. })
    ));
    assert_eq!(
        repository.resolve("refs/heads/new").unwrap(),
        None,
        "all or none"
    );
    let again = repository.update_refs(&[update(MAIN, Expected::Absent)]);
    assert!(matches!(again, Err(GitError::Moved { .. })));
}

#[test]
fn a_dead_writers_lock_does_not_need_a_hand() {
    let (_folder, repository) = repository();
    write_file(&repository, "a", "1");
    std::fs::write(repository.path().join("refs/heads/main.lock"), "").unwrap();
    std::fs::write(repository.path().join("packed-refs.lock"), "").unwrap();
    let tip = write_file(&repository, "a", "2");
    let delete = RefUpdate {
        name: MAIN.to_owned(),
        new: None,
        expected: Expected::At(tip),
    };
    repository.update_refs(&[delete]).unwrap();
    assert_eq!(repository.resolve(MAIN).unwrap(), None);
}

#[test]
fn history_of_a_path_leaves_out_the_rest() {
    let (_folder, repository) = repository();
    let first = write_file(&repository, "web/release.yaml", "1");
    write_file(&repository, "api/release.yaml", "1");
    let third = write_file(&repository, "web/release.yaml", "2");
    let tip = write_file(&repository, "web2/release.yaml", "2");
    let ids = |until: Option<&foreshore_git::ObjectId>, limit| -> Vec<_> {
        let query = LogQuery {
            from: &tip,
            until,
            path: Some("web"),
            limit,
        };
        repository
            .log(&query)
            .unwrap()
            .into_iter()
            .map(|commit| commit.id)
            .collect()
    };
    assert_eq!(ids(None, 10), [third.clone(), first.clone()]);
    assert_eq!(ids(None, 1), std::slice::from_ref(&third));
    assert_eq!(ids(Some(&first), 10), [third]);
}

#[test]
fn a_difference_names_files_and_does_not_open_equal_folders() {
    let (_folder, repository) = repository();
    write_file(&repository, "same/a", "1");
    let before = write_file(&repository, "web/a", "1");
    write_file(&repository, "web/b", "1");
    let after = write_file(&repository, "web/a", "2");
    let (before, after) = (
        repository.root(&before).unwrap(),
        repository.root(&after).unwrap(),
    );
    let changes = repository.diff_trees(Some(&before), Some(&after)).unwrap();
    let told: Vec<_> = changes
        .iter()
        .map(|it| (it.path.as_str(), it.before.is_some(), it.after.is_some()))
        .collect();
    assert_eq!(told, [("web/a", true, true), ("web/b", false, true)]);
    assert_eq!(repository.diff_trees(None, Some(&after)).unwrap().len(), 3);
    assert!(
        repository
            .diff_trees(Some(&after), Some(&after))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn names_that_would_break_the_stream_are_refused_or_cleaned() {
    let (_folder, repository) = repository();
    for path in ["a\nM 100644 inline b", "../a", ".git/config", "a//b"] {
        let error = repository
            .commit(MAIN, None, vec![commit("x", vec![Change::write(path, "")])])
            .unwrap_err();
        assert!(matches!(error, GitError::BadPath { .. }), "{error}");
    }
    let mut wild = commit(
        "x\n\nM 100644 inline b\ndata 0\n",
        vec![Change::write("a", "data 3\n")],
    );
    wild.author.name = "A <b> \n from 0".to_owned();
    let ids = repository.commit(MAIN, None, vec![wild]).unwrap();
    let log = repository
        .log(&LogQuery {
            from: &ids[0],
            until: None,
            path: None,
            limit: 1,
        })
        .unwrap();
    assert_eq!(log[0].author.name, "A b  from 0");
    assert!(log[0].message.starts_with("x\n\nM 100644"));
}

#[test]
fn many_writes_are_packed_and_nothing_is_lost() {
    let (_folder, repository) = repository();
    for number in 0..55 {
        write_file(&repository, &format!("f{number}"), "x");
    }
    assert!(repository.tidy().unwrap());
    assert!(!repository.tidy().unwrap());
    repository.check().unwrap();
    let tip = repository.resolve(MAIN).unwrap().unwrap();
    assert_eq!(
        repository
            .files(&repository.root(&tip).unwrap())
            .unwrap()
            .len(),
        55
    );
}

#[test]
fn what_is_no_bare_repository_is_not_opened() {
    let folder = tempdir();
    for path in [folder.path().join("missing"), folder.path().to_owned()] {
        assert!(matches!(
            Repository::open(&path),
            Err(GitError::NotARepository { .. })
        ));
    }
    git(folder.path(), &["init", "--quiet", "worktree"]);
    assert!(matches!(
        Repository::open(folder.path().join("worktree/.git")),
        Err(GitError::NotARepository { .. })
    ));
    git(
        folder.path(),
        &[
            "init",
            "--quiet",
            "--bare",
            "--object-format=sha256",
            "long.git",
        ],
    );
    let error = Repository::open(folder.path().join("long.git")).unwrap_err();
    assert!(error.to_string().contains("SHA-256"), "{error}");
}

#[test]
fn a_history_that_is_too_long_is_refused_and_leaves_nothing_behind() {
    let (_theirs, other) = repository();
    // Numbers that no compression makes shorter.
    let mut noise = String::new();
    let mut last = foreshore_model::Digest::of(b"noise");
    while noise.len() < 512 * 1024 {
        last = foreshore_model::Digest::of(last.as_str().as_bytes());
        noise.push_str(last.hex());
    }
    let tip = write_file(&other, "noise", &noise);
    let (_ours, repository) = repository();
    let remote = |bytes| {
        let url = other.path().display().to_string();
        foreshore_git::Remote::new(url, foreshore_git::Credential::None).at_most(bytes)
    };
    let refspec = [format!("+{MAIN}:refs/plan/main")];
    let refspec: Vec<&str> = refspec.iter().map(String::as_str).collect();
    let error = repository.fetch(&remote(64 * 1024), &refspec).unwrap_err();
    assert!(!error.to_string().is_empty());
    let left: u64 = std::fs::read_dir(repository.path().join("objects/pack"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(left, 0);
    assert!(!repository.has_commit(&tip));
    repository.fetch(&remote(16 << 20), &refspec).unwrap();
    assert!(repository.has_commit(&tip));
}
