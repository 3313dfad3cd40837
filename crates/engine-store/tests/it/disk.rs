//! A disk in memory that remembers the order of writes, loses power, and fills up.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use foreshore_engine_store::{Backend, Expect, Layer, Options, StorageBackend, Store};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::{key, put};

/// Bytes that reach the disk together or not at all.
const SECTOR: usize = 512;

#[derive(Debug, Default)]
struct State {
    /// What survives for certain.
    durable: Vec<u8>,
    /// What a reader sees.
    seen: Vec<u8>,
    /// Writes since the last sync, in order; the length as a write of nothing.
    pending: Vec<Change>,
    /// Calls left until the power goes; never, if there is none.
    calls_left: Option<u32>,
    /// Bytes the disk can hold.
    capacity: Option<u64>,
}

#[derive(Debug, Clone)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

/// A disk that many opened files share, as a machine's does over restarts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

fn apply(image: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => image.resize(*length, 0),
        Change::Write(at, data) => {
            if image.len() < at + data.len() {
                image.resize(at + data.len(), 0);
            }
            image[*at..at + data.len()].copy_from_slice(data);
        }
    }
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("no test panics while it holds the disk")
    }

    pub(crate) fn cut_after(&self, calls: u32) {
        self.state().calls_left = Some(calls);
    }

    pub(crate) fn limit(&self, capacity: Option<u64>) {
        self.state().capacity = capacity;
    }

    pub(crate) fn size(&self) -> u64 {
        self.state().seen.len() as u64
    }

    /// The power comes back: of the writes that no sync covered, any sectors may be there.
    pub(crate) fn restore(&self, random: &mut StdRng) -> Self {
        let state = self.state();
        let mut image = state.durable.clone();
        for change in &state.pending {
            match change {
                Change::Length(_) if random.random() => apply(&mut image, change),
                Change::Length(_) => {}
                Change::Write(at, data) => {
                    for (index, part) in data.chunks(SECTOR).enumerate() {
                        if random.random() {
                            let part = Change::Write(at + index * SECTOR, part.to_vec());
                            apply(&mut image, &part);
                        }
                    }
                }
            }
        }
        Self(Arc::new(Mutex::new(State {
            durable: image.clone(),
            seen: image,
            ..State::default()
        })))
    }

    pub(crate) fn options(&self) -> Options {
        let disk = self.clone();
        let layer = Layer::new(move || Ok(disk.clone()));
        Options {
            backend: Backend::Layered(PathBuf::from("test.redb"), layer),
            ..Options::memory()
        }
    }

    fn call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if let Some(left) = &mut state.calls_left {
            if *left == 0 {
                return Err(io::Error::other("the power is gone"));
            }
            *left -= 1;
        }
        Ok(state)
    }
}

impl State {
    fn change(&mut self, change: Change) -> io::Result<()> {
        let end = match &change {
            Change::Length(length) => *length,
            Change::Write(at, data) => at + data.len(),
        };
        if self.capacity.is_some_and(|capacity| end as u64 > capacity) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        apply(&mut self.seen, &change);
        self.pending.push(change);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.call()?;
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let found = state.seen.get(at..at + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.call()?.change(Change::Length(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.call()?;
        let State {
            durable,
            seen,
            pending,
            ..
        } = &mut *state;
        pending.clear();
        durable.clone_from(seen);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.call()?.change(Change::Write(at, data.to_vec()))
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    let disk = Disk::default();
    let store = Store::open(disk.options()).expect("a new disk");
    let text = "x".repeat(4096);
    let first = store
        .write(put("first", Expect::Absent, &text))
        .await
        .expect("room");
    disk.limit(Some(disk.size()));
    let mut kept = 0;
    let mut refused = None;
    for index in 0..10_000 {
        match store
            .write(put(&format!("n{index}"), Expect::Absent, &text))
            .await
        {
            Ok(_) => kept += 1,
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let refused = refused.expect("the disk fills up");
    assert_eq!(refused.to_string(), "cannot write to the store file");
    assert_eq!(
        store.get(&key("first")).expect("kept").revision,
        first.revision
    );
    assert!(
        store.get(&key(&format!("n{kept}"))).is_none(),
        "it was refused"
    );
    disk.limit(None);
    let after = store
        .write(put("after", Expect::Absent, &text))
        .await
        .expect("room again");
    assert!(after.revision > first.revision + kept);
    store.close().await;
    let again = Store::open(disk.options()).expect("sound");
    for index in 0..kept {
        assert!(again.get(&key(&format!("n{index}"))).is_some(), "n{index}");
    }
    assert!(again.get(&key("after")).is_some());
    assert!(again.get(&key(&format!("n{kept}"))).is_none());
}
