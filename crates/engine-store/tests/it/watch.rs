//! Watches: ordered, unique, without a gap; the slow ones are closed, the others go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use foreshore_engine_store::{
    Closed, EventKind, Expect, Limits, Options, Resource, Scope, Store, WatchError, Watcher,
};

use crate::{delete, key, put};

fn things() -> Resource {
    Resource::new("things")
}

fn small() -> Store {
    let limits = Limits {
        history_events: 16,
        watcher_queue: 8,
        ..Limits::default()
    };
    Store::open(Options {
        limits,
        ..Options::memory()
    })
    .expect("memory")
}

/// Replays a watch onto a copy and checks that it never skips or repeats.
async fn follow(mut watcher: Watcher, mut last: u64, until: u64) -> BTreeMap<String, u64> {
    let mut copy = BTreeMap::new();
    while last < until {
        let event = watcher.next().await.expect("open");
        assert!(event.revision() > last, "{} after {last}", event.revision());
        last = event.revision();
        let name = event.object.key.name.to_string();
        let before = copy.get(&name).copied();
        assert_eq!(
            event.previous.as_ref().map(|object| object.revision),
            before
        );
        match event.kind {
            EventKind::Deleted => copy.remove(&name),
            _ => copy.insert(name, last),
        };
    }
    copy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_watcher_rebuilds_the_state_from_any_start() {
    let store = Store::open(Options::memory()).expect("memory");
    let total = 400;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..50 {
                    let name = format!("w{writer}-{}", round % 7);
                    store
                        .write(put(&name, Expect::Anything, "x"))
                        .await
                        .expect("written");
                    if round % 3 == 0 {
                        store
                            .write(delete(&name, Expect::Anything))
                            .await
                            .expect("there");
                    } else {
                        store
                            .write(put(&name, Expect::Anything, "y"))
                            .await
                            .expect("there");
                    }
                }
            })
        })
        .collect();
    let watchers: Vec<_> = (0..20)
        .map(|_| {
            let watcher = store
                .watch(&things(), Scope::default(), 0)
                .expect("from the start");
            tokio::spawn(follow(watcher, 0, total))
        })
        .collect();
    for writer in writers {
        writer.await.expect("no panic");
    }
    let snapshot = store.snapshot();
    let expected: BTreeMap<String, u64> = snapshot
        .list(&things(), None, None)
        .map(|object| (object.key.name.to_string(), object.revision))
        .collect();
    for watcher in watchers {
        assert_eq!(watcher.await.expect("no panic"), expected);
    }
    let late = store
        .watch(&things(), Scope::default(), 0)
        .expect("still in history");
    assert_eq!(follow(late, 0, total).await, expected);
}

#[tokio::test]
async fn a_slow_watcher_is_closed_and_the_others_go_on() {
    let store = small();
    let mut slow = store
        .watch(&things(), Scope::default(), 0)
        .expect("from the start");
    let mut quick = store
        .watch(&things(), Scope::default(), 0)
        .expect("from the start");
    for round in 1..=20 {
        store
            .write(put("a", Expect::Anything, "x"))
            .await
            .expect("written");
        assert_eq!(quick.next().await.expect("open").revision(), round);
    }
    for round in 1..=8 {
        assert_eq!(
            slow.next()
                .await
                .expect("queued before the overflow")
                .revision(),
            round
        );
    }
    assert_eq!(slow.next().await.err(), Some(Closed));
    assert_eq!(store.watcher_count(), 1);
    drop(quick);
    assert_eq!(store.watcher_count(), 0);
}

#[tokio::test]
async fn a_start_before_history_is_refused_and_one_within_is_not() {
    let store = small();
    for _ in 0..40 {
        store
            .write(put("a", Expect::Anything, "x"))
            .await
            .expect("written");
    }
    let refused = store.watch(&things(), Scope::default(), 23).err();
    assert_eq!(
        refused,
        Some(WatchError::TooOld {
            requested: 23,
            oldest: 24
        })
    );
    let watcher = store
        .watch(&things(), Scope::default(), 24)
        .expect("all after 24 is kept");
    let mut watcher = watcher;
    assert_eq!(watcher.next().await.expect("open").revision(), 25);
}

#[tokio::test]
async fn a_start_in_the_future_skips_what_lies_between() {
    let store = small();
    let mut watcher = store.watch(&things(), Scope::default(), 2).expect("ahead");
    for _ in 0..3 {
        store
            .write(put("a", Expect::Anything, "x"))
            .await
            .expect("written");
    }
    assert_eq!(watcher.next().await.expect("open").revision(), 3);
}

#[tokio::test]
async fn a_scope_hides_other_names_and_progress_still_moves() {
    let store = small();
    let scope = Scope {
        namespace: Some("space".into()),
        name: Some("mine".into()),
    };
    let mut watcher = store.watch(&things(), scope, 0).expect("from the start");
    for _ in 0..50 {
        store
            .write(put("other", Expect::Anything, "x"))
            .await
            .expect("written");
    }
    assert_eq!(watcher.progress(), Some(50));
    store
        .write(put("mine", Expect::Absent, "x"))
        .await
        .expect("new");
    assert_eq!(watcher.progress(), None);
    let event = watcher.next().await.expect("open");
    assert_eq!((event.kind, event.revision()), (EventKind::Created, 51));
    assert_eq!(watcher.progress(), Some(51));
}

#[tokio::test]
async fn an_event_is_visible_before_its_watcher_hears_of_it() {
    let store = Store::open(Options::memory()).expect("memory");
    let mut watcher = store
        .watch(&things(), Scope::default(), 0)
        .expect("from the start");
    for _ in 0..200 {
        let writing = tokio::spawn({
            let store = store.clone();
            async move { store.write(put("a", Expect::Anything, "x")).await }
        });
        let event = watcher.next().await.expect("open");
        assert!(store.get(&key("a")).expect("there").revision >= event.revision());
        writing.await.expect("no panic").expect("written");
    }
    let encoded = |text: &'static str| move |_: &_| bytes::Bytes::from_static(text.as_bytes());
    store
        .write(put("b", Expect::Absent, "x"))
        .await
        .expect("new");
    let event: Arc<_> = watcher.next().await.expect("open");
    assert_eq!(
        event.encoded(encoded("once")),
        event.encoded(encoded("twice"))
    );
}

#[tokio::test]
async fn closing_the_store_ends_watches() {
    let store = Store::open(Options::memory()).expect("memory");
    let mut watcher = store
        .watch(&things(), Scope::default(), 0)
        .expect("from the start");
    store.close().await;
    assert_eq!(watcher.next().await.err(), Some(Closed));
}
