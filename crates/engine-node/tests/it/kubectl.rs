//! What people type: `kubectl logs`, `exec`, `top`, and what is refused.

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::Kind;
use foreshore_testkit::{environment, process, wait};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::fixture::{Fixture, LIMIT, container};

pub(crate) async fn kubectl_shows_the_logs_of_every_container_and_of_the_start_before(
    ground: Kind,
) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture
        .pod("duet", &["talk", "3"], |pod| {
            let mut second = pod["spec"]["containers"][0].clone();
            second["name"] = json!("second");
            second["args"] = json!(["talk", "2"]);
            pod["spec"]["containers"]
                .as_array_mut()
                .unwrap()
                .push(second);
        })
        .await;
    fixture.until_ready("duet").await;
    let all = ["logs", "duet", "--all-containers", "--prefix"];
    let out = wait::for_some("five lines", LIMIT, || async {
        let (_, out, _) = fixture.kubectl(&all).await;
        (out.lines().count() == 5).then_some(out)
    })
    .await
    .unwrap();
    assert!(out.contains("[pod/duet/main] line 2"), "{out}");
    assert!(out.contains("[pod/duet/second] line 1"), "{out}");
    let cut = ["logs", "duet", "-c", "main", "--tail=1", "--since=1h"];
    assert_eq!(fixture.kubectl(&cut).await.1, "line 2\n");
    let (code, _, err) = fixture
        .kubectl(&["logs", "duet", "-c", "main", "--previous"])
        .await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains("previous terminated container \"main\""),
        "{err}"
    );

    fixture.pod("again", &["exit", "3"], |_| {}).await;
    fixture
        .until("again", |pod| container(pod).restart_count >= 1)
        .await;
    let (code, _, err) = fixture.kubectl(&["logs", "again", "--previous"]).await;
    assert_eq!(code, Some(0), "{err}");
    fixture.finish().await;
}

pub(crate) async fn kubectl_follows_a_log_to_the_end_of_its_container(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture
        .pod("talk", &["talk", "3"], |pod| {
            pod["spec"]["terminationGracePeriodSeconds"] = json!(0);
        })
        .await;
    fixture.until_ready("talk").await;
    let kubectl = environment::oracle("kubectl").unwrap();
    let mut follower = process::Spec::new(kubectl, fixture.folder.join("follower.log"))
        .arg("--kubeconfig")
        .arg(fixture.cluster.kubeconfig())
        .args(["-n", &fixture.name, "logs", "-f", "talk"])
        .start()
        .unwrap();
    wait::until("the lines", LIMIT, || async {
        follower.output().unwrap() == "line 0\nline 1\nline 2\n"
    })
    .await
    .unwrap();
    assert!(follower.ended().unwrap().is_none());
    fixture.delete("talk").await;
    let status = follower.wait(LIMIT).await.unwrap();
    assert!(status.success(), "{}", follower.tail());
    fixture.finish().await;
}

pub(crate) async fn kubectl_gives_a_program_a_terminal(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture.pod("box", &["sleep"], |_| {}).await;
    fixture.until_ready("box").await;
    // `script` gives kubectl the terminal without which `-t` means nothing.
    let kubectl = environment::oracle("kubectl").unwrap();
    let line = format!(
        "{} --kubeconfig {} -n {} exec -it box -- program tell 5",
        kubectl.display(),
        fixture.cluster.kubeconfig().display(),
        fixture.name
    );
    let mut child = tokio::process::Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut keys = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    // Keys that are pressed before the terminal is passed on go elsewhere.
    let mut out = read_until(&mut screen, "first process").await;
    keys.write_all(b"typed\n\x04").await.unwrap();
    keys.flush().await.unwrap();
    out.push_str(&read_until(&mut screen, "input: typed").await);
    let status = tokio::time::timeout(LIMIT, child.wait()).await;
    assert!(out.contains("terminal: true"), "{out}");
    assert!(out.contains("input: typed"), "{out}");
    assert_eq!(status.unwrap().unwrap().code(), Some(5), "{out}");
    drop(keys);
    fixture.finish().await;
}

async fn read_until(screen: &mut (impl AsyncRead + Unpin), words: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(words) {
        let read = screen.read_buf(&mut seen);
        let read = tokio::time::timeout(LIMIT, read).await.unwrap().unwrap();
        let so_far = String::from_utf8_lossy(&seen);
        assert_ne!(read, 0, "no `{words}` in {so_far}");
    }
    String::from_utf8_lossy(&seen).into_owned()
}

pub(crate) async fn attach_and_port_forward_are_refused_and_copies_need_tar_in_the_image(
    ground: Kind,
) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture.pod("box", &["sleep"], |_| {}).await;
    fixture.until_ready("box").await;
    let (code, _, err) = fixture.kubectl(&["attach", "box"]).await;
    assert_ne!(code, Some(0));
    assert!(err.contains("attach"), "{err}");
    let (code, out, err) = fixture.kubectl(&["port-forward", "pod/box", ":8080"]).await;
    assert_ne!(code, Some(0), "{out} {err}");
    assert!(err.contains("port"), "{err}");
    let (code, _, err) = fixture
        .kubectl(&["cp", "box:/bin/program", "/dev/null"])
        .await;
    assert_ne!(code, Some(0));
    // As on any cluster: 127 is a shell's word for a program that is not there.
    assert!(err.contains("exit code 127"), "{err}");
    fixture.finish().await;
}

pub(crate) async fn what_pods_and_nodes_use_can_be_asked_for(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture.pod("idle", &["talk", "1"], |_| {}).await;
    fixture.until_ready("idle").await;
    // Upstream `top` is the work of an add-on, which reads what the node serves.
    let node = format!("/api/v1/nodes/{}/proxy/metrics/resource", fixture.name);
    let ask: Vec<&str> = match ground {
        Kind::Engine => vec!["top", "pod", "idle", "--no-headers"],
        Kind::Real => vec!["get", "--raw", &node],
    };
    let out = wait::for_some("processor time", LIMIT, || async {
        let (code, out, _) = fixture.kubectl(&ask).await;
        (code == Some(0) && out.contains("idle")).then_some(out)
    })
    .await
    .unwrap();
    if ground == Kind::Engine {
        let fields: Vec<&str> = out.split_whitespace().collect();
        assert!(
            fields[1].ends_with('m') && fields[2].ends_with("Mi"),
            "{out}"
        );
        let (code, out, err) = fixture.kubectl(&["top", "node", &fixture.name]).await;
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains(&fixture.name), "{out}");
    } else {
        assert!(out.contains("container_memory_working_set_bytes"), "{out}");
    }
    fixture.finish().await;
}
