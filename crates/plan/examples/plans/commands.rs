//! The program itself, as a script calls it: with a pinned plan from git, and beside `helm template` and shuttle.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Bench;

const SERVICES: usize = 80;
const CALLS: usize = 20;

pub(super) fn measure(bench: &Bench) -> Result<()> {
    let Some(foreshore) = &bench.foreshore else {
        return Bench::not_measured("commands", "no --foreshore is given");
    };
    let root = bench.folder.path();
    let project = projects(root)?;
    run(program(foreshore, root)
        .args(["plan", "update", "-C"])
        .arg(&project))?;
    for (name, words) in [
        (
            "get with a pinned git plan, cached",
            &["get", "service"][..],
        ),
        ("has with a pinned git plan, cached", &["has", "service"]),
        ("ls with a pinned git plan, cached", &["ls"]),
    ] {
        let mut rounds = Vec::new();
        for _ in 0..bench.rounds * CALLS {
            let mut call = program(foreshore, root);
            // Nobody may be asked: an address that leads nowhere would be noticed.
            call.args(words)
                .arg("-C")
                .arg(&project)
                .env("FORESHORE_OFFLINE", "1");
            rounds.push(timed(&mut call)?);
        }
        Bench::tell(name, &rounds)?;
    }
    one_after_the_other(bench, foreshore, &project)
}

/// The same Deployment for eighty services, a process for each.
fn one_after_the_other(bench: &Bench, foreshore: &Path, project: &Path) -> Result<()> {
    let root = bench.folder.path();
    let each = |name: &str, call: &dyn Fn(usize) -> Command| -> Result<()> {
        let mut rounds = Vec::new();
        for _ in 0..bench.rounds {
            let clock = Instant::now();
            for number in 0..SERVICES {
                run(&mut call(number))?;
            }
            rounds.push(clock.elapsed());
        }
        Bench::tell(name, &rounds)
    };
    each(
        "foreshore template, 80 services one after the other",
        &|number| {
            let mut call = program(foreshore, root);
            call.args(["template", "-C"]).arg(project);
            call.args(["deployment.tmpl", &format!("NAME=service-{number}")]);
            call
        },
    )?;
    let name = "shuttle template, 80 services one after the other";
    match &bench.shuttle {
        Some(shuttle) => each(name, &|number| {
            let mut call = program(shuttle, root);
            call.arg("--project").arg(project);
            call.args([
                "--skip-pull",
                "template",
                "deployment.tmpl",
                &format!("NAME=service-{number}"),
            ]);
            call
        })?,
        None => Bench::not_measured(name, "no --shuttle is given")?,
    }
    let name = "helm template, 80 services one after the other";
    match &bench.helm {
        Some(helm) => {
            let chart = root.join("chart");
            each(name, &|number| {
                let mut call = program(helm, root);
                call.args(["template", &format!("service-{number}")])
                    .arg(&chart);
                call
            })
        }
        None => Bench::not_measured(name, "no --helm is given"),
    }
}

/// Writes a plan in git, a project that names it, and a chart with the same Deployment.
fn projects(root: &Path) -> Result<std::path::PathBuf> {
    let deployment = |name: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  selector:\n    matchLabels:\n      app: {name}\n  template:\n    metadata:\n      labels:\n        app: {name}\n    spec:\n      containers:\n        - name: {name}\n          image: example.org/{name}\n"
        )
    };
    let write = |path: &str, text: &str| -> Result<()> {
        let path = root.join(path);
        fs::create_dir_all(path.parent().context("a file has a parent")?)?;
        Ok(fs::write(path, text)?)
    };
    write(
        "plan/plan.yaml",
        "scripts:\n  build:\n    actions:\n    - shell: 'true'\n",
    )?;
    write(
        "plan/deployment.tmpl",
        &deployment("{{ get \"NAME\" .Args }}"),
    )?;
    write(
        "chart/Chart.yaml",
        "apiVersion: v2\nname: service\nversion: 0.1.0\n",
    )?;
    write(
        "chart/templates/deployment.yaml",
        &deployment("{{ .Release.Name }}"),
    )?;
    let plan = root.join("plan");
    for words in [
        &["init", "--quiet", "--initial-branch=main", "."][..],
        &["add", "--all"],
        &[
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.org",
            "commit",
            "--quiet",
            "--message",
            "plan",
        ],
    ] {
        run(Command::new("git").args(words).current_dir(&plan))?;
    }
    write(
        "project/shuttle.yaml",
        &format!(
            "plan: file://{}#main\nvars:\n  service: shop\n",
            plan.display()
        ),
    )?;
    Ok(root.join("project"))
}

fn program(path: &Path, root: &Path) -> Command {
    let mut command = Command::new(path);
    command
        .current_dir(root)
        .env("HOME", root)
        .env("FORESHORE_CACHE", root.join("cache"))
        .env("FORESHORE_DATA", root.join("data"))
        .stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn timed(command: &mut Command) -> Result<Duration> {
    let clock = Instant::now();
    run(command)?;
    Ok(clock.elapsed())
}
