//! Every page over the real control plane; and, for tests in a browser, a ground that stays until they are done.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::Duration;

use foreshore_testkit::cluster::{Kind, Options};
use foreshore_testkit::{Cluster, environment, wait};
use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::whole::Whole;

const PAGES: [&str; 14] = [
    "/",
    "/services",
    "/services/web",
    "/releases",
    "/releases/dev/web",
    "/pods",
    "/nodes",
    "/events",
    "/checks",
    "/loads",
    "/logs?service=web&environment=dev",
    "/audit",
    "/search?q=web",
    "/help",
];

/// Names the ground to serve until standard input ends: `engine` or `real`.
const SERVE: &str = "FORESHORE_SERVE_PAGES";

/// Two services in dev, one of them asked for in prod by somebody else.
async fn filled(kind: Kind) -> Whole {
    let whole = Whole::start(kind).await;
    whole.push("web", 1).await;
    whole.push("api", 1).await;
    whole
        .until("/services", |page| page.matches(">2/2<").count() == 2)
        .await;
    let ask = json!({"service": "api", "environment": "prod", "selection": {"from": null}, "reason": "tested", "idempotency_key": "k"});
    whole.healthy("api", "dev", 1).await;
    whole.healthy("web", "dev", 1).await;
    whole.as_reviewer("/releases", &ask).await;
    whole
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_answers_over_the_real_control_plane() {
    let asked = environment::value(SERVE);
    let kind = match asked.as_deref() {
        Some("engine") => Kind::Engine,
        _ => Kind::Real,
    };
    let whole = filled(kind).await;
    if asked.is_some() {
        let mut stdout = std::io::stdout();
        writeln!(stdout, "\nPAGES {}", whole.url).unwrap();
        stdout.flush().unwrap();
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await.unwrap().unwrap();
        return;
    }
    for path in PAGES {
        let shown = whole.get(path).await;
        assert_eq!(shown.status, StatusCode::OK, "{path}");
        assert!(shown.text.contains("local: live"), "{path}: {}", shown.text);
    }
    let pods = whole.get("/pods").await.text;
    assert!(
        pods.contains(">N/A of 100m<"),
        "nobody measures there: {pods}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_shows_the_cluster_of_a_kubeconfig_and_says_when_it_is_gone() {
    let patience = Duration::from_mins(1);
    let options = Options {
        simulated_nodes: 1,
        ..Options::default()
    };
    let cluster = Cluster::engine(options).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let named = format!("dc1={}", cluster.kubeconfig().display());
    let mut program = tokio::process::Command::new(environment::foreshore().unwrap())
        .args(["server", "--listen", "127.0.0.1:0", "--cluster", &named])
        .env("FORESHORE_DATA", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let url = loop {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("it says where it serves");
        if let Some((_, url)) = line.split_once("serving at ") {
            break url.trim().to_owned();
        }
    };
    // What it says later is nobody's; a pipe that is full would stop it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let shows = async |words: &str| {
        let page = reqwest::get(format!("{url}/nodes")).await.unwrap();
        page.text().await.unwrap().contains(words)
    };
    let live = async || shows("dc1: live").await && shows("simulated").await;
    wait::until("the cluster on the page", patience, || live())
        .await
        .unwrap();
    drop(cluster);
    wait::until("the page to say that it is gone", patience, || {
        shows("no answer since")
    })
    .await
    .unwrap();
    assert!(shows("simulated").await, "the last rows stay");
    program.kill().await.unwrap();
}
