//! A file that does not add up is refused with words, never a panic.

use std::path::Path;

use foreshore_engine_store::{Expect, OpenError, Options, Store};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{put, rounds};

/// The refusal carries its code, and the code has a page.
#[track_caller]
fn explained(error: &OpenError, code: &str) {
    assert_eq!(error.code(), code, "{error}");
    let page = format!("docs/errors/{code}.md");
    assert!(error.to_string().contains(&page), "{error}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join(&page)).expect("the page is there");
    assert!(text.starts_with(&format!("# {code}\n")), "{page}");
}

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
    explained(&error, "store-in-use");
}

#[tokio::test]
async fn a_foreign_file_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    std::fs::write(&path, "this is not a store".repeat(1000)).expect("writable");
    let error = Store::open(Options::disk(&path)).err().expect("not ours");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("damaged"), "{error}");
    explained(&error, "store-damaged");
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_file_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let error = Store::open(Options::disk(directory.path()))
        .err()
        .expect("no file");
    assert!(matches!(error, OpenError::Open { .. }), "{error:?}");
    explained(&error, "store-unreadable");
}

/// Changes a file as failing disks and careless copies do.
fn damage(bytes: &mut Vec<u8>, random: &mut StdRng) {
    /// What disks lose and repeat as a whole.
    const PAGE: usize = 4096;
    let pages = bytes.len() / PAGE;
    let mut page = || random.random_range(0..pages) * PAGE;
    let (one, other) = (page(), page());
    match random.random_range(0..6) {
        0 => bytes[one..one + PAGE].fill(0),
        1 => bytes.copy_within(other..other + PAGE, one),
        // An empty file is a new one: it does not say that it was anything else.
        2 => bytes.truncate(one.max(1)),
        3 => bytes.extend(vec![0x5a; one + 1]),
        _ => {
            for _ in 0..64 {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= random.random_range(1..=255_u8);
            }
        }
    }
}

#[tokio::test]
async fn damage_never_changes_what_is_read() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store.redb");
    filled(&path).await;
    let sound = std::fs::read(&path).expect("written above");
    let mut refused = 0;
    for seed in rounds(60) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = sound.clone();
        damage(&mut bytes, &mut random);
        std::fs::write(&path, &bytes).expect("writable");
        match Store::open(Options::disk(&path)) {
            Err(error) => {
                let known = matches!(error.code(), "store-damaged" | "store-format");
                assert!(known, "seed {seed}: {error:?}");
                refused += 1;
            }
            Ok(store) => {
                for index in 0..40 {
                    let object = store.get(&crate::key(&format!("n{index}")));
                    let object = object.unwrap_or_else(|| panic!("seed {seed}: n{index} is gone"));
                    let expected = format!("{index}").repeat(300);
                    assert_eq!(object.bytes, expected.as_bytes(), "seed {seed}");
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
