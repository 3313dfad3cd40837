//! A child process writes until it is killed; what it was told is written must be there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use foreshore_engine_store::{Durability, Expect, Options, Resource, Store};
use rand::RngExt;

use crate::{key, put};

const CHILD: &str = "FORESHORE_STORE_CRASH_CHILD";

/// Not a test of its own: the body of the child process, which never ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_writes_until_killed() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how the parent tells the child where to write"
    )]
    let Ok(place) = std::env::var(CHILD) else {
        return;
    };
    let (mode, path) = place.split_once('=').expect("MODE=PATH");
    let store = open(Path::new(path), mode);
    let start = store.revision();
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0_u64.. {
                let name = format!("w{writer}-{}", round % 17);
                let text = format!("{start}-{round}");
                let object = store.write(put(&name, Expect::Anything, &text)).await;
                acknowledge(&name, &text, object.expect("the disk works").revision);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("writers never end");
    }
}

#[expect(clippy::print_stdout, reason = "the parent process reads it")]
fn acknowledge(name: &str, text: &str, revision: u64) {
    println!("\nack {name} {text} {revision}");
}

fn open(path: &Path, mode: &str) -> Store {
    let durability = match mode {
        "strict" => Durability::Strict,
        _ => Durability::Relaxed {
            sync_every: Duration::from_millis(5),
        },
    };
    Store::open(Options {
        durability,
        ..Options::disk(path)
    })
    .expect("the file is sound")
}

/// Runs the child for a random while; returns what it was told last of each name.
fn run_and_kill(path: &Path, mode: &str, acks: usize) -> BTreeMap<String, (String, u64)> {
    let mut child = Command::new(std::env::current_exe().expect("a test binary has a path"))
        .args(["--exact", "crash::child_writes_until_killed", "--nocapture"])
        .env(CHILD, format!("{mode}={}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test binary starts");
    let mut acknowledged = BTreeMap::new();
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    for (count, line) in lines.enumerate() {
        // The last line may be cut by the kill.
        let Ok(line) = line else { break };
        let words: Vec<&str> = line.split(' ').collect();
        if let ["ack", name, text, revision] = words[..]
            && let Ok(revision) = revision.parse::<u64>()
        {
            let known = acknowledged
                .entry(name.to_owned())
                .or_insert((String::new(), 0));
            if revision > known.1 {
                *known = (text.to_owned(), revision);
            }
        }
        if count == acks {
            child.kill().expect("it still runs");
        }
    }
    child.wait().expect("it was started");
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost_by_kill() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    let mut highest = 0;
    for _ in 0..6 {
        let acks = rand::rng().random_range(1..200);
        let acknowledged = run_and_kill(&path, "strict", acks);
        let store = open(&path, "strict");
        for (name, (text, revision)) in acknowledged {
            let object = store.get(&key(&name)).expect("acknowledged, so there");
            assert!(
                object.revision >= revision,
                "{name} went back to {}",
                object.revision
            );
            if object.revision == revision {
                assert_eq!(object.bytes, text.as_bytes());
            }
            highest = highest.max(revision);
        }
        assert!(store.revision() >= highest);
        highest = store.revision();
        close(&store);
    }
}

#[test]
fn relaxed_revisions_never_go_back() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    let mut highest = 0;
    for _ in 0..3 {
        let acks = rand::rng().random_range(1..500);
        let acknowledged = run_and_kill(&path, "relaxed", acks);
        highest = acknowledged
            .values()
            .map(|(_, revision)| *revision)
            .fold(highest, u64::max);
        let store = open(&path, "strict");
        assert!(
            store.revision() >= highest,
            "{} < {highest}",
            store.revision()
        );
        highest = store.revision();
        close(&store);
    }
}

#[test]
fn reopening_keeps_objects_revisions_and_deletions() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = open(&path, "strict");
    let first = runtime
        .block_on(store.write(put("a", Expect::Absent, "1")))
        .expect("new");
    runtime
        .block_on(store.write(put("b", Expect::Absent, "1")))
        .expect("new");
    runtime
        .block_on(store.write(crate::delete("b", Expect::Anything)))
        .expect("there");
    close(&store);
    let store = open(&path, "strict");
    assert_eq!(store.revision(), 3);
    let again = store.get(&key("a")).expect("kept");
    assert_eq!(
        (again.revision, again.created, &again.bytes),
        (first.revision, 1, &first.bytes)
    );
    assert_eq!(store.snapshot().count(&Resource::new("things")), 1);
}

fn close(store: &Store) {
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(store.close());
}
