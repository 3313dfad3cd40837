//! A watched copy of all objects of one kind, with an index by owner.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, RwLock, RwLockReadGuard};

use foreshore_controllers::controller_of;
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::debug;

use super::Task;

/// Namespace (empty for cluster-wide kinds) and name.
pub(crate) type ObjectKey = (String, String);

/// One object before and after a change. Both are absent only never.
#[derive(Debug)]
pub(crate) struct Delta<K> {
    pub(crate) old: Option<Arc<K>>,
    pub(crate) new: Option<Arc<K>>,
}

impl<K: Resource> Delta<K> {
    /// The old and the new state, as far as they exist.
    pub(crate) fn states(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(&self.new)
    }

    /// The newest state known.
    pub(crate) fn latest(&self) -> &Arc<K> {
        self.new
            .as_ref()
            .or(self.old.as_ref())
            .expect("a change has a before or an after")
    }
}

type Handler<K> = Box<dyn Fn(&Delta<K>) + Send + Sync>;

/// What is known about one kind, possibly a little late.
#[derive(Debug)]
pub(crate) struct Cache<K> {
    content: RwLock<Content<K>>,
    synced: watch::Sender<bool>,
}

#[derive(Debug)]
struct Content<K> {
    objects: BTreeMap<ObjectKey, Arc<K>>,
    /// Keys by uid of the controlling owner; without one by the empty string.
    owned: HashMap<String, BTreeSet<ObjectKey>>,
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    fn new() -> Self {
        let content = Content {
            objects: BTreeMap::new(),
            owned: HashMap::new(),
        };
        Self {
            content: RwLock::new(content),
            synced: watch::Sender::new(false),
        }
    }

    /// Waits until everything that existed at the start is known.
    pub(crate) async fn synced(&self) {
        let mut synced = self.synced.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _known = synced.wait_for(|&synced| synced).await.is_ok();
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read()
            .objects
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.read().objects.values().cloned().collect()
    }

    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let from = (namespace.to_owned(), String::new());
        self.read()
            .objects
            .range(from..)
            .take_while(|((own, _), _)| own == namespace)
            .map(|(_, object)| Arc::clone(object))
            .collect()
    }

    /// Objects whose controlling owner has this uid.
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        let content = self.read();
        let keys = content.owned.get(uid).into_iter().flatten();
        keys.filter_map(|key| content.objects.get(key).cloned())
            .collect()
    }

    /// Objects of a namespace nobody controls.
    pub(crate) fn orphans_in(&self, namespace: &str) -> Vec<Arc<K>> {
        let content = self.read();
        let from = (namespace.to_owned(), String::new());
        let keys = content
            .owned
            .get("")
            .into_iter()
            .flat_map(|keys| keys.range(from.clone()..));
        keys.take_while(|(own, _)| own == namespace)
            .filter_map(|key| content.objects.get(key).cloned())
            .collect()
    }

    fn apply(&self, object: K) -> Vec<Delta<K>> {
        let object = Arc::new(object);
        let old = self.write().insert(Arc::clone(&object));
        changes(old, object)
    }

    fn remove(&self, object: K) -> Vec<Delta<K>> {
        if self.write().remove(&key_of(object.meta())).is_none() {
            return Vec::new();
        }
        // The event carries the last state; what was known may be older.
        vec![Delta {
            old: Some(Arc::new(object)),
            new: None,
        }]
    }

    /// Puts a whole new list in place of what was known.
    fn replace(&self, objects: Vec<K>) -> Vec<Delta<K>> {
        let objects: BTreeMap<_, _> = objects
            .into_iter()
            .map(|object| (key_of(object.meta()), Arc::new(object)))
            .collect();
        let mut content = self.write();
        let gone: Vec<_> = content
            .objects
            .keys()
            .filter(|key| !objects.contains_key(*key))
            .cloned()
            .collect();
        let mut deltas: Vec<_> = gone
            .iter()
            .map(|key| Delta {
                old: content.remove(key),
                new: None,
            })
            .collect();
        for object in objects.into_values() {
            let old = content.insert(Arc::clone(&object));
            deltas.extend(changes(old, object));
        }
        deltas
    }

    fn read(&self) -> RwLockReadGuard<'_, Content<K>> {
        self.content
            .read()
            .expect("no code panics while it holds the cache")
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Content<K>> {
        self.content
            .write()
            .expect("no code panics while it holds the cache")
    }
}

