//! The power goes at any moment; whatever was acknowledged is there when it comes back.

use std::collections::BTreeMap;

use foreshore_engine_store::{Expect, Store};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::disk::Disk;
use crate::{delete, key, put};

/// One power cut for each seed.
const CUTS: u64 = 200;
const NAMES: u32 = 5;
const WRITES: u32 = 24;

/// What a name has: its text and revision, or the revision at which it went.
type Known = BTreeMap<String, (Option<String>, u64)>;

/// Writes until the power goes; returns what was acknowledged, and what was under way.
async fn write(store: &Store, random: &mut StdRng) -> (Known, Option<String>) {
    let mut known = Known::new();
    for round in 0..WRITES {
        let name = format!("n{}", random.random_range(0..NAMES));
        let there = known.get(&name).is_some_and(|(text, _)| text.is_some());
        let written = if there && random.random_range(0..4) == 0 {
            let written = store.write(delete(&name, Expect::Anything)).await;
            written.map(|object| (None, object.revision))
        } else {
            let text = format!("{round} ").repeat(random.random_range(1..400));
            let written = store.write(put(&name, Expect::Anything, &text)).await;
            written.map(|object| (Some(text), object.revision))
        };
        match written {
            Ok(written) => drop(known.insert(name, written)),
            Err(_) => return (known, Some(name)),
        }
    }
    (known, None)
}

async fn case(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let disk = Disk::default();
    let store = Store::open(disk.options()).expect("a new disk");
    disk.cut_after(random.random_range(0..400));
    let (known, open) = write(&store, &mut random).await;
    let highest = known
        .values()
        .map(|(_, revision)| *revision)
        .max()
        .unwrap_or(0);
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
    for (name, (text, revision)) in &known {
        if open.as_ref() == Some(name) {
            // The write that was cut may or may not have happened.
            continue;
        }
        let found = store.get(&key(name));
        let found = found.map(|object| (object.bytes.clone(), object.revision));
        let expected = text.as_ref().map(|text| (text.clone().into(), *revision));
        assert_eq!(found, expected, "seed {seed}: {name}");
    }
    let next = store.write(put("next", Expect::Anything, "x")).await;
    let next = next.expect("the disk works again").revision;
    assert!(next > highest, "seed {seed}: a revision was given twice");
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_a_power_cut() {
    for seed in 0..CUTS {
        case(seed).await;
    }
}
