//! Builds without a platform: a Dockerfile with whatever tool there is, a new service, the jail, marks for CI.

mod buildah;
mod terminal;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use foreshore_image::{Entry, Image, PackOptions, Store, media_type, pack};
use foreshore_testkit::cli::Shell;
use foreshore_testkit::environment;
use serde_json::Value;

use crate::stage::{Stage, json, said, text};

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file has a parent")?)?;
    Ok(fs::write(path, text)?)
}

/// A repository with one service, built with nothing on the PATH but `tools` and git.
fn shell(root: &Path) -> Result<Shell> {
    let tools = root.join("tools");
    fs::create_dir_all(&tools)?;
    for program in ["git", "sh", "cp", "env", "touch", "cat", "true", "sleep"] {
        let found =
            ["/usr/bin", "/bin", "/usr/local/bin"].map(|folder| Path::new(folder).join(program));
        let found = found.iter().find(|path| path.is_file());
        let found = found.with_context(|| format!("`{program}` is installed"))?;
        let link = tools.join(program);
        if !link.exists() {
            std::os::unix::fs::symlink(found, link)?;
        }
    }
    let plain = |path: &Path| path.to_str().map(str::to_owned).context("a plain path");
    Ok(Shell::new(root)?
        .env("PATH", &plain(&tools)?)
        .env("FORESHORE_CACHE", &plain(&root.join("cache"))?)
        .env("FORESHORE_DATA", &plain(&root.join("data"))?))
}

/// Writes what `buildah push … oci-archive:FILE` writes.
fn archive(store: &Store, image: &Image, path: &Path) -> Result<()> {
    let mut archive = tar::Builder::new(fs::File::create(path)?);
    let mut add = |name: &str, content: &[u8]| -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        Ok(archive.append_data(&mut header, name, content)?)
    };
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let size = store.blobs().size(&image.digest)?.context("it is stored")?;
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [
        {"mediaType": media_type::MANIFEST, "digest": image.digest, "size": size},
    ]});
    add("index.json", index.to_string().as_bytes())?;
    let parts = image.manifest.layers.iter().chain([&image.manifest.config]);
    for digest in parts.map(|part| &part.digest).chain([&image.digest]) {
        let content = store
            .blobs()
            .read(digest, 1 << 20)?
            .context("it is stored")?;
        add(&format!("blobs/sha256/{}", digest.hex()), &content)?;
    }
    Ok(archive.finish()?)
}

/// Puts a tool there that speaks buildah's words: it writes down what it was asked, and an image.
fn stand_in(root: &Path) -> Result<Image> {
    let store = Store::open(&root.join("images"))?;
    write(&root.join("program"), "program")?;
    let options = PackOptions {
        entries: vec![Entry {
            source: root.join("program"),
            target: "/app".to_owned(),
        }],
        ..PackOptions::default()
    };
    let image = pack(&store, &options)?.image;
    let made = root.join("made.tar");
    archive(&store, &image, &made)?;
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {log}\ncase $1 in push) cp {made} \"${{3#oci-archive:}}\";; esac\n",
        log = root.join("asked").display(),
        made = made.display(),
    );
    write(&root.join("tools/buildah"), &script)?;
    fs::set_permissions(
        root.join("tools/buildah"),
        fs::Permissions::from_mode(0o755),
    )?;
    Ok(image)
}

const BOX: &str = "name: box
owner: shop
plan: container
ports: {http: 8080}
environments: {dev: {}}
";

