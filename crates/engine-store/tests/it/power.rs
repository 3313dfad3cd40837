//! The power goes at any moment while clients read and write; what they were told holds when
//! it comes back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use foreshore_engine_store::{Expect, Resource, Store};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clients::{Client, contents, number_of};
use crate::disk::Disk;
use crate::linear::{Action, Note, Outcome, calls, check};
use crate::{put, rounds};

/// One power cut for each seed.
const CUTS: u64 = 200;
const CLIENTS: u64 = 4;
const CALLS: u64 = 16;

/// A list as somebody saw it: its revision, and what each name held.
type Seen = (u64, BTreeMap<String, u64>);

/// Lets clients work until the power goes; returns what they noted, and lists taken meanwhile.
async fn work(store: &Store, random: &mut StdRng) -> (Vec<Note>, Vec<Seen>) {
    let notes = Arc::new(Mutex::new(Vec::<Note>::new()));
    let clients = (1..=CLIENTS).map(|client| {
        let random = StdRng::seed_from_u64(random.random());
        let mut client = Client::new(store.clone(), random, client * 1000);
        let notes = Arc::clone(&notes);
        tokio::spawn(async move {
            let note = |note| notes.lock().expect("no client panics").push(note);
            for _ in 0..CALLS {
                if !client.call(&note).await {
                    return;
                }
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut lists = vec![];
    for client in clients {
        lists.push(list(store));
        client.await.expect("no client panics");
    }
    let notes = std::mem::take(&mut *notes.lock().expect("all clients are done"));
    (notes, lists)
}

fn list(store: &Store) -> Seen {
    let snapshot = store.snapshot();
    let things = Resource::new("things");
    let objects = snapshot.list(&things, None, None);
    let objects = objects.map(|object| (object.key.name.to_string(), number_of(object)));
    (snapshot.revision(), objects.collect())
}

/// What the acknowledged writes up to a revision leave, if carried out one by one.
fn replay(notes: &[Note], until: u64) -> BTreeMap<String, u64> {
    let mut done: Vec<_> = calls(notes)
        .into_iter()
        .filter_map(|call| match call.outcome {
            Outcome::Done(revision) if revision <= until => Some((revision, call)),
            _ => None,
        })
        .collect();
    done.sort_by_key(|(revision, _)| *revision);
    let mut state = BTreeMap::new();
    for (_, call) in done {
        match call.action {
            Action::Delete(_) => drop(state.remove(&call.name)),
            _ => drop(state.insert(call.name, call.number)),
        }
    }
    state
}

fn highest(notes: &[Note]) -> u64 {
    let revisions = notes.iter().filter_map(|note| match note {
        Note::End {
            outcome: Outcome::Done(revision),
            ..
        } => Some(*revision),
        _ => None,
    });
    revisions.max().unwrap_or(0)
}

async fn case(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let disk = Disk::default();
    let store = Store::open(disk.options()).expect("a new disk");
    disk.cut_after(random.random_range(0..400));
    let (notes, lists) = work(&store, &mut random).await;
    for (revision, seen) in lists {
        let expected = replay(&notes, revision);
        assert_eq!(seen, expected, "seed {seed}: the list at {revision}");
    }
    let highest = highest(&notes);
    let restored = disk.restore(&mut random);
    store.close().await;
    let store = match Store::open(restored.options()) {
        Ok(store) => store,
        Err(error) => panic!("seed {seed}: {error}"),
    };
    assert!(
        store.revision() >= highest,
        "seed {seed}: revisions went back"
    );
    let checked = check(&notes, &BTreeMap::new(), &contents(&store));
    assert_eq!(checked, Ok(()), "seed {seed}: {notes:#?}");
    let next = store.write(put("next", Expect::Anything, "x")).await;
    let next = next.expect("the disk works again").revision;
    assert!(next > highest, "seed {seed}: a revision was given twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_clients_were_told_holds_after_a_power_cut() {
    for seed in rounds(CUTS) {
        case(seed).await;
    }
}
