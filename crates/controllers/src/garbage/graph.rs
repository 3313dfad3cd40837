//! Who owns whom, kept up to date by watch events of every kind.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::change::{Kind, Target};

/// What garbage collection needs to know about one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub target: Target,
    pub uid: String,
    pub resource_version: String,
    pub owners: Vec<OwnerReference>,
    pub finalizers: Vec<String>,
    pub is_being_deleted: bool,
}

impl Node {
    /// Reads the node off an object's metadata.
    pub fn new(kind: Kind, meta: &ObjectMeta) -> Self {
        Self {
            target: Target {
                kind,
                namespace: meta.namespace.clone(),
                name: meta.name.clone().unwrap_or_default(),
            },
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            owners: meta.owner_references.clone().unwrap_or_default(),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
            is_being_deleted: meta.deletion_timestamp.is_some(),
        }
    }

    pub(super) fn has_finalizer(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|one| one == finalizer)
    }
}

/// A kind as owner references name it, and how to reach its objects.
#[derive(Clone, Debug)]
struct Served {
    kind: Kind,
    is_namespaced: bool,
}

/// All objects of all kinds served, by uid, with an index from owner to dependents.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: HashMap<String, Node>,
    dependents: HashMap<String, BTreeSet<String>>,
    namespaces: HashMap<String, BTreeSet<String>>,
    kinds: BTreeMap<(String, String), Served>,
}

impl Graph {
    /// Tells the graph that the API serves this kind.
    pub fn serve(&mut self, kind: Kind, is_namespaced: bool) {
        // Owner references stay valid across versions of a group.
        let key = (group(&kind.api_version).to_owned(), kind.kind.to_string());
        self.kinds.insert(
            key,
            Served {
                kind,
                is_namespaced,
            },
        );
    }

    /// Tells the graph that the API serves this kind no longer.
    pub fn withdraw(&mut self, kind: &Kind) {
        let key = (group(&kind.api_version).to_owned(), kind.kind.to_string());
        self.kinds.remove(&key);
    }

    /// Adds or replaces an object; returns the uids to decide on.
    pub fn apply(&mut self, node: Node) -> Vec<String> {
        let uid = node.uid.clone();
        let before = self.unlink(&uid);
        for owner in &node.owners {
            self.dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert(uid.clone());
        }
        if let Some(namespace) = &node.target.namespace {
            self.namespaces
                .entry(namespace.clone())
                .or_default()
                .insert(uid.clone());
        }
        let mut affected = vec![uid.clone()];
        // An owner that waits in the foreground looks again when a dependent leaves it.
        let owners = before
            .into_iter()
            .flat_map(|before| before.owners)
            .map(|owner| owner.uid);
        affected.extend(owners.filter(|owner| self.is_deleting(owner)));
        if node.is_being_deleted {
            affected.extend(self.dependents.get(&uid).into_iter().flatten().cloned());
        }
        self.nodes.insert(uid, node);
        affected
    }

    /// Removes an object; returns the uids to decide on.
    pub fn remove(&mut self, uid: &str) -> Vec<String> {
        let Some(node) = self.unlink(uid) else {
            return Vec::new();
        };
        let dependents = self.dependents.get(uid).into_iter().flatten().cloned();
        let owners = node
            .owners
            .into_iter()
            .map(|owner| owner.uid)
            .filter(|owner| self.is_deleting(owner));
        dependents.chain(owners).collect()
    }

    pub fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// The uids of all objects of one kind: those a new list does not name are gone.
    pub fn uids_of(&self, kind: &Kind) -> Vec<String> {
        self.nodes
            .values()
            .filter(|node| node.target.kind == *kind)
            .map(|node| node.uid.clone())
            .collect()
    }

    /// Everything inside a namespace, in the order of uids.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Node> {
        self.namespaces
            .get(namespace)
            .into_iter()
            .flatten()
            .filter_map(|uid| self.nodes.get(uid))
    }

    /// The objects that name this uid as an owner, in the order of uids.
    pub fn dependents(&self, uid: &str) -> impl Iterator<Item = &Node> {
        self.dependents
            .get(uid)
            .into_iter()
            .flatten()
            .filter_map(|uid| self.nodes.get(uid))
    }

    /// Finds the owner a reference means. One in another namespace is no owner.
    pub(super) fn owner(&self, reference: &OwnerReference, dependent: &Node) -> Option<&Node> {
        self.nodes.get(&reference.uid).filter(|owner| {
            owner.target.namespace.is_none() || owner.target.namespace == dependent.target.namespace
        })
    }

    /// Where the owner would be; none if the API does not serve its kind, or
    /// if a namespaced object is named as owner of a cluster-wide one.
    pub(super) fn target_of(
        &self,
        reference: &OwnerReference,
        dependent: &Node,
    ) -> Option<(Target, String)> {
        let key = (
            group(&reference.api_version).to_owned(),
            reference.kind.clone(),
        );
        let served = self.kinds.get(&key)?;
        let namespace = match (served.is_namespaced, &dependent.target.namespace) {
            (true, None) => return None,
            (true, Some(namespace)) => Some(namespace.clone()),
            (false, _) => None,
        };
        let target = Target {
            kind: served.kind.clone(),
            namespace,
            name: reference.name.clone(),
        };
        Some((target, reference.uid.clone()))
    }

    fn is_deleting(&self, uid: &str) -> bool {
        self.nodes
            .get(uid)
            .is_some_and(|node| node.is_being_deleted)
    }

    fn unlink(&mut self, uid: &str) -> Option<Node> {
        let node = self.nodes.remove(uid)?;
        for owner in &node.owners {
            if let Some(siblings) = self.dependents.get_mut(&owner.uid) {
                siblings.remove(uid);
                if siblings.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        if let Some(namespace) = &node.target.namespace
            && let Some(content) = self.namespaces.get_mut(namespace)
        {
            content.remove(uid);
            if content.is_empty() {
                self.namespaces.remove(namespace);
            }
        }
        Some(node)
    }
}

/// The group of an API version; empty for the core group.
fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}
