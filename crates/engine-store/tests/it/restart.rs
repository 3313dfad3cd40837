//! Watches go on where they were after a clean restart.

use foreshore_engine_store::{EventKind, Expect, Options, Resource, Scope, Store, WatchError};

use crate::disk::Disk;
use crate::{delete, put};

fn things() -> Resource {
    Resource::new("things")
}

#[tokio::test]
async fn a_watch_resumes_after_a_restart_without_a_gap() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = Options::disk(directory.path().join("store.redb"));
    let store = Store::open(options.clone()).expect("a new file");
    let seen = store
        .write(put("a", Expect::Absent, "1"))
        .await
        .expect("new")
        .revision;
    store
        .write(put("a", Expect::Anything, "2"))
        .await
        .expect("there");
    store
        .write(delete("a", Expect::Anything))
        .await
        .expect("there");
    store.close().await;
    for _ in 0..2 {
        let store = Store::open(options.clone()).expect("sound");
        let mut watcher = store
            .watch(&things(), Scope::default(), seen)
            .expect("remembered");
        let changed = watcher.next().await.expect("open");
        assert_eq!(
            (changed.kind, changed.revision()),
            (EventKind::Updated, seen + 1)
        );
        assert_eq!(changed.previous.as_ref().expect("remembered").bytes, "1");
        let gone = watcher.next().await.expect("open");
        assert_eq!((gone.kind, gone.revision()), (EventKind::Deleted, seen + 2));
        assert!(watcher.ready().is_none());
        store.close().await;
    }
    let store = Store::open(options).expect("sound");
    let mut watcher = store
        .watch(&things(), Scope::default(), seen + 2)
        .expect("remembered");
    let next = store
        .write(put("b", Expect::Absent, "x"))
        .await
        .expect("new")
        .revision;
    assert_eq!(watcher.next().await.expect("open").revision(), next);
}

#[tokio::test]
async fn after_a_crash_a_watch_starts_anew_rather_than_with_a_gap() {
    let disk = Disk::default();
    let store = Store::open(disk.options()).expect("a new disk");
    let seen = store
        .write(put("a", Expect::Absent, "1"))
        .await
        .expect("new")
        .revision;
    store.close().await;
    let store = Store::open(disk.options()).expect("sound");
    store
        .write(put("a", Expect::Anything, "2"))
        .await
        .expect("there");
    // What is on disk now is what a crash leaves: it was never closed.
    let mut random = rand::SeedableRng::seed_from_u64(1);
    let crashed = Store::open(disk.restore(&mut random).options()).expect("sound");
    let refused = crashed.watch(&things(), Scope::default(), seen).err();
    let oldest = seen + 1;
    assert_eq!(
        refused,
        Some(WatchError::TooOld {
            requested: seen,
            oldest
        })
    );
    crashed
        .watch(&things(), Scope::default(), oldest)
        .expect("nothing was missed");
}
