//! A child process reads and writes until it is killed; what it was told holds after.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use foreshore_engine_store::{Durability, Expect, Options, Resource, Store};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clients::{Client, contents};
use crate::linear::{Note, Outcome, check};
use crate::{key, put, rounds};

const CHILD: &str = "FORESHORE_STORE_CRASH_CHILD";
const KILLS: u64 = 6;
/// Numbers of calls each client has for itself.
const SPAN: u64 = 1_000_000;

/// Not a test of its own: the body of the child process, which never ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_works_until_killed() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how the parent tells the child where to write"
    )]
    let Ok(place) = std::env::var(CHILD) else {
        return;
    };
    let [mode, round, path] = place.splitn(3, '=').collect::<Vec<_>>()[..] else {
        panic!("MODE=ROUND=PATH");
    };
    let store = open(Path::new(path), mode);
    // Numbers of calls are never used again, whatever came before.
    let first = store.revision() * 10 * SPAN;
    let round: u64 = round.parse().expect("a number");
    let clients = (1..=6).map(|client| {
        let random = StdRng::seed_from_u64(round.wrapping_mul(100) + client);
        let mut client = Client::new(store.clone(), random, first + client * SPAN);
        tokio::spawn(async move {
            while client.call(&print).await {
                // Reads wait for nobody; the others get their turn.
                tokio::task::yield_now().await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("clients never end");
    }
}

/// Whole lines, in the order in which things happened.
#[expect(clippy::print_stdout, reason = "the parent process reads it")]
#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands where notes are taken"
)]
fn print(note: Note) {
    println!("note {note};");
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

/// Runs the child until it has noted so much; returns all it noted.
fn run_and_kill(path: &Path, mode: &str, round: u64, lines: usize) -> Vec<Note> {
    let mut child = Command::new(std::env::current_exe().expect("a test binary has a path"))
        .args(["--exact", "crash::child_works_until_killed", "--nocapture"])
        .env(CHILD, format!("{mode}={round}={}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test binary starts");
    let mut notes = vec![];
    let output = BufReader::new(child.stdout.take().expect("piped")).split(b'\n');
    for (count, line) in output.enumerate() {
        let line = line.expect("a pipe can be read");
        let line = String::from_utf8_lossy(&line);
        // The runner's own words may stand before; the last line may be cut by the kill.
        let note = line.split_once("note ").map(|(_, rest)| rest);
        let note = note.and_then(|note| note.strip_suffix(';'));
        notes.extend(note.map(|note| note.parse::<Note>().expect("as it was written")));
        if count == lines {
            child.kill().expect("it was started");
        }
    }
    child.wait().expect("it was started");
    notes
}

fn done(notes: &[Note]) -> u64 {
    let revisions = notes.iter().filter_map(|note| match note {
        Note::End {
            outcome: Outcome::Done(revision),
            ..
        } => Some(*revision),
        _ => None,
    });
    revisions.max().unwrap_or(0)
}

#[test]
fn what_clients_were_told_holds_after_a_kill() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    let (mut highest, mut before) = (0, BTreeMap::new());
    for round in rounds(KILLS) {
        let lines = rand::rng().random_range(1..400);
        let notes = run_and_kill(&path, "strict", round, lines);
        let store = open(&path, "strict");
        let after = contents(&store);
        let checked = check(&notes, &before, &after);
        assert_eq!(checked, Ok(()), "round {round}: {notes:#?}");
        highest = highest.max(done(&notes));
        assert!(store.revision() >= highest);
        highest = store.revision();
        before = after;
        close(&store);
    }
}

#[test]
fn relaxed_revisions_never_go_back() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    let mut highest = 0;
    for round in 0..3 {
        let lines = rand::rng().random_range(1..500);
        let notes = run_and_kill(&path, "relaxed", round, lines);
        highest = highest.max(done(&notes));
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
