//! What `up` and `down` meet on machines that are not as they should be: clear words, nothing lost, nothing left over.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use foreshore_sys::{Identity, Process, Signal, mount};
use foreshore_testkit::seed::Seed;
use foreshore_testkit::{TempDir, environment, wait};
use rand::RngExt as _;

use crate::stage::{PATIENCE, Stage, expect, leftovers, said, text};

const ANY_PORTS: [&str; 6] = ["--port", "0", "--ingress-port", "0", "--api-port", "0"];
/// Moments at which a start or a stop is interrupted.
const INTERRUPTIONS: usize = 4;
/// A start is over by then.
const START_MILLIS: u64 = 1_500;
/// Who owns nothing.
const NOBODY: u32 = 65_534;

async fn nothing_is_left(data: &Path) -> Result<()> {
    wait::until("nothing of the platform to be left", PATIENCE, || async {
        leftovers(data).is_empty()
    })
    .await
}

#[tokio::test]
async fn a_taken_port_is_told_before_anything_is_made() -> Result<()> {
    let stage = Stage::new("taken")?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    for (option, purpose) in [
        ("--port", "server"),
        ("--ingress-port", "ingress"),
        ("--api-port", "Kubernetes API"),
    ] {
        let mut arguments = vec!["up", "--detach", "--no-samples"];
        arguments.extend(ANY_PORTS);
        let place = arguments.iter().position(|word| *word == option);
        arguments[place.context("the option is there")? + 1] = &port;
        let told = format!("port {port} for the {purpose} is taken");
        said(
            &stage.foreshore(&arguments).await?,
            2,
            &[&told, "choose another port"],
        )?;
    }
    ensure!(!stage.data().join("server").exists());
    nothing_is_left(&stage.data()).await
}

#[tokio::test]
async fn a_directory_of_somebody_else_and_a_full_disk_are_left_as_they_are() -> Result<()> {
    let stage = Stage::new("elsewhere")?;
    fs::create_dir_all(stage.data())?;
    fs::write(stage.data().join("thesis.tex"), "chapter one")?;
    let foreign = stage.foreshore(&["up", "--detach"]).await?;
    said(
        &foreign,
        2,
        &["files of somebody else: `thesis.tex`", "--data DIR"],
    )?;
    ensure!(fs::read_dir(stage.data())?.count() == 1);

    let small = stage.folder.join("small");
    fs::create_dir(&small)?;
    mount::tmpfs(&small, "size=16m")?;
    let data = small.join("data");
    let full = stage
        .foreshore(&["up", "--detach", "--data", text_of(&data)?])
        .await;
    let made = data.exists();
    mount::detach(&small)?;
    said(&full?, 1, &["has only 1", "MiB left", "free some"])?;
    ensure!(!made, "a refused start makes nothing");
    Ok(())
}

fn text_of(path: &Path) -> Result<&str> {
    path.to_str().context("a plain name")
}

#[tokio::test]
async fn without_git_nothing_starts_and_it_is_said_what_to_install() -> Result<()> {
    let stage = Stage::new("no-git")?;
    let usual = ["up", "--detach", "--no-samples", "--runtime", "simulated"];
    let arguments = [&usual[..], &ANY_PORTS].concat();
    let empty = stage.folder.join("empty");
    fs::create_dir(&empty)?;
    let answer = stage
        .with_variable("PATH", text_of(&empty)?, &arguments)
        .await?;
    said(&answer, 1, &["git", "apt install git"])?;
    nothing_is_left(&stage.data()).await
}

