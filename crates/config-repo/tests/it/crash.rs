//! Kill -9 at seeded moments: what was acknowledged is there once, and nothing needs a hand.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use foreshore_git::{LogQuery, Repository};
use foreshore_release::TRAILER_KEY;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::fixture::{MAIN, job, repository, runtime, start, wish};

/// Names the repository that the child of the sweep works on; not set in an ordinary run.
const REPOSITORY: &str = "FORESHORE_TEST_CRASH_REPOSITORY";
const ROUNDS: u32 = 14;
const SEED: u64 = 7;

/// Releases without end, and tells each acknowledged key; the sweep kills it.
#[test]
fn child_of_the_sweep() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the parent of this very process says what to do"
    )]
    let Ok(path) = std::env::var(REPOSITORY) else {
        return;
    };
    let repository = Repository::open(path).unwrap();
    runtime().block_on(async {
        let writer = start(&repository).await;
        let mut releases = tokio::task::JoinSet::new();
        for service in ["a", "b", "c"] {
            let writer = writer.clone();
            let place = ("dev".parse().unwrap(), service.parse().unwrap());
            let last = writer
                .world()
                .releases
                .get(&place)
                .map_or(1, |release| release.sequence);
            let last = u32::try_from(last).unwrap();
            releases.spawn(async move {
                // The first repeats what may not have been acknowledged.
                for n in last.. {
                    let wish = wish(service, n, "dev");
                    let key = wish.key.clone();
                    writer.submit(job(wish)).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "acknowledged {key}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
        releases.join_all().await;
    });
}

#[test]
fn kill_9_loses_and_doubles_nothing() {
    let (_folder, repository) = repository();
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        // Every second time git's processes live on and finish what they were told.
        kill_one(&repository, &mut random, round % 2 == 0, &mut acknowledged);
    }
    // The next writer needs no hand either.
    let last = async {
        start(&repository)
            .await
            .submit(job(wish("last", 1, "dev")))
            .await
    };
    runtime().block_on(last).unwrap();
    repository.check().unwrap();
    check_history(&repository, &acknowledged);
    assert!(acknowledged.len() >= usize::try_from(ROUNDS).unwrap());
}

/// Lets a child release, and kills it at a random moment after a few new acknowledgements.
fn kill_one(
    repository: &Repository,
    random: &mut ChaCha8Rng,
    whole_group: bool,
    acknowledged: &mut BTreeSet<String>,
) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_of_the_sweep", "--nocapture"])
        .env(REPOSITORY, repository.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, receiver) = std::sync::mpsc::sync_channel(10_000);
    let reading = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some((_, key)) = line.split_once("acknowledged ") {
                sender.send(key.to_owned()).unwrap();
            }
        }
    });
    let mut wanted = random.random_range(1..5);
    while wanted > 0 {
        let key = receiver
            .recv_timeout(Duration::from_mins(1))
            .expect("the child makes progress");
        wanted -= i32::from(acknowledged.insert(key));
    }
    // The moment of the kill: anywhere within a batch.
    std::thread::sleep(Duration::from_micros(random.random_range(0..60_000)));
    let pid = rustix::process::Pid::from_child(&child);
    let kill = if whole_group {
        rustix::process::kill_process_group
    } else {
        rustix::process::kill_process
    };
    kill(pid, rustix::process::Signal::KILL).unwrap();
    child.wait().unwrap();
    reading.join().unwrap();
    acknowledged.extend(receiver.try_iter());
}

fn check_history(repository: &Repository, acknowledged: &BTreeSet<String>) {
    let tip = repository.resolve(MAIN).unwrap().unwrap();
    let query = LogQuery {
        from: &tip,
        until: None,
        path: None,
        limit: 100_000,
    };
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    let mut sequences: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for commit in repository.log(&query).unwrap() {
        let Some(key) = commit.trailer(TRAILER_KEY) else {
            continue;
        };
        *found.entry(key.to_owned()).or_default() += 1;
        let (place, sequence) = commit.trailer("Release").unwrap().rsplit_once('/').unwrap();
        sequences
            .entry(place.to_owned())
            .or_default()
            .push(sequence.parse().unwrap());
    }
    for key in acknowledged {
        assert_eq!(
            found.get(key),
            Some(&1),
            "{key} of {} acknowledged",
            acknowledged.len()
        );
    }
    assert!(found.values().all(|count| *count == 1));
    for (place, mut numbers) in sequences {
        numbers.reverse();
        assert_eq!(
            numbers,
            (1..=numbers.len() as u64).collect::<Vec<_>>(),
            "{place}"
        );
    }
}
