//! What the controllers that make pods have in common: who is woken by a pod,
//! and how nobody acts twice on what it cannot see yet.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use foreshore_controllers::{Change, controller_of, selector_matches};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Resource;
use serde::de::DeserializeOwned;

use super::cache::{Cache, Delta, Informer, ObjectKey, key_of};
use super::execute::{CarryOutError, Outcome};
use super::expectations::Expectations;
use super::queue::Queue;

/// A kind whose objects make pods.
pub(crate) trait MakesPods:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// Which pods without an owner it would adopt.
    fn selector(&self) -> Option<&LabelSelector>;
}

/// All objects of such a kind, and what is remembered of them.
pub(crate) struct Owners<K> {
    pub(crate) queue: Arc<Queue<ObjectKey>>,
    pub(crate) cache: Arc<Cache<K>>,
    pods: Arc<Cache<Pod>>,
    expectations: Expectations,
    /// Why the last creation or deletion was refused, by uid of the owner.
    failures: Mutex<HashMap<String, String>>,
}

impl<K: MakesPods> Owners<K> {
    /// Wakes the objects when they or their pods change.
    pub(crate) fn new(informer: &mut Informer<K>, pods: &mut Informer<Pod>) -> Arc<Self> {
        let owners = Arc::new(Self {
            queue: Arc::new(Queue::new()),
            cache: informer.cache(),
            pods: pods.cache(),
            expectations: Expectations::default(),
            failures: Mutex::default(),
        });
        let hearing = Arc::clone(&owners);
        informer.on_change(move |delta| {
            if delta.new.is_none() {
                hearing.forget(delta.latest());
            }
            hearing.queue.add(key_of(delta.latest().meta()));
        });
        let hearing = Arc::clone(&owners);
        pods.on_change(move |delta| hearing.pod_changed(delta));
        owners
    }

    /// Waits until owners and pods are known.
    pub(crate) fn synced(&self) -> impl Future<Output = ()> + Send + use<K> {
        let (owners, pods) = (Arc::clone(&self.cache), Arc::clone(&self.pods));
        async move {
            tokio::join!(owners.synced(), pods.synced());
        }
    }

    /// The pods it owns, and those it could adopt.
    pub(crate) fn pods_of(&self, owner: &K) -> Vec<Arc<Pod>> {
        let meta = owner.meta();
        let mut pods = self.pods.owned_by(meta.uid.as_deref().unwrap_or_default());
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        pods.extend(self.pods.orphans_in(namespace));
        pods
    }

    /// Whether the cache shows all that was asked for earlier.
    pub(crate) fn is_settled(&self, owner: &K) -> bool {
        let uid = owner.meta().uid.as_deref().unwrap_or_default();
        self.expectations.are_met(uid, Instant::now())
    }

    /// Why the last creation or deletion was refused.
    pub(crate) fn failure(&self, owner: &K) -> Option<String> {
        let uid = owner.meta().uid.as_deref().unwrap_or_default();
        self.failures().get(uid).cloned()
    }

    /// Notes the pods that are about to be created and deleted.
    pub(crate) fn expect(&self, owner: &K, changes: &[Change]) {
        let creations = changes
            .iter()
            .filter(|change| matches!(change, Change::Create { kind, .. } if kind.kind == "Pod"))
            .count();
        let deletions: Vec<String> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Delete { uid, target, .. } if target.kind.kind == "Pod" => {
                    Some(uid.clone())
                }
                _ => None,
            })
            .collect();
        if creations > 0 || !deletions.is_empty() {
            let uid = owner.meta().uid.as_deref().unwrap_or_default();
            self.expectations.expect(uid, creations, deletions);
        }
    }

    /// What did not happen must not be waited for.
    pub(crate) fn learn(&self, (namespace, name): &ObjectKey, outcome: &Outcome) {
        let Some(owner) = self.cache.get(namespace, name) else {
            return;
        };
        let uid = owner.meta().uid.as_deref().unwrap_or_default();
        for _ in 0..outcome.pods_not_created {
            self.expectations.created(uid);
        }
        for pod in &outcome.not_deleted {
            self.expectations.deleted(uid, pod);
        }
        match &outcome.refusal {
            Some(CarryOutError::Request(error))
                if outcome.pods_not_created + outcome.not_deleted.len() > 0 =>
            {
                if error.code() != Some(409) {
                    self.failures().insert(uid.to_owned(), error.message());
                }
            }
            Some(_) => {}
            None => {
                self.failures().remove(uid);
            }
        }
    }

    fn forget(&self, owner: &K) {
        let uid = owner.meta().uid.as_deref().unwrap_or_default();
        self.expectations.forget(uid);
        self.failures().remove(uid);
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.failures
            .lock()
            .expect("no code panics while it holds failures")
    }

    fn pod_changed(&self, delta: &Delta<Pod>) {
        let kind = K::kind(&());
        let pod = delta.latest();
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        if let Some(owner) = controller_of(&pod.metadata).filter(|owner| owner.kind == kind) {
            if delta.old.is_none() {
                self.expectations.created(&owner.uid);
            }
            let is_leaving = delta
                .new
                .as_ref()
                .is_none_or(|pod| pod.metadata.deletion_timestamp.is_some());
            if is_leaving {
                self.expectations.deleted(&owner.uid, uid);
            }
        }
        for state in delta.states() {
            match controller_of(&state.metadata) {
                Some(owner) if owner.kind == kind => {
                    self.queue.add((namespace.clone(), owner.name.clone()));
                }
                Some(_) => {}
                None => self.wake_adopters(&namespace, state),
            }
        }
    }

    fn wake_adopters(&self, namespace: &str, pod: &Pod) {
        for owner in self.cache.in_namespace(namespace) {
            let selects = owner
                .selector()
                .is_some_and(|selector| selector_matches(selector, pod.metadata.labels.as_ref()));
            if selects {
                self.queue.add(key_of(owner.meta()));
            }
        }
    }
}