impl<K: Resource> Content<K> {
    fn insert(&mut self, object: Arc<K>) -> Option<Arc<K>> {
        let key = key_of(object.meta());
        let old = self.remove(&key);
        self.owned
            .entry(owner_uid(object.meta()))
            .or_default()
            .insert(key.clone());
        self.objects.insert(key, object);
        old
    }

    fn remove(&mut self, key: &ObjectKey) -> Option<Arc<K>> {
        let old = self.objects.remove(key)?;
        let owner = owner_uid(old.meta());
        if let Some(keys) = self.owned.get_mut(&owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.owned.remove(&owner);
            }
        }
        Some(old)
    }
}

/// A cache under construction: handlers are added before it starts to watch.
pub(crate) struct Informer<K> {
    api: Api<K>,
    config: watcher::Config,
    cache: Arc<Cache<K>>,
    handlers: Vec<Handler<K>>,
}

impl<K> Informer<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    pub(crate) fn new(api: Api<K>) -> Self {
        let config = watcher::Config::default();
        Self {
            api,
            config,
            cache: Arc::new(Cache::new()),
            handlers: Vec::new(),
        }
    }

    /// Watches only objects this field selector accepts.
    pub(crate) fn only_fields(self, selector: &str) -> Self {
        Self {
            config: self.config.fields(selector),
            ..self
        }
    }

    pub(crate) fn cache(&self) -> Arc<Cache<K>> {
        Arc::clone(&self.cache)
    }

    /// Calls `handler` after each change of the cache. It must not block.
    pub(crate) fn on_change(&mut self, handler: impl Fn(&Delta<K>) + Send + Sync + 'static) {
        self.handlers.push(Box::new(handler));
    }

    /// Watches for ever; a lost watch is resumed or listed anew.
    pub(crate) fn into_task(self) -> Task {
        Box::pin(async move {
            let kind = K::kind(&());
            // Who wrote which field is most of a small object, and no decision asks for it.
            let mut stream = watcher(self.api, self.config)
                .modify(|object| object.meta_mut().managed_fields = None)
                .default_backoff()
                .boxed();
            let mut listed = Vec::new();
            while let Some(event) = stream.next().await {
                let deltas = match event {
                    Ok(watcher::Event::Init) => {
                        listed.clear();
                        continue;
                    }
                    Ok(watcher::Event::InitApply(object)) => {
                        listed.push(object);
                        continue;
                    }
                    Ok(watcher::Event::InitDone) => self.cache.replace(std::mem::take(&mut listed)),
                    Ok(watcher::Event::Apply(object)) => self.cache.apply(object),
                    Ok(watcher::Event::Delete(object)) => self.cache.remove(object),
                    Err(error) => {
                        debug!(error = &error as &dyn std::error::Error, %kind, "watch was interrupted; will resume");
                        continue;
                    }
                };
                for delta in &deltas {
                    for handler in &self.handlers {
                        handler(delta);
                    }
                }
                self.cache
                    .synced
                    .send_if_modified(|synced| !std::mem::replace(synced, true));
            }
        })
    }
}

pub(crate) fn key_of(meta: &ObjectMeta) -> ObjectKey {
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

fn owner_uid(meta: &ObjectMeta) -> String {
    controller_of(meta)
        .map(|owner| owner.uid.clone())
        .unwrap_or_default()
}

/// An object that was deleted and created again under its name is two changes.
fn changes<K: Resource>(old: Option<Arc<K>>, new: Arc<K>) -> Vec<Delta<K>> {
    match old {
        Some(old) if old.meta().uid != new.meta().uid => {
            vec![
                Delta {
                    old: Some(old),
                    new: None,
                },
                Delta {
                    old: None,
                    new: Some(new),
                },
            ]
        }
        old => vec![Delta {
            old,
            new: Some(new),
        }],
    }
}
