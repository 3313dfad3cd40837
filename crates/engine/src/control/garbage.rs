//! Feeds the decisions about ownership and the end of namespaces: one graph of
//! all objects, filled by metadata watches of every kind served.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use foreshore_controllers::garbage::{self, Graph, Node};
use foreshore_controllers::{Kind, namespace};
use foreshore_model::clock;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tracing::debug;

use super::cache::Cache;
use super::execute::Executor;
use super::kinds::{Kinds, Served};
use super::queue::Queue;
use super::work::workers;
use super::{Informers, Task, after_sync};

/// Objects worked on at once.
const WORKERS: usize = 8;

/// Kinds are asked for anew this often, for what comes without a definition.
const RESYNC: Duration = Duration::from_mins(1);
/// Wait before they are asked for again, should the API not answer.
const RETRY: Duration = Duration::from_secs(1);

/// The graph and who hears of its changes.
struct World {
    graph: Mutex<Graph>,
    objects: Arc<Queue<String>>,
    namespaces: Arc<Queue<String>>,
    known: Arc<Cache<Namespace>>,
    /// Kinds whose first list is still under way: until then an owner that is
    /// not in the graph may just not have been listed.
    unlisted: watch::Sender<usize>,
    /// Kinds may have come or gone.
    stirred: Notify,
}

pub(super) fn tasks(informers: &mut Informers, executor: &Executor, kinds: &Kinds) -> Vec<Task> {
    let served = kinds.owned();
    let mut graph = Graph::default();
    for one in &served {
        graph.serve(one.kind.clone(), one.is_namespaced);
    }
    let world = Arc::new(World {
        graph: Mutex::new(graph),
        objects: Arc::new(Queue::new()),
        namespaces: Arc::new(Queue::new()),
        known: informers.namespaces.cache(),
        unlisted: watch::Sender::new(served.len()),
        stirred: Notify::new(),
    });
    let namespaces = Arc::clone(&world.namespaces);
    informers.namespaces.on_change(move |delta| {
        if delta.latest().metadata.deletion_timestamp.is_some() {
            namespaces.add(delta.latest().name_any());
        }
    });
    let watching = watch_all(executor.client.clone(), kinds.clone(), Arc::clone(&world));
    let mut tasks: Vec<Task> = vec![Box::pin(watching)];
    tasks.push(collector(&world, executor));
    tasks.push(namespace_remover(&world, executor));
    tasks
}

fn collector(world: &Arc<World>, executor: &Executor) -> Task {
    let (deciding, ready) = (Arc::clone(world), Arc::clone(world));
    let decide = move |uid: &String| garbage::decide(&deciding.graph(), uid);
    let executor = executor.of("garbage-collector-controller");
    let workers = workers(WORKERS, &world.objects, &executor, decide, |_, _| ());
    after_sync(async move { ready.listed().await }, workers)
}

fn namespace_remover(world: &Arc<World>, executor: &Executor) -> Task {
    let (deciding, ready) = (Arc::clone(world), Arc::clone(world));
    let decide = move |name: &String| match deciding.known.get("", name) {
        Some(object) => namespace::decide(&object, &deciding.graph(), clock::now()),
        None => Vec::new(),
    };
    let executor = executor.of("namespace-controller");
    let workers = workers(2, &world.namespaces, &executor, decide, |_, _| ());
    after_sync(
        async move {
            ready.known.synced().await;
            ready.listed().await;
        },
        workers,
    )
}