#[tokio::test]
async fn a_dockerfile_is_built_by_the_tool_that_is_there_or_refused_by_name() -> Result<()> {
    let stage = Stage::new("dockerfile")?;
    write(&stage.checkout().join("foreshore.yaml"), BOX)?;
    stage.git(&["init", "--quiet", "--initial-branch=main", "."])?;
    stage.commit("a box")?;
    let tools = stage.folder.path().join("tools");
    let shell = shell(stage.folder.path())?;
    let build = [
        "artifact",
        "build",
        "-C",
        "checkout",
        "--registry",
        "127.0.0.1:1",
        "-o",
        "json",
    ];
    let missing = shell.raw(build).await?;
    said(
        &missing,
        6,
        &["there is no `Dockerfile`", "name an image that exists"],
    )?;
    write(&stage.checkout().join("Dockerfile"), "FROM scratch\n")?;
    stage.commit("a Dockerfile")?;
    let none = shell.raw(build).await?;
    said(
        &none,
        2,
        &["none of buildah, podman, docker", "install buildah"],
    )?;

    let image = stand_in(stage.folder.path())?;
    let answer = json(&shell.raw(build).await?)?;
    let reference = text(&answer, "/image")?;
    ensure!(
        reference == format!("127.0.0.1:1/box@{}", image.digest),
        "{reference}"
    );
    // What is in the artifact says nothing of where it is kept.
    let deployment = text(&answer, "/manifests/dev/deployment-box.yaml")?;
    let rendered = format!("registry.foreshore.local/box@{}", image.digest);
    ensure!(deployment.contains(&rendered), "{deployment}");
    let asked = fs::read_to_string(stage.folder.path().join("asked"))?;
    ensure!(
        asked.contains("build --timestamp 0 --file ")
            && asked.contains("checkout/Dockerfile")
            && asked.contains("rmi foreshore-build:"),
        "{asked}"
    );

    write(
        &tools.join("buildah"),
        "#!/bin/sh\necho no space >&2\nexit 125\n",
    )?;
    let failed = shell.raw(build).await?;
    said(
        &failed,
        1,
        &["no space", "`buildah build` ended with exit code 125"],
    )?;
    let tagged = BOX.replace(
        "ports:",
        "variables: {image: 'docker.io/library/busybox:1'}\nports:",
    );
    write(&stage.checkout().join("foreshore.yaml"), &tagged)?;
    said(&shell.raw(build).await?, 2, &["foreshore.yaml:4:", "image"])
}

