//! Programs that people run beside a container.

use std::time::Duration;

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::Kind;
use foreshore_testkit::wait;
use kube::api::AttachParams;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::{Fixture, LIMIT, processes_in};

async fn everything(from: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut text = String::new();
    let mut from = from.unwrap();
    tokio::time::timeout(LIMIT, from.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    text
}

/// A sandboxed pod that sleeps as user 1000 in `/tmp` and has a variable.
async fn sleeper(ground: Kind) -> Fixture {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture
        .pod("box", &["sleep"], |pod| {
            let container = &mut pod["spec"]["containers"][0];
            container["env"] = json!([{ "name": "COLOUR", "value": "green" }]);
            container["workingDir"] = json!("/bin");
            container["securityContext"] = json!({ "runAsUser": 1000 });
        })
        .await;
    fixture.until_ready("box").await;
    fixture
}

pub(crate) async fn a_program_runs_as_its_container_does_and_tells_its_exit_code(ground: Kind) {
    let fixture = sleeper(ground).await;
    let wish = AttachParams::default()
        .stdin(true)
        .stdout(true)
        .stderr(true);
    let program = ["program", "tell", "7"];
    let mut running = fixture.pods().exec("box", program, &wish).await.unwrap();
    let status = running.take_status().unwrap();
    let mut stdin = running.stdin().unwrap();
    stdin.write_all(b"some words").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    let (out, err) = tokio::join!(everything(running.stdout()), everything(running.stderr()));
    let status = tokio::time::timeout(LIMIT, status).await.unwrap().unwrap();
    assert_eq!(err, "done\n");
    for line in [
        "input: some words",
        "user: 1000",
        "directory: /bin",
        "COLOUR=green",
        "FROM_IMAGE=yes",
        "first process: program",
        "terminal: false",
    ] {
        assert!(out.lines().any(|seen| seen == line), "no `{line}` in {out}");
    }
    let causes = status.details.unwrap().causes.unwrap();
    assert_eq!(causes[0].message.as_deref(), Some("7"));
    fixture.finish().await;
}

pub(crate) async fn a_program_may_have_a_terminal(ground: Kind) {
    let fixture = sleeper(ground).await;
    let wish = AttachParams::interactive_tty();
    let program = ["program", "tell", "0"];
    let mut running = fixture.pods().exec("box", program, &wish).await.unwrap();
    let status = running.take_status().unwrap();
    let mut stdin = running.stdin().unwrap();
    // A line, then the key that ends input on a terminal.
    stdin.write_all(b"typed\n\x04").await.unwrap();
    stdin.flush().await.unwrap();
    let out = everything(running.stdout()).await;
    let status = tokio::time::timeout(LIMIT, status).await.unwrap().unwrap();
    assert_eq!(status.status.as_deref(), Some("Success"), "{out}");
    for words in ["terminal: true", "input: typed", "TERM=xterm"] {
        assert!(out.contains(words), "no `{words}` in {out}");
    }
    fixture.finish().await;
}

pub(crate) async fn kubectl_runs_programs_and_hears_their_exit_code(ground: Kind) {
    let fixture = sleeper(ground).await;
    let (code, out, err) = fixture
        .kubectl(&["exec", "box", "--", "program", "tell", "3"])
        .await;
    assert_eq!(code, Some(3), "{out} {err}");
    assert!(out.contains("user: 1000"), "{out}");
    assert!(err.contains("command terminated with exit code 3"), "{err}");
    let (code, _, err) = fixture
        .kubectl(&["exec", "box", "--", "nothing-like-it"])
        .await;
    assert_eq!(code, Some(127), "{err}");
    assert!(err.contains("cannot run `nothing-like-it`"), "{err}");
    fixture.finish().await;
}

pub(crate) async fn a_program_ends_with_the_one_who_wanted_it(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    fixture.pod("box", &["sleep"], |_| {}).await;
    fixture.until_ready("box").await;
    let executing = || {
        processes_in(&fixture.options.root)
            .iter()
            .filter(|line| line.contains("exec"))
            .count()
    };
    let wish = AttachParams::default().stdout(true);
    let running = fixture
        .pods()
        .exec("box", ["program", "sleep"], &wish)
        .await
        .unwrap();
    wait::until("the program to run", LIMIT, || async { executing() > 0 })
        .await
        .unwrap();
    running.abort();
    drop(running);
    wait::until("the program to end", LIMIT, || async { executing() == 0 })
        .await
        .unwrap();
    let pod = tokio::time::timeout(Duration::from_secs(30), fixture.pods().get("box")).await;
    assert_eq!(
        crate::fixture::container(&pod.unwrap().unwrap()).restart_count,
        0
    );
    fixture.finish().await;
}