impl World {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph
            .lock()
            .expect("no code panics while it holds the graph")
    }

    async fn listed(&self) {
        let mut unlisted = self.unlisted.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _listed = unlisted.wait_for(|&left| left == 0).await.is_ok();
    }

    fn apply(&self, node: Node) {
        let namespace = node.target.namespace.clone();
        // Only what has owners or waits for something can need a decision.
        let matters = !node.owners.is_empty() || node.is_being_deleted;
        let uid = node.uid.clone();
        let affected = self.graph().apply(node);
        for one in affected.into_iter().filter(|one| matters || *one != uid) {
            self.objects.add(one);
        }
        self.wake_namespace(namespace.as_deref());
    }

    fn remove(&self, uid: &str) {
        let (namespace, affected) = {
            let mut graph = self.graph();
            let namespace = graph
                .get(uid)
                .and_then(|node| node.target.namespace.clone());
            (namespace, graph.remove(uid))
        };
        for one in affected {
            self.objects.add(one);
        }
        self.wake_namespace(namespace.as_deref());
    }

    fn replace(&self, kind: &Kind, nodes: Vec<Node>) {
        let listed: BTreeSet<&String> = nodes.iter().map(|node| &node.uid).collect();
        let gone: Vec<String> = self
            .graph()
            .uids_of(kind)
            .into_iter()
            .filter(|uid| !listed.contains(uid))
            .collect();
        for uid in gone {
            self.remove(&uid);
        }
        for node in nodes {
            self.apply(node);
        }
    }

    fn wake_namespace(&self, name: Option<&str>) {
        let Some(name) = name else { return };
        if self
            .known
            .get("", name)
            .is_some_and(|known| known.metadata.deletion_timestamp.is_some())
        {
            self.namespaces.add(name.to_owned());
        }
    }
}

/// Watches every kind the API serves, also those that come later.
async fn watch_all(client: Client, kinds: Kinds, world: Arc<World>) {
    let mut watchers = JoinSet::new();
    let mut known: HashMap<Kind, AbortHandle> = HashMap::new();
    for served in kinds.owned() {
        let watching = watch_kind(client.clone(), served.clone(), Arc::clone(&world), true);
        known.insert(served.kind, watchers.spawn(watching));
    }
    loop {
        tokio::select! {
            () = world.stirred.notified() => {}
            () = tokio::time::sleep(RESYNC) => {}
            Some(Err(error)) = watchers.join_next() => {
                // A watcher that was stopped has ended well.
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
                continue;
            }
        }
        if let Err(error) = kinds.discover(&client).await {
            debug!(
                error = &error as &dyn std::error::Error,
                "kinds were not told; will ask again"
            );
            tokio::time::sleep(RETRY).await;
            world.stirred.notify_one();
            continue;
        }
        let owned = kinds.owned();
        let served: HashSet<&Kind> = owned.iter().map(|served| &served.kind).collect();
        let gone: Vec<Kind> = known
            .keys()
            .filter(|kind| !served.contains(kind))
            .cloned()
            .collect();
        for kind in gone {
            if let Some(watcher) = known.remove(&kind) {
                watcher.abort();
            }
            world.graph().withdraw(&kind);
            world.replace(&kind, Vec::new());
        }
        for served in owned {
            if known.contains_key(&served.kind) {
                continue;
            }
            let (kind, scope) = (served.kind.clone(), served.is_namespaced);
            world.graph().serve(kind.clone(), scope);
            let watching = watch_kind(client.clone(), served, Arc::clone(&world), false);
            known.insert(kind, watchers.spawn(watching));
        }
    }
}

/// Watches one kind. `is_awaited` says that deciding waits for its first list.
async fn watch_kind(client: Client, served: Served, world: Arc<World>, is_awaited: bool) {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &served.resource);
    let node =
        |object: PartialObjectMeta<DynamicObject>| Node::new(served.kind.clone(), &object.metadata);
    let mut stream = watcher(api, watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut list = Vec::new();
    let mut is_first = is_awaited;
    let makes_kinds = served.kind.kind == "CustomResourceDefinition";
    while let Some(event) = stream.next().await {
        if makes_kinds
            && matches!(
                event,
                Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_))
            )
        {
            world.stirred.notify_one();
        }
        match event {
            Ok(watcher::Event::Init) => list.clear(),
            Ok(watcher::Event::InitApply(object)) => list.push(node(object)),
            Ok(watcher::Event::InitDone) => {
                world.replace(&served.kind, std::mem::take(&mut list));
                if std::mem::replace(&mut is_first, false) {
                    world.unlisted.send_modify(|left| *left -= 1);
                }
            }
            Ok(watcher::Event::Apply(object)) => world.apply(node(object)),
            Ok(watcher::Event::Delete(object)) => {
                world.remove(object.metadata.uid.as_deref().unwrap_or_default());
            }
            Err(error) => {
                let kind = &served.kind.kind;
                debug!(error = &error as &dyn std::error::Error, %kind, "watch was interrupted; will resume");
            }
        }
    }
}
