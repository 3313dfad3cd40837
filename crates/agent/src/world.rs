//! The part of the cluster that matters here, as last seen, and who must know when it changes.
//!
//! Fed by watches, read by the services' workers. Nothing here asks the cluster.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use foreshore_cluster::{ENVIRONMENT_LABEL, Reference, SERVICE_LABEL, fingerprint};
use foreshore_model::{EnvironmentName, ServiceName};

mod trim;

/// Which service of which environment something belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Owner {
    pub(crate) environment: EnvironmentName,
    pub(crate) service: ServiceName,
}

/// What one watch looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
}

/// An object as last seen, without the parts nobody here reads.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) object: Arc<Value>,
    /// Of the whole object.
    pub(crate) fingerprint: String,
}

impl Seen {
    pub(crate) fn uid(&self) -> &str {
        text(&self.object, "/metadata/uid")
    }

    pub(crate) fn resource_version(&self) -> &str {
        text(&self.object, "/metadata/resourceVersion")
    }

    /// Returns the names of service and environment on its labels.
    pub(crate) fn owner_labels(&self) -> Option<(&str, &str)> {
        let labels = self.object.get("metadata")?.get("labels")?;
        Some((
            labels.get(ENVIRONMENT_LABEL)?.as_str()?,
            labels.get(SERVICE_LABEL)?.as_str()?,
        ))
    }
}

/// Returns a text field, empty for none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// All objects seen, by uid, with the ways to find them.
#[derive(Debug, Default)]
pub(crate) struct World {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<String, Seen>,
    by_name: HashMap<Reference, String>,
    children: HashMap<String, BTreeSet<String>>,
    scopes: HashMap<Scope, HashSet<String>>,
    listeners: HashMap<Owner, watch::Sender<u64>>,
    /// What the server said about scopes that may not be looked at.
    refused: HashMap<Scope, String>,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change leaves the maps whole, so what a panic left behind can be read.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces all of a scope: what is not in `objects` is gone.
    pub(crate) fn reset(&self, scope: &Scope, objects: Vec<Value>) {
        let mut inner = self.lock();
        let before = inner.scopes.remove(scope).unwrap_or_default();
        let present: HashSet<String> = objects
            .iter()
            .map(|object| text(object, "/metadata/uid").to_owned())
            .collect();
        inner.scopes.insert(scope.clone(), HashSet::new());
        inner.refused.remove(scope);
        for uid in before.difference(&present) {
            inner.remove(uid);
        }
        for object in objects {
            inner.put(scope, &object);
        }
    }

    pub(crate) fn put(&self, scope: &Scope, object: &Value) {
        self.lock().put(scope, object);
    }

    pub(crate) fn gone(&self, scope: &Scope, object: &Value) {
        let mut inner = self.lock();
        let uid = text(object, "/metadata/uid");
        if let Some(members) = inner.scopes.get_mut(scope) {
            members.remove(uid);
        }
        inner.remove(uid);
    }

    /// Whether a scope has been listed completely at least once.
    pub(crate) fn is_listed(&self, scope: &Scope) -> bool {
        self.lock().scopes.contains_key(scope)
    }

    /// Remembers that a scope may not be looked at, until it is listed again.
    pub(crate) fn refused(&self, scope: &Scope, why: String) {
        self.lock().refused.insert(scope.clone(), why);
    }

    /// Why a scope may not be looked at, if that is so.
    pub(crate) fn refusal(&self, scope: &Scope) -> Option<String> {
        self.lock().refused.get(scope).cloned()
    }

    pub(crate) fn find(&self, reference: &Reference) -> Option<Seen> {
        let inner = self.lock();
        let uid = inner.by_name.get(&plain(reference))?;
        inner.objects.get(uid).cloned()
    }