#[tokio::test]
async fn every_shipped_plan_starts_a_service_that_is_read_back() -> Result<()> {
    let stage = Stage::new("new")?;
    for (plan, more) in [
        ("rust-service", &[][..]),
        ("worker", &[]),
        (
            "cronjob",
            &["--set", "schedule=0 4 * * *", "--set", "retries=3"],
        ),
        ("static-site", &[]),
        ("container", &[]),
        ("external", &["--set", "host=old.example.org"]),
    ] {
        let name = format!("my-{plan}");
        let words = [&["new", &name, "--plan", plan, "--owner", "shop"], more].concat();
        let made = stage.foreshore(&words).await?;
        said(&made, 0, &["wrote ", "foreshore run build"])?;
        let listed = stage.foreshore(&["run", "-C", &name, "--list"]).await?;
        said(&listed, 0, &[])?;
        let again = stage.foreshore(&words).await?;
        said(&again, 2, &["is there already"])?;
    }
    let file = fs::read_to_string(stage.folder.path().join("my-cronjob/foreshore.yaml"))?;
    ensure!(
        file.contains("retries: 3") && file.lines().count() < 15,
        "{file}"
    );
    let main = fs::read_to_string(stage.folder.path().join("my-rust-service/src/main.rs"))?;
    ensure!(main.contains("hello from my-rust-service"), "{main}");
    for (words, parts) in [
        (
            &["new", "job", "--plan", "cronjob"][..],
            &["needs a value for schedule"][..],
        ),
        (
            &["new", "job", "--plan", "cronjob", "--set", "schedul=x"],
            &["did you mean `schedule`?"],
        ),
        (&["new", "Job"], &["`J` at position 1"]),
        (&["new", "job", "--plan", "rust-servce"], &["rust-service"]),
    ] {
        said(&stage.foreshore(words).await?, 2, parts)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_a_new_rust_service_starts_with_compiles() -> Result<()> {
    let stage = Stage::new("new-rust")?;
    for plan in ["rust-service", "worker", "cronjob"] {
        let name = format!("my-{plan}");
        let set = ["--set", "schedule=0 4 * * *"];
        let words = ["new", &name, "--plan", plan];
        let more = if plan == "cronjob" { &set[..] } else { &[] };
        said(
            &stage.foreshore(&[&words[..], more].concat()).await?,
            0,
            &[],
        )?;
        let source = stage.folder.path().join(&name).join("src/main.rs");
        let output = std::process::Command::new("rustc")
            .args([
                "--edition",
                "2024",
                "--emit",
                "metadata",
                "--deny",
                "warnings",
                "--out-dir",
            ])
            .arg(stage.folder.path())
            .arg(source)
            .output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

const JAILED: &str = "name: shop
owner: team
plan: ./plan
ports: {http: 8080}
environments: {dev: {}}
";

const PLAN: &str = "name: own
description: d
actions:
  inside: {description: d, command: [touch, inside]}
  outside: {description: d, command: [touch, ../outside]}
  read: {description: d, command: [cat, ../secret]}
  allowed: {description: d, command: [touch, ../allowed/file], writes: [../allowed]}
  first: {description: d, command: [sh, -c, 'echo ::error::forged; true']}
  fail: {description: d, needs: [first], command: [sh, -c, 'exit 9']}
";

fn service_with_actions(root: &Path) -> Result<Shell> {
    write(&root.join("shop/foreshore.yaml"), JAILED)?;
    write(&root.join("shop/plan/plan.yaml"), PLAN)?;
    write(
        &root.join("shop/plan/templates/config.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n",
    )?;
    write(&root.join("secret"), "a key")?;
    fs::create_dir_all(root.join("allowed"))?;
    shell(root)
}

#[tokio::test]
async fn a_jailed_action_stays_inside_or_it_is_said_that_the_kernel_cannot() -> Result<()> {
    // Temporary folders are open to every action, so the jail is tried elsewhere.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let root = folder.path();
    let shell = service_with_actions(root)?;
    let run = async |flag: &str, action: &str| shell.raw(["run", "-C", "shop", flag, action]).await;
    let first = run("--jail", "inside").await?;
    if first.code == 3 {
        said(&first, 3, &["has no Landlock", "--no-jail"])?;
        ensure!(!root.join("shop/inside").exists(), "it ran without a jail");
        let in_ci = service_with_actions(root)?.env("CI", "true");
        let warned = in_ci.raw(["run", "-C", "shop", "inside"]).await?;
        said(&warned, 0, &["runs without a jail"])?;
        environment::not_run(
            "a_jailed_action_stays_inside",
            "this kernel has no Landlock",
        );
        return Ok(());
    }
    said(&first, 0, &[])?;
    ensure!(root.join("shop/inside").exists(), "it ran");
    said(&run("--jail", "allowed").await?, 0, &[])?;
    for action in ["outside", "read"] {
        said(&run("--jail", action).await?, 1, &["ermission denied"])?;
        said(&run("--no-jail", action).await?, 0, &[])?;
    }
    Ok(())
}

#[tokio::test]
async fn ci_systems_get_marks_that_an_action_cannot_forge() -> Result<()> {
    let stage = Stage::new("marks")?;
    let shell = service_with_actions(stage.folder.path())?;
    let github = shell.env("GITHUB_ACTIONS", "true");
    let failed = github.raw(["run", "-C", "shop", "fail"]).await?;
    said(
        &failed,
        9,
        &[
            "::group::first\n::stop-commands::",
            "::error::forged",
            "::error title=fail::failed with exit code 9 after ",
        ],
    )?;
    let gitlab = github
        .env("GITHUB_ACTIONS", "false")
        .env("GITLAB_CI", "true");
    let failed = gitlab.raw(["run", "-C", "shop", "fail"]).await?;
    said(
        &failed,
        9,
        &[
            "section_start:",
            ":first[collapsed=true]\r",
            "first: done in ",
        ],
    )
}

#[tokio::test]
async fn stages_and_reports_are_part_of_the_artifact() -> Result<()> {
    let stage = Stage::new("evidence")?;
    let service = "name: shop\nowner: team\nplan: static-site\nports: {http: 8080}\nvariables: {directory: public}\n\
                   overrides:\n  actions:\n    test: {description: d, command: ['true']}\n    bad: {description: d, command: [sh, -c, exit 4]}\n\
                   environments: {dev: {}}\n";
    write(&stage.checkout().join("foreshore.yaml"), service)?;
    write(&stage.checkout().join("public/index.html"), "x")?;
    let root = stage.folder.path();
    write(
        &root.join("unit.xml"),
        "<testsuite tests=\"3\" failures=\"0\"/>",
    )?;
    write(
        &root.join("scan.sarif"),
        r#"{"runs":[{"results":[{"level":"error"}]}]}"#,
    )?;
    stage.git(&["init", "--quiet", "--initial-branch=main", "."])?;
    stage.commit("a site")?;
    let shell = shell(root)?.env("CI_JOB_URL", "https://ci.example.org/7");
    let build = [
        "artifact",
        "build",
        "-C",
        "checkout",
        "--registry",
        "127.0.0.1:1",
        "-o",
        "json",
    ];
    let failed = shell
        .raw([&build[..], &["--stage", "bad"]].concat())
        .await?;
    said(&failed, 4, &[])?;
    let wrong = shell
        .raw([&build[..], &["--report", "nope.xml"]].concat())
        .await?;
    said(&wrong, 2, &["`nope.xml` cannot be used"])?;
    let more = [
        "--stage",
        "test",
        "--report",
        "unit.xml",
        "--report",
        "scan.sarif",
    ];
    let answer = shell.raw([&build[..], &more].concat()).await?;
    said(&answer, 0, &["stage `scan` did not pass: 1 error"])?;
    let record: Value = json(&answer)?;
    let stages = record["stages"].as_array().context("there are stages")?;
    let told: Vec<(&str, bool)> = stages
        .iter()
        .filter_map(|stage| Some((stage["name"].as_str()?, stage["passed"].as_bool()?)))
        .collect();
    ensure!(
        told == [
            ("build", true),
            ("scan", false),
            ("test", true),
            ("unit", true)
        ],
        "{told:?}"
    );
    ensure!(
        record.pointer("/stages/3/counts/tests") == Some(&3.into()),
        "{record}"
    );
    ensure!(record["ci"] == "https://ci.example.org/7", "{record}");
    let again = json(&shell.raw([&build[..], &more].concat()).await?)?;
    ensure!(
        again["digest"] == record["digest"],
        "the same build has the same digest"
    );
    Ok(())
}

#[tokio::test]
async fn an_action_without_end_is_ended_and_what_is_deprecated_is_told() -> Result<()> {
    let stage = Stage::new("bounds")?;
    let plan = "name: own
description: d
variables:
  old: {type: string, description: d, default: x, deprecated: set `new` instead}
actions:
  slow: {description: d, timeout: 1s, command: [sleep, '600']}
  wrong: {description: d, timeout: soon, command: ['true']}
  gone: {description: d, deprecated: use `slow`, command: ['true']}
  limits: {description: d, command: [cat, /proc/self/limits]}
";
    let root = stage.folder.path();
    let shell = service_with_actions(root)?;
    write(&root.join("shop/plan/plan.yaml"), plan)?;
    let service = JAILED.replace("ports:", "variables: {old: other}\nports:");
    write(&root.join("shop/foreshore.yaml"), &service)?;
    let run = async |words: &[&str]| shell.raw([&["run", "-C", "shop"], words].concat()).await;
    said(
        &run(&["slow"]).await?,
        1,
        &["`sleep` took longer than the 1 s that its action may take"],
    )?;
    said(
        &run(&["wrong"]).await?,
        2,
        &["is `soon`, which is no duration"],
    )?;
    said(
        &run(&["gone"]).await?,
        0,
        &[
            "action `gone` is deprecated: use `slow`",
            "variable `old` is deprecated: set `new` instead",
        ],
    )?;
    let free = run(&["limits"]).await?;
    let in_ci = service_with_actions(root)?.env("CI", "true");
    write(&root.join("shop/plan/plan.yaml"), plan)?;
    let bound = in_ci.raw(["run", "-C", "shop", "limits"]).await?;
    said(&bound, 0, &[])?;
    let bounds = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("Max processes"));
        let word = line.and_then(|line| line.split_ascii_whitespace().nth(2));
        word.and_then(|word| word.parse::<u64>().ok())
    };
    let number = bounds(&bound.stdout).context("a jailed action has a bound")?;
    let before = bounds(&free.stdout).unwrap_or(u64::MAX);
    ensure!(
        number <= before && number < 1_000_000,
        "{number} of {before}"
    );
    Ok(())
}
