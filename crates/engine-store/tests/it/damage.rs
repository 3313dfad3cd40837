//! A file that does not add up is refused with words, never a panic.

use std::path::Path;

use foreshore_engine_store::{Expect, OpenError, Options, Store};
use rand::{RngExt, SeedableRng};

use crate::put;

async fn filled(path: &Path) {
    let store = Store::open(Options::disk(path)).expect("a new file");
    for index in 0..40 {
        let text = format!("{index}").repeat(300);
        store
            .write(put(&format!("n{index}"), Expect::Absent, &text))
            .await
            .expect("new");
    }
    store.close().await;
}

#[tokio::test]
async fn another_opener_is_told_that_the_file_is_in_use() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    let _held = Store::open(Options::disk(&path)).expect("a new file");
    let error = Store::open(Options::disk(&path)).err().expect("locked");
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn a_foreign_file_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    std::fs::write(&path, "this is not a store".repeat(1000)).expect("writable");
    let error = Store::open(Options::disk(&path)).err().expect("not ours");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[tokio::test]
async fn flipped_bytes_never_change_what_is_read() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    filled(&path).await;
    let sound = std::fs::read(&path).expect("written above");
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    let mut refused = 0;
    for _ in 0..40 {
        let mut bytes = sound.clone();
        let length = bytes.len();
        for _ in 0..64 {
            let at = random.random_range(0..length);
            bytes[at] ^= random.random_range(1..=255_u8);
        }
        std::fs::write(&path, &bytes).expect("writable");
        match Store::open(Options::disk(&path)) {
            Err(_) => refused += 1,
            Ok(store) => {
                for index in 0..40 {
                    let object = store.get(&crate::key(&format!("n{index}"))).expect("kept");
                    assert_eq!(object.bytes, format!("{index}").repeat(300).as_bytes());
                }
                store.close().await;
            }
        }
    }
    assert!(refused > 0, "the damage must have hit something");
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    filled(&path).await;
    let sound = std::fs::read(&path).expect("written above");
    std::fs::write(&path, &sound[..sound.len() / 3]).expect("writable");
    let error = Store::open(Options::disk(&path)).err().expect("cut");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}
