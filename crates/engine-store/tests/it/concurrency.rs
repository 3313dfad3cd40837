//! Many writers on few objects: exactly one wins each round.

use foreshore_engine_store::{CommitError, Expect, Op, Options, Resource, Store};

use crate::{delete, key, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_increments_are_all_counted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(Options::disk(directory.path().join("store"))).expect("a new file");
    store
        .write(put("counter", Expect::Absent, "0"))
        .await
        .expect("new");
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    increment(&store).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(
        store.get(&key("counter")).expect("there").bytes,
        &b"160"[..]
    );
    assert_eq!(store.revision(), 161);
}

async fn increment(store: &Store) {
    loop {
        let object = store.get(&key("counter")).expect("there");
        let text = std::str::from_utf8(&object.bytes).expect("digits");
        let next = text.parse::<u64>().expect("digits") + 1;
        let expect = Expect::Revision(object.revision);
        match store.write(put("counter", expect, &next.to_string())).await {
            Ok(_) => return,
            Err(CommitError::Changed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn preconditions_decide_by_presence_and_revision() {
    let store = Store::open(Options::memory()).expect("memory");
    let missing = store.write(put("a", Expect::Revision(1), "x")).await;
    assert!(matches!(missing, Err(CommitError::Missing { .. })));
    let missing = store.write(delete("a", Expect::Anything)).await;
    assert!(matches!(missing, Err(CommitError::Missing { .. })));
    let first = store
        .write(put("a", Expect::Absent, "x"))
        .await
        .expect("new");
    let exists = store.write(put("a", Expect::Absent, "x")).await;
    assert!(matches!(exists, Err(CommitError::Exists { .. })));
    let changed = store
        .write(delete("a", Expect::Revision(first.revision + 1)))
        .await;
    assert!(matches!(changed, Err(CommitError::Changed { .. })));
    let last = store
        .write(delete("a", Expect::Revision(first.revision)))
        .await
        .expect("there");
    assert_eq!((last.revision, &last.bytes[..]), (2, &b"last"[..]));
    assert_eq!(store.revision(), 2);
}

#[tokio::test]
async fn a_transaction_happens_wholly_or_not() {
    let store = Store::open(Options::memory()).expect("memory");
    store
        .write(put("b", Expect::Absent, "old"))
        .await
        .expect("new");
    let ops = vec![put("a", Expect::Absent, "x"), put("b", Expect::Absent, "x")];
    let refused = store.commit(ops).await;
    assert!(matches!(refused, Err(CommitError::Exists { .. })));
    assert!(store.get(&key("a")).is_none());
    let ops: Vec<Op> = vec![
        put("a", Expect::Absent, "x"),
        delete("b", Expect::Revision(1)),
    ];
    let written = store.commit(ops).await.expect("both hold");
    assert_eq!(
        written
            .iter()
            .map(|object| object.revision)
            .collect::<Vec<_>>(),
        [2, 3]
    );
}

#[tokio::test]
async fn a_pinned_snapshot_stays_readable_and_unpinned_ones_go() {
    let store = Store::open(Options::memory()).expect("memory");
    store
        .write(put("a", Expect::Absent, "first"))
        .await
        .expect("new");
    let snapshot = store.snapshot();
    store.pin(snapshot);
    for index in 0..200 {
        store
            .write(put("a", Expect::Anything, &index.to_string()))
            .await
            .expect("there");
    }
    let old = store.snapshot_at(1).expect("pinned");
    assert_eq!(old.get(&key("a")).expect("there").bytes, &b"first"[..]);
    assert_eq!(old.list(&Resource::new("things"), None, None).count(), 1);
    assert!(store.snapshot_at(2).is_none());
    assert_eq!(store.snapshot_at(201).expect("newest").revision(), 201);
}

#[tokio::test]
async fn a_closed_store_refuses_writes_and_still_reads() {
    let store = Store::open(Options::memory()).expect("memory");
    store
        .write(put("a", Expect::Absent, "x"))
        .await
        .expect("new");
    store.close().await;
    let refused = store.write(put("b", Expect::Absent, "x")).await;
    assert!(matches!(refused, Err(CommitError::Closed)));
    assert!(store.get(&key("a")).is_some());
}
