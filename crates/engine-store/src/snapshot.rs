//! An unchanging view of everything at one revision, cheap to take and to keep.

use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;

use crate::object::{Key, Object, Resource};

pub(crate) type Place = (Arc<str>, Arc<str>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Collection {
    objects: OrdMap<Place, Arc<Object>>,
    changed: u64,
}

/// All objects as they were at `revision`.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) collections: OrdMap<Resource, Collection>,
}

impl Snapshot {
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.collections
            .get(&key.resource)?
            .objects
            .get(&(key.namespace.clone(), key.name.clone()))
    }

    /// Number of objects in a collection.
    pub fn count(&self, resource: &Resource) -> usize {
        self.collections
            .get(resource)
            .map_or(0, |held| held.objects.len())
    }

    /// Revision of the last change in a collection since the store was opened
    /// (of the newest object, if there was none).
    pub fn changed_at(&self, resource: &Resource) -> u64 {
        self.collections
            .get(resource)
            .map_or(0, |held| held.changed)
    }

    /// The collections that hold at least one object.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        let filled = self
            .collections
            .iter()
            .filter(|(_, held)| !held.objects.is_empty());
        filled.map(|(resource, _)| resource)
    }

    /// Objects of a collection, of one namespace or of all, in order of
    /// namespace and name, starting after `after`.
    pub fn list<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&str>,
        after: Option<(&str, &str)>,
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        let namespace: Option<Arc<str>> = namespace.map(Arc::from);
        let start: Bound<Place> = match (after, &namespace) {
            (Some((namespace, name)), _) => Bound::Excluded((namespace.into(), name.into())),
            (None, Some(namespace)) => Bound::Included((namespace.clone(), "".into())),
            (None, None) => Bound::Unbounded,
        };
        self.collections
            .get(resource)
            .into_iter()
            .flat_map(move |held| held.objects.range((start.clone(), Bound::Unbounded)))
            .skip_while({
                let namespace = namespace.clone();
                move |((found, _), _)| namespace.as_ref().is_some_and(|wanted| found < wanted)
            })
            .take_while(move |((found, _), _)| {
                namespace.as_ref().is_none_or(|wanted| found == wanted)
            })
            .map(|(_, object)| object)
    }

    pub(crate) fn put(&mut self, object: Arc<Object>) {
        let place = (object.key.namespace.clone(), object.key.name.clone());
        let resource = object.key.resource.clone();
        self.revision = self.revision.max(object.revision);
        let held = self.collections.entry(resource).or_default();
        held.changed = held.changed.max(object.revision);
        held.objects.insert(place, object);
    }

    pub(crate) fn remove(&mut self, key: &Key, revision: u64) {
        self.revision = self.revision.max(revision);
        if let Some(held) = self.collections.get_mut(&key.resource) {
            held.changed = held.changed.max(revision);
            held.objects
                .remove(&(key.namespace.clone(), key.name.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn snapshot(places: &[(&str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (index, (namespace, name)) in places.iter().enumerate() {
            let key = Key::new(Resource::new("pods"), *namespace, *name);
            let revision = index as u64 + 1;
            snapshot.put(Arc::new(Object::new(key, revision, revision, Bytes::new())));
        }
        snapshot
    }

    #[track_caller]
    fn check(namespace: Option<&str>, after: Option<(&str, &str)>, expected: &[&str]) {
        let snapshot = snapshot(&[("b", "y"), ("a", "x"), ("a", "y"), ("a-b", "x"), ("c", "z")]);
        let pods = Resource::new("pods");
        let found: Vec<String> = snapshot
            .list(&pods, namespace, after)
            .map(|object| format!("{}/{}", object.key.namespace, object.key.name))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn lists_are_ordered_and_bounded_by_namespace() {
        check(None, None, &["a/x", "a/y", "a-b/x", "b/y", "c/z"]);
        check(Some("a"), None, &["a/x", "a/y"]);
        check(Some("bb"), None, &[]);
        check(None, Some(("a", "y")), &["a-b/x", "b/y", "c/z"]);
        check(Some("a"), Some(("a", "x")), &["a/y"]);
        check(Some("b"), Some(("a", "x")), &["b/y"]);
        check(Some("a"), Some(("z", "z")), &[]);
    }

    #[test]
    fn a_snapshot_does_not_see_later_writes() {
        let mut now = snapshot(&[("a", "x")]);
        let before = now.clone();
        let key = Key::new(Resource::new("pods"), "a", "x");
        now.remove(&key, 9);
        assert!(now.get(&key).is_none());
        assert_eq!(before.get(&key).expect("kept").revision, 1);
        assert_eq!((before.revision(), now.revision()), (1, 9));
    }
}