    /// Returns what the object with this uid controls, and what that controls, and so on.
    pub(crate) fn descendants(&self, uid: &str) -> Vec<Arc<Value>> {
        let inner = self.lock();
        let mut found = Vec::new();
        let mut open = vec![uid];
        while let Some(uid) = open.pop() {
            for child in inner.children.get(uid).into_iter().flatten() {
                if let Some(seen) = inner.objects.get(child) {
                    found.push(Arc::clone(&seen.object));
                    open.push(child);
                }
            }
        }
        found
    }

    /// Returns a counter that moves when something of the service changes.
    pub(crate) fn listen(&self, owner: &Owner) -> watch::Receiver<u64> {
        let mut inner = self.lock();
        let sender = inner
            .listeners
            .entry(owner.clone())
            .or_insert_with(|| watch::channel(0).0);
        sender.subscribe()
    }

    /// Wakes a service for a reason that is not among its objects.
    pub(crate) fn nudge(&self, owner: &Owner) {
        if let Some(sender) = self.lock().listeners.get(owner) {
            sender.send_modify(|count| *count += 1);
        }
    }

    pub(crate) fn forget_listener(&self, owner: &Owner) {
        self.lock().listeners.remove(owner);
    }
}

/// The version of a kind's group does not tell objects apart.
fn plain(reference: &Reference) -> Reference {
    Reference {
        api_version: reference.group().to_owned(),
        ..reference.clone()
    }
}

fn controllers(object: &Value) -> impl Iterator<Item = &str> {
    let owners = object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    owners.into_iter().flatten().filter_map(|owner| {
        owner["controller"]
            .as_bool()
            .unwrap_or(false)
            .then(|| owner["uid"].as_str())
            .flatten()
    })
}

impl Inner {
    fn put(&mut self, scope: &Scope, object: &Value) {
        let uid = text(object, "/metadata/uid").to_owned();
        if uid.is_empty() {
            return;
        }
        let seen = Seen {
            fingerprint: fingerprint(object),
            object: Arc::new(trim::trimmed(object)),
        };
        for owner in controllers(object) {
            self.children
                .entry(owner.to_owned())
                .or_default()
                .insert(uid.clone());
        }
        if let Some(reference) = Reference::of(object) {
            self.by_name.insert(plain(&reference), uid.clone());
        }
        self.scopes
            .entry(scope.clone())
            .or_default()
            .insert(uid.clone());
        self.objects.insert(uid.clone(), seen);
        self.tell(&uid);
    }

    fn remove(&mut self, uid: &str) {
        self.tell(uid);
        let Some(seen) = self.objects.remove(uid) else {
            return;
        };
        for owner in controllers(&seen.object) {
            if let Some(siblings) = self.children.get_mut(owner) {
                siblings.remove(uid);
                if siblings.is_empty() {
                    self.children.remove(owner);
                }
            }
        }
        let Some(reference) = Reference::of(&seen.object).map(|reference| plain(&reference)) else {
            return;
        };
        // A new object of the same name may have come before the old one's end was told.
        if self
            .by_name
            .get(&reference)
            .is_some_and(|known| known == uid)
        {
            self.by_name.remove(&reference);
        }
    }

    /// Tells the service at the top of the object's chain of controllers.
    fn tell(&self, uid: &str) {
        let mut next = Some(uid.to_owned());
        // Chains have three links in practice; the bound ends a circle.
        for _ in 0..8 {
            let Some(seen) = next.and_then(|uid| self.objects.get(&uid)) else {
                return;
            };
            if let Some((environment, service)) = seen.owner_labels() {
                self.wake(environment, service);
            }
            next = controllers(&seen.object).next().map(str::to_owned);
        }
    }

    fn wake(&self, environment: &str, service: &str) {
        let (Ok(environment), Ok(service)) =
            (EnvironmentName::new(environment), ServiceName::new(service))
        else {
            return;
        };
        if let Some(sender) = self.listeners.get(&Owner {
            environment,
            service,
        }) {
            sender.send_modify(|count| *count += 1);
        }
    }
}

#[cfg(test)]
mod tests;
