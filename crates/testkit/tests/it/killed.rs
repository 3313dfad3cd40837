//! A run that is killed leaves nothing behind once the next one has started.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use foreshore_testkit::{
    TempDir,
    cluster::no_kubelet_because,
    environment,
    process::{Process, Spec},
    wait,
};
use rustix::process::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_mins(2);

async fn start(cache: &TempDir, log: &str, further: &[&str]) -> Process {
    let oracle = environment::oracle("kubectl").unwrap();
    let mut cluster = Spec::new(
        env!("CARGO_BIN_EXE_foreshore-test-cluster"),
        cache.join(log),
    )
    .arg("real")
    .args(further)
    .env("FORESHORE_CACHE", cache.path())
    .env("FORESHORE_ORACLE", oracle.parent().unwrap())
    .start()
    .unwrap();
    let log = cluster.log().to_owned();
    cluster
        .ready(LIMIT, || {
            let ready =
                fs::read_to_string(&log).is_ok_and(|text| text.contains("export KUBECONFIG="));
            async move { ready }
        })
        .await
        .unwrap();
    cluster
}

fn records(cache: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache.join("run")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn the_next_start_clears_away_what_a_killed_run_left() {
    let cache = TempDir::new("killed").unwrap();
    let mut killed = start(&cache, "first", &[]).await;
    let record = records(&cache)
        .into_iter()
        .find(|path| path.extension().unwrap() == "json")
        .unwrap();
    let record: Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    killed.kill().unwrap();

    let programs = record["children"].as_array().unwrap();
    assert_eq!(programs.len(), 4);
    for program in programs {
        let process = PathBuf::from(format!("/proc/{}", program["pid"]));
        wait::until("the kernel to end it", LIMIT, || async {
            !process.exists()
        })
        .await
        .unwrap();
    }
    let (pin, folder) = (
        record["pin"].as_str().unwrap(),
        record["folder"].as_str().unwrap(),
    );
    assert!(Path::new(pin).exists() && Path::new(folder).exists());

    let mut next = start(&cache, "second", &[]).await;
    assert!(!Path::new(pin).exists() && !Path::new(folder).exists());
    next.signal(Signal::TERM).unwrap();
    assert!(next.wait(LIMIT).await.unwrap().success());
    assert_eq!(records(&cache), Vec::<PathBuf>::new());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(cache.path().to_str().unwrap()), "{mounts}");
}

/// Paths of the cgroup `name` in every hierarchy.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir("/sys/fs/cgroup").unwrap();
    let paths = entries.map(|entry| entry.unwrap().path().join(name));
    paths.filter(|path| path.is_dir()).collect()
}

/// Programs, mounts and cgroups of a killed node: the first two end with the
/// run, the cgroups are cleared away by the next.
#[tokio::test]
async fn the_next_start_clears_away_a_real_kubelet() {
    if let Some(reason) = no_kubelet_because() {
        environment::not_run("leftovers of a killed kubelet", &reason);
        return;
    }
    let cache = TempDir::new("killed-kubelet").unwrap();
    let mut killed = start(&cache, "first", &["--kubelet"]).await;
    let record = records(&cache)
        .into_iter()
        .find(|path| path.extension().unwrap() == "json")
        .unwrap();
    let record: Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    let (cgroup, folder) = (
        record["cgroup"].as_str().unwrap(),
        record["folder"].as_str().unwrap(),
    );
    assert!(!cgroups(cgroup).is_empty());
    killed.kill().unwrap();
    wait::until("the kernel to end the node", LIMIT, || async {
        processes_of(folder).is_empty()
    })
    .await
    .unwrap();

    let mut next = start(&cache, "second", &[]).await;
    assert_eq!(cgroups(cgroup), Vec::<PathBuf>::new());
    assert!(!Path::new(folder).exists());
    next.signal(Signal::TERM).unwrap();
    assert!(next.wait(LIMIT).await.unwrap().success());
    assert_eq!(records(&cache), Vec::<PathBuf>::new());
}

/// Command lines of processes that name `folder`.
fn processes_of(folder: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap();
    // A process may end while it is looked at.
    let lines = entries.filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder)).collect()
}