#[tokio::test]
async fn without_root_it_says_so_and_starts_what_it_can() -> Result<()> {
    let program = TempDir::new("nobody")?;
    // A test's own target may be where nobody gets to.
    let copy = program.join("foreshore");
    fs::copy(environment::foreshore()?, &copy)?;
    fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755))?;
    let home = program.join("home");
    fs::create_dir(&home)?;
    std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY))?;
    let run = async |arguments: &[&str]| {
        let path = environment::value("PATH").context("PATH is not set")?;
        let mut command = Command::new(&copy);
        command
            .args(arguments)
            .current_dir(&home)
            .env_clear()
            .env("HOME", &home)
            .env("PATH", path)
            .env("FORESHORE_DATA", home.join("data"))
            .stdin(Stdio::null())
            .uid(NOBODY)
            .gid(NOBODY);
        let running = tokio::process::Command::from(command).output();
        let output = tokio::time::timeout(PATIENCE, running).await??;
        anyhow::Ok(foreshore_testkit::cli::Answer {
            code: output.status.code().context("it ended by itself")?,
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    };
    let usual = [&["up", "--detach", "--no-samples"][..], &ANY_PORTS].concat();
    let sandbox = run(&[&usual[..], &["--runtime", "sandbox"]].concat()).await?;
    // Should it start against what is expected, it must not outlive the test.
    run(&["down", "--now"]).await?;
    said(
        &sandbox,
        1,
        &["root", "--context NAME", "--runtime simulated"],
    )?;
    nothing_is_left(&home.join("data")).await?;
    let simulated = [&usual[..], &["--runtime", "simulated"]].concat();
    let up = run(&simulated).await?;
    let down = run(&["down"]).await?;
    said(&up, 0, &["dashboard: http://127.0.0.1:"])?;
    said(&down, 0, &["stopped"])?;
    nothing_is_left(&home.join("data")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_starts_at_once_one_wins_and_the_other_says_so() -> Result<()> {
    let mut stage = Stage::new("twice")?;
    stage.will_be_up();
    let usual = ["up", "--detach", "--no-samples", "--runtime", "simulated"];
    let arguments = [&usual[..], &ANY_PORTS].concat();
    let (one, other) = tokio::join!(stage.foreshore(&arguments), stage.foreshore(&arguments));
    let mut codes = Vec::new();
    for answer in [one?, other?] {
        // Who comes while the first one starts is refused; who comes after it finds it running.
        ensure!(matches!(answer.code, 0 | 5), "{}", answer.transcript());
        if answer.code == 5 {
            said(
                &answer,
                5,
                &["another platform runs from", "foreshore down"],
            )?;
        }
        codes.push(answer.code);
    }
    ensure!(codes.contains(&0), "{codes:?}");
    expect(0, stage.foreshore(&["status"]).await?)?;
    expect(0, stage.foreshore(&["down"]).await?)?;
    nothing_is_left(&stage.data()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_at_any_moment_leaves_nothing_and_loses_nothing() -> Result<()> {
    let mut stage = Stage::new("ctrl-c")?;
    stage.will_be_up();
    let mut seed = Seed::new();
    interrupt(&stage, &mut seed)
        .await
        .with_context(|| format!("repeat with FORESHORE_SEED={}", seed.number()))?;
    let up = stage.up(&ANY_PORTS).await?;
    ensure!(text(&up, "/url")?.starts_with("http://"));
    expect(0, stage.foreshore(&["status"]).await?)?;
    expect(0, stage.foreshore(&["down"]).await?)?;
    nothing_is_left(&stage.data()).await
}

async fn interrupt(stage: &Stage, seed: &mut Seed) -> Result<()> {
    for _ in 0..INTERRUPTIONS {
        let starting = Duration::from_millis(seed.random().random_range(0..START_MILLIS));
        let stopping = Duration::from_millis(seed.random().random_range(0..200));
        let mut child = tokio::process::Command::new(environment::foreshore()?)
            .args(["up", "--no-samples"])
            .args(ANY_PORTS)
            .current_dir(stage.folder.path())
            .env("FORESHORE_DATA", stage.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id().context("it has just started")?;
        let process = Process::open(Identity::of(id)?)?.context("it runs")?;
        tokio::time::sleep(starting).await;
        process.signal(Signal::INT)?;
        tokio::time::sleep(stopping).await;
        // A second one, from somebody who does not like to wait, changes nothing.
        process.signal(Signal::INT)?;
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
        ended.context("it did not end")??;
        nothing_is_left(&stage.data()).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_survives_other_versions_missing_parts_reboots_and_moves_to_another_machine()
-> Result<()> {
    let mut stage = Stage::new("state")?;
    let simulated = [&ANY_PORTS[..], &["--runtime", "simulated"]].concat();
    stage.up(&simulated).await?;
    let issue = ["token", "issue", "ci-shop", "--push", "shop"];
    let token = expect(0, stage.foreshore(&issue).await?)?.stdout;
    let token = token.trim();
    expect(0, stage.foreshore(&["down"]).await?)?;

    another_version_is_refused(&stage).await?;
    a_missing_part_is_named(&stage).await?;

    let up = stage.up(&simulated).await?;
    a_reboot_takes_processes_and_mounts(&stage, &up).await?;
    let up = stage.up(&simulated).await?;
    is_known(&stage, token).await?;
    ensure!(
        text(&up, "/url")? == url(&stage.data())?,
        "it answers where it did"
    );

    let file = stage.folder.join("backup.tar.gz");
    freeze(&stage, "before").await?;
    let (backup, ()) = tokio::try_join!(
        async { expect(0, stage.foreshore(&["backup", text_of(&file)?]).await?) },
        // Commits and their reports go on while it is taken.
        async {
            for name in ["during-1", "during-2", "during-3"] {
                freeze(&stage, name).await?;
            }
            Ok(())
        },
    )?;
    said(&backup, 0, &["keep it as you keep keys"])?;
    let again = stage.foreshore(&["backup", text_of(&file)?]).await?;
    said(&again, 5, &["is there already"])?;
    let over = stage.foreshore(&["restore", text_of(&file)?]).await?;
    said(&over, 5, &["holds something already"])?;
    expect(0, stage.foreshore(&["down"]).await?)?;
    fs::rename(stage.data(), stage.folder.join("lost"))?;
    let restored = stage.foreshore(&["restore", text_of(&file)?]).await?;
    said(&restored, 0, &["foreshore up"])?;
    stage.up(&simulated).await?;
    is_known(&stage, token).await?;
    let freezes = stage.foreshore(&["freeze", "list"]).await?;
    said(&freezes, 0, &["before"])?;
    expect(0, stage.foreshore(&["down"]).await?)?;
    nothing_is_left(&stage.data()).await
}

async fn freeze(stage: &Stage, name: &str) -> Result<()> {
    let words = [
        "freeze",
        "add",
        name,
        "-e",
        "prod",
        "--from",
        "2036-12-23T17:00",
        "--until",
        "2037-01-04T08:00",
        "--reason",
        "holidays",
    ];
    expect(0, stage.foreshore(&words).await?).map(|_| ())
}

fn url(data: &Path) -> Result<String> {
    let owner = fs::read_to_string(data.join("credentials/owner.json"))?;
    text(&serde_json::from_str(&owner)?, "/server")
}

/// The token may push, and for that reason it is refused what it asks for by name.
async fn is_known(stage: &Stage, token: &str) -> Result<()> {
    let answer = stage.with_token(token, &["status"]).await?;
    said(&answer, 3, &["`ci-shop` may not"])
}

async fn another_version_is_refused(stage: &Stage) -> Result<()> {
    let path = stage.data().join("state.json");
    let kept = fs::read(&path)?;
    for (format, hint) in [(99, "9.9.9 or newer"), (0, "a version in between")] {
        let other = format!(r#"{{"format":{format},"program":"9.9.9","complete":true}}"#);
        fs::write(&path, &other)?;
        let refused = stage.foreshore(&["up", "--detach", "--no-samples"]).await?;
        said(&refused, 1, &["written by Foreshore 9.9.9", hint])?;
        ensure!(fs::read_to_string(&path)? == other);
    }
    Ok(fs::write(path, kept)?)
}

async fn a_missing_part_is_named(stage: &Stage) -> Result<()> {
    let away = stage.folder.join("away");
    for part in ["server/registry", "credentials/agent.agekey"] {
        fs::rename(stage.data().join(part), &away)?;
        let refused = stage.foreshore(&["up", "--detach", "--no-samples"]).await?;
        let named = format!("`{part}` missing");
        said(&refused, 1, &["is not whole", &named, "foreshore restore"])?;
        fs::rename(&away, stage.data().join(part))?;
    }
    // What follows from the rest is made anew.
    fs::remove_dir_all(stage.data().join("engine"))?;
    Ok(())
}

/// Power goes and comes back: no process, no mount, only files.
async fn a_reboot_takes_processes_and_mounts(stage: &Stage, up: &serde_json::Value) -> Result<()> {
    let pid = u32::try_from(up["pid"].as_u64().context("it says its process")?)?;
    let process = Process::open(Identity::of(pid)?)?.context("it runs")?;
    process.signal(Signal::KILL)?;
    tokio::time::timeout(PATIENCE, process.wait()).await??;
    // Whoever asks in between is told that it ended.
    let doctor = stage.foreshore(&["doctor", "-o", "json"]).await?;
    ensure!(doctor.stdout.contains("one ended without being stopped"));
    let status = stage.foreshore(&["status"]).await?;
    said(&status, 4, &["foreshore up"])
}
