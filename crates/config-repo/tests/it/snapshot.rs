//! Reading commits: well-formed, broken and hostile.

use foreshore_config_repo::{ReadError, Snapshot, history};
use foreshore_git::{Change, Repository};
use foreshore_model::{EnvironmentName, ServiceName};

use crate::fixture::{by_hand, committed, repository, start, submit, wish};

fn dev() -> EnvironmentName {
    "dev".parse().unwrap()
}

fn web() -> ServiceName {
    "web".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_commit_is_read_by_what_changed() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    let (first, _) = committed(submit(&writer, wish("web", 1, "dev")).await);
    let (second, _) = committed(submit(&writer, wish("api", 1, "dev")).await);
    let before = Snapshot::read(&repository, &first, None).unwrap();
    let after = Snapshot::read(&repository, &second, Some(&before)).unwrap();
    assert_eq!(
        before.services(&dev()).unwrap()[&web()],
        after.services(&dev()).unwrap()[&web()]
    );
    assert_eq!(after.services(&dev()).unwrap().len(), 2);
    assert_eq!(after.environment(&dev()).unwrap().namespace, "dev");
    assert!(after.services(&"prod".parse().unwrap()).unwrap().is_empty());
    let missing = after.services(&"staging".parse().unwrap());
    assert!(matches!(missing, Err(ReadError::MissingEnvironment { .. })));
    let missing = after.service(&dev(), &"shop".parse().unwrap());
    assert!(matches!(missing, Err(ReadError::MissingService { .. })));
}

#[track_caller]
fn check(repository: &Repository, path: &str, content: &str, part: &str) {
    let commit = by_hand(repository, vec![Change::write(path, content)]);
    let snapshot = Snapshot::read(repository, &commit, None).unwrap();
    assert!(
        snapshot.services(&dev()).unwrap().contains_key(&web()),
        "listed although not readable"
    );
    let error = snapshot.service(&dev(), &web()).unwrap_err().to_string();
    assert!(error.contains(part), "`{part}` is not in: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_with_file_and_line() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    let (commit, _) = committed(submit(&writer, wish("web", 1, "dev")).await);
    let good = repository
        .read_path(&commit, "environments/dev/web/release.yaml")
        .unwrap()
        .unwrap();
    let good = String::from_utf8(good).unwrap();
    let path = "environments/dev/web/release.yaml";
    check(
        &repository,
        path,
        "service: web\nbad: 1\n",
        "environments/dev/web/release.yaml:2:",
    );
    check(
        &repository,
        path,
        &good.replace("service: web", "service: api"),
        "does not fit its place",
    );
    check(
        &repository,
        path,
        "",
        "environments/dev/web/release.yaml:1:1",
    );
    by_hand(&repository, vec![Change::write(path, good)]);
    check(
        &repository,
        "environments/dev/web/operations.yaml",
        "replicas: 3\n",
        "operations.yaml:1:",
    );
    by_hand(
        &repository,
        vec![Change::remove("environments/dev/web/operations.yaml")],
    );
    check(
        &repository,
        "environments/dev/web/manifests/a/b.yaml",
        "x",
        "manifests/a` is refused: a file belongs there",
    );
    by_hand(
        &repository,
        vec![Change::remove("environments/dev/web/manifests")],
    );
    check(
        &repository,
        "environments/dev/web",
        "a file\n",
        "it is a file where a folder belongs",
    );
}

#[test]
fn a_link_in_place_of_a_service_is_neither_followed_nor_gone() {
    let (_folder, repository) = repository();
    let commit = by_hand(&repository, vec![Change::write("target", "/etc/passwd")]);
    let blob = repository.entry(&commit, "target").unwrap().unwrap().id;
    // Written with plain git: our own door cannot make one.
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .env("GIT_INDEX_FILE", repository.path().join("test-index"))
            .args([
                "-c",
                "user.name=Bo",
                "-c",
                "user.email=bo@example.com",
                "--git-dir",
            ])
            .arg(repository.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["read-tree", commit.as_str()]);
    git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("120000,{blob},environments/dev/web"),
    ]);
    let tree = git(&["write-tree"]);
    let commit = git(&["commit-tree", "-m", "link", &tree]).parse().unwrap();
    let snapshot = Snapshot::read(&repository, &commit, None).unwrap();
    assert!(snapshot.services(&dev()).unwrap().contains_key(&web()));
    let error = snapshot.service(&dev(), &web()).unwrap_err().to_string();
    assert!(error.contains("symbolic link"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_who_what_and_why() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    for n in 1..=3 {
        committed(submit(&writer, wish("web", n, "dev")).await);
        committed(submit(&writer, wish("api", n, "dev")).await);
    }
    by_hand(
        &repository,
        vec![Change::write("environments/dev/web/manifests/x.yaml", "x")],
    );
    let entries = history(&repository, &dev(), &web(), 3).unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.sequence, entry.reason.as_str(), entry.actor.as_str()))
        .collect();
    let ada = "ada <ada@example.org>";
    assert_eq!(
        told,
        [
            (None, "", "bo <bo@example.org>"),
            (Some(3), "number 3", ada),
            (Some(2), "number 2", ada)
        ]
    );
}
