//! A disk that is full: writes are refused with a `Status`, reads go on, and nothing that was
//! acknowledged is lost.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use foreshore_engine_store as store;
use serde_json::{Value, json};

use crate::ground::Ground;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A disk in memory that holds so much and no more.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<(Vec<u8>, Option<usize>)>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, (Vec<u8>, Option<usize>)> {
        self.0.lock().unwrap()
    }

    /// Nothing more fits than what is there.
    fn fill(&self) {
        let mut state = self.state();
        state.1 = Some(state.0.len());
    }

    fn make_room(&self) {
        self.state().1 = None;
    }

    fn reach(&self, end: usize) -> io::Result<MutexGuard<'_, (Vec<u8>, Option<usize>)>> {
        let mut state = self.state();
        if state.1.is_some_and(|capacity| end > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if state.0.len() < end {
            state.0.resize(end, 0);
        }
        Ok(state)
    }
}

impl store::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let state = self.state();
        let found = state.0.get(at..at + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.reach(length)?.0.truncate(length);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let end = at + data.len();
        self.reach(end)?.0[at..end].copy_from_slice(data);
        Ok(())
    }
}

fn large(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"key": "x".repeat(16 << 10)}})
}

#[tokio::test]
async fn a_full_disk_is_told_and_nothing_acknowledged_is_lost() {
    let disk = Disk::default();
    let ground = Ground::start_with(|options| {
        let disk = disk.clone();
        let layer = store::Layer::new(move || Ok(disk.clone()));
        let opened = store::Store::open(store::Options {
            backend: store::Backend::Layered(PathBuf::from("test.redb"), layer),
            ..store::Options::memory()
        });
        options.store = opened.unwrap();
    })
    .await;
    disk.fill();
    let mut kept = vec![];
    let refused = loop {
        let name = format!("m{}", kept.len());
        let answer = ground.post(MAPS, large(&name)).await;
        if answer.status != 201 {
            break answer;
        }
        kept.push(name);
        assert!(kept.len() < 10_000, "the disk fills up");
    };
    let message = refused.refused(500, "InternalError");
    assert!(
        message.contains("cannot write to the store file"),
        "{message}"
    );
    assert_eq!(ground.get("/livez").await.status, 200);
    let list = ground.get(MAPS).await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), kept.len());
    disk.make_room();
    ground.post(MAPS, large("after")).await.expect(201);
    for name in &kept {
        ground.get(&format!("{MAPS}/{name}")).await.expect(200);
    }
}
