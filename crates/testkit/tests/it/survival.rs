//! An engine that is killed again and again while somebody writes and somebody watches:
//! nothing acknowledged is lost, versions never go back, and the reader ends with the same
//! state, without having seen a gap.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use foreshore_testkit::{
    Cluster,
    cluster::{Kind, Options},
    wait,
};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Config,
    api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const KILLS: usize = 4;
/// Writes that must have been acknowledged between two kills.
const BETWEEN: usize = 40;
const LIMIT: Duration = Duration::from_mins(1);
const END: &str = "end";

/// A client of whoever answers now.
async fn connect(kubeconfig: &Path) -> Api<ConfigMap> {
    wait::for_some("an engine that answers", LIMIT, || async {
        let file = Kubeconfig::read_from(kubeconfig).ok()?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options).await.ok()?;
        let client = Client::try_from(config).ok()?;
        client.apiserver_version().await.ok()?;
        Some(Api::namespaced(client, "default"))
    })
    .await
    .unwrap()
}

fn version(text: Option<&String>) -> u64 {
    text.unwrap().parse().unwrap()
}

/// What was acknowledged last under each name: the version and the round.
type Acknowledged = BTreeMap<String, (u64, usize)>;

async fn write(
    kubeconfig: PathBuf,
    count: Arc<AtomicUsize>,
    end: CancellationToken,
) -> Acknowledged {
    let mut maps = connect(&kubeconfig).await;
    let mut acknowledged = Acknowledged::new();
    for round in 0.. {
        if end.is_cancelled() {
            break;
        }
        let name = format!("m{}", round % 7);
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
            "data": {"round": round.to_string()}});
        let parameters = PatchParams::apply("writer").force();
        let written = maps.patch(&name, &parameters, &Patch::Apply(map)).await;
        match written {
            Ok(map) => {
                let version = version(map.metadata.resource_version.as_ref());
                acknowledged.insert(name, (version, round));
                count.fetch_add(1, Ordering::Relaxed);
            }
            // Nobody knows what became of it.
            Err(_) => maps = connect(&kubeconfig).await,
        }
    }
    acknowledged
}

/// A reader's copy of names and versions, and the newest version it knows of.
#[derive(Default)]
struct Reader {
    copy: BTreeMap<String, u64>,
    last: u64,
}

impl Reader {
    async fn list(&mut self, maps: &Api<ConfigMap>) -> bool {
        let Ok(list) = maps.list(&ListParams::default()).await else {
            return false;
        };
        let now = version(list.metadata.resource_version.as_ref());
        assert!(now >= self.last, "{now} after {}", self.last);
        self.last = now;
        let items = list.items.into_iter().map(|map| {
            let version = version(map.metadata.resource_version.as_ref());
            (map.metadata.name.unwrap(), version)
        });
        self.copy = items.collect();
        true
    }

    fn take(&mut self, map: &ConfigMap, is_new: bool, is_gone: bool) {
        let name = map.metadata.name.clone().unwrap();
        let version = version(map.metadata.resource_version.as_ref());
        assert!(version > self.last, "{name}: {version} after {}", self.last);
        self.last = version;
        let before = if is_gone {
            self.copy.remove(&name)
        } else {
            self.copy.insert(name.clone(), version)
        };
        assert_eq!(before.is_none(), is_new, "{name} at {version}");
    }

    /// Watches until the end was seen or the watch broke off; whether it may be resumed.
    async fn follow(&mut self, maps: &Api<ConfigMap>) -> bool {
        let parameters = WatchParams::default();
        let Ok(events) = maps.watch(&parameters, &self.last.to_string()).await else {
            return true;
        };
        let mut events = pin!(events);
        while !self.copy.contains_key(END) {
            match events.try_next().await {
                Ok(Some(WatchEvent::Added(map))) => self.take(&map, true, false),
                Ok(Some(WatchEvent::Modified(map))) => self.take(&map, false, false),
                Ok(Some(WatchEvent::Deleted(map))) => self.take(&map, false, true),
                Ok(Some(WatchEvent::Bookmark(_))) => {}
                Ok(Some(WatchEvent::Error(status))) => {
                    assert_eq!(status.code, 410, "{status:?}");
                    return false;
                }
                Ok(None) | Err(_) => return true,
            }
        }
        true
    }
}

async fn read(kubeconfig: PathBuf) -> Reader {
    let mut reader = Reader::default();
    let mut known = false;
    while !reader.copy.contains_key(END) {
        let maps = connect(&kubeconfig).await;
        known = if known {
            reader.follow(&maps).await
        } else {
            reader.list(&maps).await
        };
    }
    reader
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_killed_again_and_again_loses_nothing() {
    let mut cluster = Cluster::start(Kind::Engine, Options::default())
        .await
        .unwrap();
    // The first client of a program sets up what all of them need.
    drop(cluster.client().await.unwrap());
    let kubeconfig = cluster.kubeconfig().to_owned();
    let (count, end) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let writer = tokio::spawn(write(kubeconfig.clone(), Arc::clone(&count), end.clone()));
    let reader = tokio::spawn(read(kubeconfig.clone()));
    for _ in 0..KILLS {
        let before = count.load(Ordering::Relaxed);
        wait::until("more writes", LIMIT, || async {
            count.load(Ordering::Relaxed) >= before + BETWEEN
        })
        .await
        .unwrap();
        cluster.restart().await.unwrap();
    }
    end.cancel();
    let acknowledged = writer.await.unwrap();
    let maps = connect(&kubeconfig).await;
    let last = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": END}});
    let parameters = PatchParams::apply("writer");
    maps.patch(END, &parameters, &Patch::Apply(last))
        .await
        .unwrap();
    let reader = tokio::time::timeout(LIMIT, reader).await.unwrap().unwrap();
    let mut expected = Reader::default();
    assert!(expected.list(&maps).await);
    assert_eq!(reader.copy, expected.copy);
    assert_eq!(acknowledged.len(), 7);
    for (name, (version, round)) in acknowledged {
        let map = maps.get(&name).await.unwrap();
        let found: usize = map.data.unwrap()["round"].parse().unwrap();
        // A later write may have happened whose answer was cut off.
        assert!(found >= round, "{name} went back from {round} to {found}");
        let kept = expected.copy[&name];
        assert!(kept >= version, "{name} went back to {kept}");
        assert_eq!(kept == version, found == round, "{name}");
    }
}
