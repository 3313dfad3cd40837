//! The embedded git host: who gets in, what is seen of it, and what a push leaves behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use foreshore_model::api::{BuildLog, BuildRow, BuildState, Problem};
use serde_json::json;

use crate::stage::{Stage, refused};

/// A server whose builds end at once and badly: what counts here is what happens around them.
async fn stage() -> Stage {
    Stage::with(|options| options.program = Some(PathBuf::from("/bin/false"))).await
}

fn git(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args([
            "-c",
            "commit.gpgsign=false",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("LC_ALL", "C")
        .current_dir(folder)
        .output()
        .unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn not_done(output: &Output, part: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(part), "{said}");
}

/// A checkout with one commit on `main`.
fn checkout(file: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(file), text).unwrap();
    done(&git(folder.path(), &["init", "--quiet"]));
    done(&git(folder.path(), &["add", "--all"]));
    done(&git(folder.path(), &["commit", "--quiet", "-m", "first"]));
    folder
}

/// The builds of a service once all have ended, the newest first.
async fn ended(stage: &Stage, count: usize) -> Vec<BuildRow> {
    let look = async {
        loop {
            let rows: Vec<BuildRow> = stage.get("/builds").await;
            if rows.len() >= count && rows.iter().all(|row| row.state.is_final()) {
                return rows;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let limit = std::time::Duration::from_mins(1);
    tokio::time::timeout(limit, look).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_push_a_service_pushes_its_source_and_nobody_unknown_reads_it() {
    let stage = stage().await;
    let folder = checkout("README.md", "hello");
    let ci = stage.ci_token("ci-web", "web").await;
    let other = stage.ci_token("ci-api", "api").await;
    let push = |url: &str| git(folder.path(), &["push", "--quiet", url, "main"]);
    not_done(&push(&stage.source(&other, "web")), "403");
    not_done(
        &push(&stage.source("nonsense", "web")),
        "Authentication failed",
    );
    let read = |url: &str| git(folder.path(), &["ls-remote", url]);
    not_done(&read(&stage.source(&ci, "web")), "not found");
    done(&push(&stage.source(&ci, "web")));
    done(&read(&stage.source(&ci, "web")));
    done(&read(&stage.source(&stage.token("owner"), "web")));
    not_done(&read(&stage.source(&other, "web")), "403");
    for name in ["Web", "..%2fweb", "web.git/x"] {
        not_done(&read(&stage.source(&ci, name)), "not found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_built_once_and_its_failure_is_told() {
    let stage = stage().await;
    let folder = checkout("README.md", "hello");
    let url = stage.source(&stage.ci_token("ci-web", "web").await, "web");
    done(&git(folder.path(), &["push", "--quiet", &url, "main"]));
    let rows = ended(&stage, 1).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].state, BuildState::Failed);
    assert_eq!(rows[0].pushed_by, "ci-web");
    assert!(
        rows[0]
            .problem
            .contains("there is no `foreshore.yaml` in it"),
        "{}",
        rows[0].problem
    );
    assert_eq!(stage.status().await.builds, rows);
    // The same again moves nothing; a tag with a message of its own does.
    done(&git(folder.path(), &["push", "--quiet", &url, "main"]));
    done(&git(folder.path(), &["tag", "-a", "-m", "one", "v1"]));
    done(&git(folder.path(), &["push", "--quiet", &url, "v1"]));
    let rows = ended(&stage, 2).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].reference, "refs/tags/v1");
    assert_eq!(rows[0].commit, rows[1].commit);
    let log: BuildLog = stage.get("/builds/b1/log").await;
    assert_eq!(log.build, rows[1]);
    let gone = stage.try_get::<BuildLog>("/builds/b9/log").await;
    refused(gone, 6, "there is no build `b9`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_file_of_another_service_or_behind_a_link_is_not_built() {
    let stage = stage().await;
    let file = "name: api\nowner: shop\nplan: worker\nenvironments: {dev: {}}\n";
    let folder = checkout("foreshore.yaml", file);
    let url = stage.source(&stage.ci_token("ci-web", "web").await, "web");
    done(&git(folder.path(), &["push", "--quiet", &url, "main"]));
    let problem = ended(&stage, 1).await.remove(0).problem;
    assert!(
        problem.contains("`foreshore.yaml` is about `api`"),
        "{problem}"
    );

    let secret = folder.path().join("secret.yaml");
    std::fs::write(&secret, file.replace("api", "web")).unwrap();
    std::fs::remove_file(folder.path().join("foreshore.yaml")).unwrap();
    std::os::unix::fs::symlink(&secret, folder.path().join("foreshore.yaml")).unwrap();
    done(&git(folder.path(), &["add", "foreshore.yaml"]));
    done(&git(folder.path(), &["commit", "--quiet", "-m", "a link"]));
    done(&git(folder.path(), &["push", "--quiet", &url, "main"]));
    let problem = ended(&stage, 2).await.remove(0).problem;
    assert!(problem.starts_with("foreshore.yaml:1"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_noted_for_builds_is_not_seen_and_not_moved_by_clients() {
    let stage = stage().await;
    let folder = checkout("README.md", "hello");
    let url = stage.source(&stage.ci_token("ci-web", "web").await, "web");
    done(&git(folder.path(), &["push", "--quiet", &url, "main"]));
    let seen = done(&git(folder.path(), &["ls-remote", &url]));
    assert!(
        seen.contains("refs/heads/main") && !seen.contains("foreshore"),
        "{seen}"
    );
    let to = "main:refs/foreshore/seen/heads/main";
    not_done(&git(folder.path(), &["push", &url, to]), "hidden ref");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_token_in_the_name_of_a_build() {
    let stage = stage().await;
    let body = json!({"name": "build-web", "push": "web"});
    let answer: Result<serde_json::Value, Problem> = stage.post("/tokens", body).await;
    refused(answer, 5, "one of the platform's own names");
}
