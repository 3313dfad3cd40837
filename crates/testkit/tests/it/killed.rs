//! A run that is killed leaves nothing behind once the next one has started.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use foreshore_testkit::{
    TempDir,
    process::{Process, Spec},
    wait,
};
use rustix::process::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_mins(2);

async fn start(cache: &TempDir, log: &str) -> Process {
    let oracle = foreshore_testkit::environment::oracle("kubectl").unwrap();
    let mut cluster = Spec::new(
        env!("CARGO_BIN_EXE_foreshore-test-cluster"),
        cache.join(log),
    )
    .arg("real")
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
    let mut killed = start(&cache, "first").await;
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

    let mut next = start(&cache, "second").await;
    assert!(!Path::new(pin).exists() && !Path::new(folder).exists());
    next.signal(Signal::TERM).unwrap();
    assert!(next.wait(LIMIT).await.unwrap().success());
    assert_eq!(records(&cache), Vec::<PathBuf>::new());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(cache.path().to_str().unwrap()), "{mounts}");
}
