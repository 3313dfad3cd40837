//! Checkers on watches through the API: ordered, each event once, without a gap, and resumed
//! wherever they break off; whoever reads slowly or goes away harms only himself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foreshore_engine_api::{ResponseBody, UserInfo};
use foreshore_engine_store as store;
use http::Request;
use http_body_util::{BodyExt, Full};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::ground::{Ground, config_map};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Longer than any machine takes.
const LIMIT: Duration = Duration::from_mins(1);
const WRITERS: u64 = 4;
const WRITES: usize = 60;

/// Names with the versions a reader believes to be there.
type Copy = BTreeMap<String, u64>;

fn version(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str();
    text.expect("a version").parse().expect("a number")
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// A reader's copy, and the version up to which it knows everything.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reader {
    copy: Copy,
    last: u64,
}

impl Reader {
    async fn list(ground: &Ground) -> Self {
        let list = ground.get(MAPS).await.expect(200);
        let items = list["items"].as_array().unwrap();
        let copy = items.iter().map(|item| (name(item), version(item)));
        Self {
            copy: copy.collect(),
            last: version(&list),
        }
    }

    /// Takes up one event; it must follow from what is known.
    fn take(&mut self, event: &Value) {
        let object = &event["object"];
        let (name, version) = (object["metadata"]["name"].as_str(), version(object));
        assert!(version > self.last, "{event} after {}", self.last);
        self.last = version;
        let Some(name) = name else {
            assert_eq!(event["type"], "BOOKMARK", "{event}");
            return;
        };
        let before = match event["type"].as_str().unwrap() {
            "DELETED" => self.copy.remove(name),
            _ => self.copy.insert(name.to_owned(), version),
        };
        let is_new = event["type"] == "ADDED";
        assert_eq!(before.is_none(), is_new, "{event}: {before:?}");
    }
}

/// The body of a watch, line by line.
struct Lines {
    body: ResponseBody,
    buffer: Vec<u8>,
}

impl Lines {
    async fn open(ground: &Ground, from: u64) -> Self {
        let path = format!("{MAPS}?watch=1&resourceVersion={from}");
        let request = Request::get(path).body(Full::default()).unwrap();
        let response = ground.send(&UserInfo::admin(), request).await;
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body(),
            buffer: vec![],
        }
    }

    /// The next event; `None` when the server has ended the watch.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(LIMIT, self.body.frame()).await;
            let frame = frame.expect("an event in time")?;
            self.buffer.extend(frame.unwrap().into_data().unwrap());
        }
    }
}

/// Creates, changes and deletes a few names; others do the same.
async fn write(ground: Arc<Ground>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..WRITES {
        let name = format!("m{}", random.random_range(0..6));
        let path = format!("{MAPS}/{name}");
        let patch = json!({"data": {"key": format!("{seed}-{round}")}});
        let answer = match random.random_range(0..4) {
            0 => ground.post(MAPS, config_map(&name)).await,
            1 => ground.delete(&path, Value::Null).await,
            _ => ground.patch(&path, "merge", patch).await,
        };
        // Others were faster with some of them.
        let code = answer.status.as_u16();
        assert!(
            matches!(code, 200 | 201 | 404 | 409),
            "{code} {}",
            answer.text
        );
    }
}

/// Follows until everything is known, breaking off and going on now and then.
async fn follow(ground: Arc<Ground>, seed: u64, end: u64) -> Reader {
    let mut random = StdRng::seed_from_u64(seed);
    let mut reader = Reader::list(&ground).await;
    while reader.last < end {
        let mut lines = Lines::open(&ground, reader.last).await;
        for _ in 0..random.random_range(1..40) {
            if reader.last >= end {
                break;
            }
            let event = lines.next().await.expect("nobody ends it");
            reader.take(&event);
        }
    }
    reader
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_reader_ends_with_the_same_copy_however_often_it_breaks_off() {
    let ground = Arc::new(Ground::start().await);
    // The name everybody waits for comes last, so it is known when all is.
    let start = Reader::list(&ground).await;
    let early: Vec<_> = (0..4)
        .map(|seed| {
            let (ground, mut reader) = (Arc::clone(&ground), start.clone());
            tokio::spawn(async move {
                let mut random = StdRng::seed_from_u64(seed);
                while !reader.copy.contains_key("end") {
                    let mut lines = Lines::open(&ground, reader.last).await;
                    for _ in 0..random.random_range(1..40) {
                        let event = lines.next().await.expect("nobody ends it");
                        reader.take(&event);
                        if reader.copy.contains_key("end") {
                            break;
                        }
                    }
                }
                reader
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|seed| tokio::spawn(write(Arc::clone(&ground), seed)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let end = ground.post(MAPS, config_map("end")).await.expect(201);
    let late = follow(Arc::clone(&ground), 7, version(&end)).await;
    let expected = Reader::list(&ground).await;
    assert_eq!(late.copy, expected.copy);
    for reader in early {
        assert_eq!(reader.await.unwrap().copy, expected.copy);
    }
}

/// A ground whose watches hold few events.
async fn narrow() -> Ground {
    Ground::start_with(|options| {
        let limits = store::Limits {
            watcher_queue: 16,
            ..store::Limits::default()
        };
        let opened = store::Store::open(store::Options {
            limits,
            ..store::Options::memory()
        });
        options.store = opened.unwrap();
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_that_stops_is_cut_off_and_goes_on_where_it_was() {
    let ground = narrow().await;
    let start = Reader::list(&ground).await;
    let mut stopped = Lines::open(&ground, start.last).await;
    let mut quick = Lines::open(&ground, start.last).await;
    let mut reader = start.clone();
    for round in 0..200 {
        let path = format!("{MAPS}/m{}", round % 5);
        let answer = if round < 5 {
            let map = config_map(&format!("m{round}"));
            ground.post(MAPS, map).await.expect(201)
        } else {
            let patch = json!({"data": {"key": round.to_string()}});
            ground.patch(&path, "merge", patch).await.expect(200)
        };
        // Whoever reads has each event as soon as its writer has the answer.
        let event = quick.next().await.expect("it keeps up");
        assert_eq!(version(&event["object"]), version(&answer));
        reader.take(&event);
    }
    // It gets what was queued for it, then the end: no gap that it would not notice.
    let mut slow = start;
    while let Some(event) = stopped.next().await {
        slow.take(&event);
    }
    assert!(slow.last < reader.last, "its queue is bounded");
    let mut again = Lines::open(&ground, slow.last).await;
    while slow.last < reader.last {
        slow.take(&again.next().await.expect("nobody ends it"));
    }
    assert_eq!(slow, reader);
    assert_eq!(reader.copy, Reader::list(&ground).await.copy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let ground = Ground::start().await;
    let store = ground.server.store().clone();
    let before = store.watcher_count();
    let served = ground.listen().await;
    let mut clients = vec![];
    for _ in 0..5 {
        let mut command = served.command(&["get", "configmaps", "--watch"]);
        command.stdout(std::process::Stdio::null());
        clients.push(command.spawn().unwrap());
    }
    let reached = async |count: usize| {
        let reached = async {
            while store.watcher_count() != count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LIMIT, reached)
            .await
            .unwrap_or_else(|_| panic!("{} watchers", store.watcher_count()));
    };
    reached(before + 5).await;
    for client in &mut clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    reached(before).await;
    ground.post(MAPS, config_map("after")).await.expect(201);
}
