//! Projects and plans from outside: shuttle's files unchanged, plans from git, actions with arguments.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::cli::Answer;

use crate::stage::Stage;

fn write(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().context("a file has a parent")?)?;
        fs::write(path, text)?;
    }
    Ok(())
}

#[track_caller]
fn says(answer: &Answer, code: i32, stdout: &str) {
    assert_eq!(answer.code, code, "{}", answer.transcript());
    assert_eq!(answer.stdout, stdout, "{}", answer.transcript());
}

#[track_caller]
fn fails(answer: &Answer, code: i32, parts: &[&str]) {
    assert_eq!(answer.code, code, "{}", answer.transcript());
    for part in parts {
        assert!(
            answer.stderr.contains(part),
            "`{part}` was not said: {}",
            answer.transcript()
        );
    }
}

const SHUTTLE: &str = "plan: ../plan
vars:
  service: shop
  run-as-root: false
  docker:
    image: lunar/shop
scripts:
  own:
    description: from the project
    actions:
    - shell: echo own in $(basename \"$project\")
";

const PLAN: &str = "documentation: https://example.org/plan
scripts:
  build:
    description: build the image
    args:
    - name: tag
      required: true
    actions:
    - shell: shuttle template -o Dockerfile Dockerfile.tmpl GO_VERSION=1.26
    - shell: cat $tmp/Dockerfile; echo $(shuttle get docker.image):$tag
  bool_arg:
    args:
    - name: silent
      type: bool
    actions:
    - shell: echo \"silent=[$silent]\"
  crash:
    actions:
    - shell: exit 42
    - shell: echo never
  killed:
    actions:
    - shell: kill -9 $$
  asks:
    actions:
    - shell: read line; echo \"got $line\"
  own:
    actions:
    - shell: echo from the plan
  old:
    actions:
    - dockerfile: Dockerfile
";

fn shuttle_project(stage: &Stage) -> Result<()> {
    write(
        stage.folder.path(),
        &[
            ("shop/shuttle.yaml", SHUTTLE),
            ("plan/plan.yaml", PLAN),
            (
                "plan/Dockerfile.tmpl",
                "FROM golang:{{ get \"GO_VERSION\" .Args }}-alpine\n",
            ),
        ],
    )
}

#[tokio::test]
async fn a_project_of_shuttle_works_unchanged() -> Result<()> {
    let stage = Stage::new("shuttle")?;
    shuttle_project(&stage)?;
    for (arguments, code, stdout) in [
        (&["get", "-C", "shop", "service"][..], 0, "shop"),
        (&["get", "-C", "shop", "docker"], 0, "image: lunar/shop"),
        (&["get", "-C", "shop", "docker.nope"], 0, ""),
        (
            &[
                "get",
                "-C",
                "shop",
                "docker",
                "--template",
                "{{ .image | upper }}",
            ],
            0,
            "LUNAR/SHOP",
        ),
        (&["has", "-C", "shop", "docker.image"], 0, ""),
        (&["has", "-C", "shop", "run-as-root"], 0, ""),
        (&["has", "-C", "shop", "nope"], 1, ""),
        (&["has", "-C", "shop", "--stdout", "nope"], 0, "false"),
        (&["has", "-C", "shop", "--script", "build"], 0, ""),
        (&["plan", "-C", "shop"], 0, "../plan"),
        (&["docs", "-C", "shop"], 0, "https://example.org/plan\n"),
        (
            &["template", "-C", "shop", "Dockerfile.tmpl", "GO_VERSION=1"],
            0,
            "FROM golang:1-alpine\n",
        ),
        (&["run", "-C", "shop", "own"], 0, "own in shop\n"),
        (
            &["run", "-C", "shop", "bool_arg", "--silent"],
            0,
            "silent=[true]\n",
        ),
        (
            &["run", "-C", "shop", "bool_arg", "--silent=false"],
            0,
            "silent=[false]\n",
        ),
        (&["run", "-C", "shop", "bool_arg"], 0, "silent=[]\n"),
        (&["run", "-C", "shop", "crash"], 42, ""),
        (&["run", "-C", "shop", "killed"], 137, ""),
        (
            &["run", "-C", "shop", "build", "tag=v1"],
            0,
            "FROM golang:1.26-alpine\nlunar/shop:v1\n",
        ),
        (
            &["run", "-C", "shop", "build", "--tag", "v2"],
            0,
            "FROM golang:1.26-alpine\nlunar/shop:v2\n",
        ),
    ] {
        let answer = stage.foreshore(arguments).await?;
        ensure!(
            answer.code == code && answer.stdout == stdout,
            "{arguments:?}: {}",
            answer.transcript()
        );
    }
    let list = stage.foreshore(&["ls", "-C", "shop"]).await?;
    assert!(
        list.stdout.contains("\nAvailable Scripts:\n")
            || list.stdout.starts_with("Available Scripts:\n"),
        "{}",
        list.transcript()
    );
    assert!(
        list.stdout.contains("\n  build        Build the image\n"),
        "{}",
        list.transcript()
    );
    Ok(())
}

#[tokio::test]
async fn mistakes_in_a_project_of_shuttle_are_told_and_never_end_with_0() -> Result<()> {
    let stage = Stage::new("shuttle-wrong")?;
    shuttle_project(&stage)?;
    for (arguments, code, parts) in [
        (
            &["run", "-C", "shop", "biuld"][..],
            2,
            &["no script `biuld`; did you mean `build`?"][..],
        ),
        (
            &["run", "-C", "shop", "build"],
            2,
            &["needs the argument `--tag`"],
        ),
        (
            &["run", "-C", "shop", "build", "--tagg", "x"],
            2,
            &["has no argument `tagg`; did you mean `tag`?"],
        ),
        (
            &["run", "-C", "shop", "old"],
            2,
            &["is a `dockerfile`; only `shell` is supported"],
        ),
        (
            &["template", "-C", "shop", "nope.tmpl"],
            2,
            &["template `nope.tmpl` is not found", "looked in"],
        ),
        (
            &[
                "template",
                "-C",
                "shop",
                "--output-file",
                "../x",
                "Dockerfile.tmpl",
            ],
            2,
            &["not a file inside"],
        ),
        (
            &["get", "-C", "plan", "x"],
            2,
            &["there is no foreshore.yaml and no shuttle.yaml"],
        ),
        (
            &["plan", "-C", "shop", "--plan", "#main"],
            2,
            &["is a directory"],
        ),
    ] {
        fails(&stage.foreshore(arguments).await?, code, parts);
    }
    write(
        stage.folder.path(),
        &[("shop/shuttle.yaml", "plan: ../plan\nvras: {}\n")],
    )?;
    fails(
        &stage.foreshore(&["get", "-C", "shop", "x"]).await?,
        2,
        &["shuttle.yaml:2:1: unknown field `vras`; did you mean `vars`?"],
    );
    write(
        stage.folder.path(),
        &[("shop/shuttle.yaml", "plan: ../gone\n")],
    )?;
    fails(
        &stage.foreshore(&["run", "-C", "shop", "x"]).await?,
        2,
        &["there is no plan at"],
    );
    Ok(())
}

const SERVICE: &str = "name: shop
owner: team
plan: PLAN
ports: {http: 8080}
environments: {dev: {}}
";

const OWN_PLAN: &str = "name: own
description: d
variables:
  text: {type: string, description: d, default: one}
actions:
  build: {description: d, command: [\"true\"]}
  say:
    description: say it
    needs: [build]
    arguments:
      what: {description: what to say}
      loud: {type: bool}
    command: [printf, \"%s %s\\n\", \"{{ arguments.what }}\", \"{{ arguments.loud }}\"]
  test: {description: d, command: [\"true\"]}
  fail: {description: d, command: [sh, -c, \"exit 9\"]}
";

const TEMPLATE: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\ndata: {text: {{ variables.text }}}\n";

/// A repository with a plan, and a service that names it.
fn remote_plan(stage: &Stage, head: &str) -> Result<()> {
    write(
        &stage.checkout(),
        &[("plan.yaml", OWN_PLAN), ("templates/config.yaml", TEMPLATE)],
    )?;
    stage.git(&["init", "--quiet", "--initial-branch=main", "."])?;
    stage.commit("first")?;
    let plan = format!("file://{}{head}", stage.checkout().display());
    let service = SERVICE.replace("PLAN", &format!("\"{plan}\""));
    write(stage.folder.path(), &[("shop/foreshore.yaml", &service)])
}

#[tokio::test]
async fn a_plan_from_git_is_pinned_and_a_newer_one_is_taken_only_when_asked() -> Result<()> {
    let stage = Stage::new("git-plan")?;
    remote_plan(&stage, "#main")?;
    fails(
        &stage.foreshore(&["run", "-C", "shop", "say"]).await?,
        2,
        &["is not pinned", "`foreshore plan update`"],
    );
    let first = stage.foreshore(&["plan", "update", "-C", "shop"]).await?;
    ensure!(first.code == 0, "{}", first.transcript());
    let lock = stage.folder.join("shop/foreshore.lock");
    let pinned = fs::read_to_string(&lock)?;
    says(
        &stage
            .foreshore(&["run", "-C", "shop", "say", "--what", "a b; $(c)", "--loud"])
            .await?,
        0,
        "a b; $(c) true\n",
    );

    let plan = OWN_PLAN.replace("default: one", "default: two");
    write(&stage.checkout(), &[("plan.yaml", &plan)])?;
    stage.commit("second")?;
    says(
        &stage
            .foreshore(&["run", "-C", "shop", "say", "--what", "x"])
            .await?,
        0,
        "x false\n",
    );
    assert_eq!(
        fs::read_to_string(&lock)?,
        pinned,
        "nothing newer is taken by the way"
    );
    let status = stage.foreshore(&["plan", "status", "shop"]).await?;
    assert!(status.stdout.contains("behind"), "{}", status.transcript());
    let preview = stage
        .foreshore(&["plan", "update", "-C", "shop", "--dry-run"])
        .await?;
    assert!(
        preview.stdout.contains("-  text: one\n+  text: two\n"),
        "{}",
        preview.transcript()
    );
    assert_eq!(fs::read_to_string(&lock)?, pinned);
    let second = stage.foreshore(&["plan", "update", "-C", "shop"]).await?;
    ensure!(second.code == 0, "{}", second.transcript());
    assert_ne!(fs::read_to_string(&lock)?, pinned);

    // What is pinned stays there when its repository is gone.
    fs::rename(stage.checkout(), stage.folder.join("moved"))?;
    says(
        &stage
            .foreshore(&["run", "-C", "shop", "say", "--what", "x"])
            .await?,
        0,
        "x false\n",
    );
    let gone = stage.foreshore(&["plan", "update", "-C", "shop"]).await?;
    ensure!(gone.code == 6 || gone.code == 4, "{}", gone.transcript());
    Ok(())
}

#[tokio::test]
async fn a_tag_that_moved_and_content_that_changed_are_refused() -> Result<()> {
    let stage = Stage::new("moved-tag")?;
    remote_plan(&stage, "#v1")?;
    stage.git(&["tag", "v1"])?;
    let first = stage.foreshore(&["plan", "update", "-C", "shop"]).await?;
    ensure!(first.code == 0, "{}", first.transcript());
    write(&stage.checkout(), &[("extra", "x")])?;
    stage.commit("second")?;
    stage.git(&["tag", "--force", "v1"])?;
    fails(
        &stage.foreshore(&["plan", "update", "-C", "shop"]).await?,
        3,
        &["moved from commit", "--accept-moved-tag"],
    );
    let accepted = stage
        .foreshore(&["plan", "update", "-C", "shop", "--accept-moved-tag"])
        .await?;
    ensure!(accepted.code == 0, "{}", accepted.transcript());

    let lock = stage.folder.join("shop/foreshore.lock");
    let text = fs::read_to_string(&lock)?;
    let hash = text
        .lines()
        .find(|line| line.starts_with("hash:"))
        .context("a lock has a hash")?;
    fs::write(
        &lock,
        text.replace(hash, &format!("hash: sha256:{}", "0".repeat(64))),
    )?;
    fails(
        &stage.foreshore(&["run", "-C", "shop", "say"]).await?,
        3,
        &["has other content than foreshore.lock says"],
    );
    Ok(())
}

#[tokio::test]
async fn a_rollout_commits_a_lock_for_each_service_and_stops_at_the_first_failure() -> Result<()> {
    let stage = Stage::new("rollout")?;
    remote_plan(&stage, "#main")?;
    let service = fs::read_to_string(stage.folder.join("shop/foreshore.yaml"))?;
    let fleet = stage.folder.join("fleet");
    for name in ["a", "b"] {
        let folder = fleet.join(name);
        write(
            &folder,
            &[(
                "foreshore.yaml",
                &service.replace("name: shop", &format!("name: {name}")),
            )],
        )?;
        for arguments in [
            &["init", "--quiet", "."][..],
            &["config", "user.name", "Ada"],
            &["config", "user.email", "ada@example.org"],
            &["add", "."],
            &["commit", "--quiet", "--message", "first"],
        ] {
            let done = std::process::Command::new("git")
                .arg("-C")
                .arg(&folder)
                .args(arguments)
                .status()?;
            ensure!(done.success(), "git {arguments:?}");
        }
    }
    fails(
        &stage.foreshore(&["plan", "rollout", "fleet"]).await?,
        2,
        &["give --yes"],
    );
    let failing = stage
        .foreshore(&["plan", "rollout", "fleet", "--yes", "--check", "fail"])
        .await?;
    fails(
        &failing,
        1,
        &["action `fail` failed with the new plan", "none is updated"],
    );
    ensure!(
        !fleet.join("a/foreshore.lock").exists(),
        "a service that failed keeps what it had"
    );
    let done = stage
        .foreshore(&["plan", "rollout", "fleet", "--yes", "--check", "test"])
        .await?;
    says(&done, 0, "a\nb\n");
    let log = std::process::Command::new("git")
        .arg("-C")
        .arg(fleet.join("b"))
        .args(["log", "--format=%s", "-1"])
        .output()?;
    ensure!(
        String::from_utf8(log.stdout)?.starts_with("take plan "),
        "the lock is committed"
    );
    says(
        &stage
            .foreshore(&["plan", "rollout", "fleet", "--yes"])
            .await?,
        0,
        "",
    );
    Ok(())
}

#[tokio::test]
async fn mistakes_in_a_service_file_have_a_place_and_a_caret() -> Result<()> {
    let stage = Stage::new("places")?;
    let file = |text: &str| write(stage.folder.path(), &[("foreshore.yaml", text)]);
    let base = "name: shop\nowner: team\nplan: rust-service\nports: {http: 8080}\n";
    for (more, parts) in [
        (
            "resources:\n  cpu: lots\nenvironments: {dev: {}}\n",
            &[
                "foreshore.yaml:6:8: resource `cpu` is `lots`",
                "6 |   cpu: lots\n  |        ^",
            ][..],
        ),
        (
            "variables:\n  grace: 5\nenvironments: {dev: {}}\n",
            &["foreshore.yaml:6:10:", "did you mean `grace-seconds`?"],
        ),
        (
            "environment:\n  DB_PASSWORD: hunter2\nenvironments: {dev: {}}\n",
            &["looks like a secret", "name it under `secrets`"],
        ),
        (
            "environment: {A: yes}\nenvironments: {dev: {}}\n",
            &["foreshore.yaml:5:18:", "write `true`, or quote it"],
        ),
    ] {
        file(&format!("{base}{more}"))?;
        fails(&stage.foreshore(&["explain", "resources"]).await?, 2, parts);
    }
    file(&format!("{base}environments: {{dev: {{}}}}\n"))?;
    let answer = stage.foreshore(&["explain", "resources"]).await?;
    ensure!(
        answer.code == 0
            && answer
                .stdout
                .contains("the default; set resources.memory to change it"),
        "{}",
        answer.transcript()
    );
    fails(
        &stage
            .foreshore(&["explain", "resources", "-e", "devv"])
            .await?,
        6,
        &["did you mean `dev`?"],
    );
    Ok(())
}
