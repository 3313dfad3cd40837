//! The `ReplicaSets` of one Deployment, with the changes planned for them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{history, template, wanted_replicas};
use crate::change::{Change, EventKind, Propagation, Target, name, uid};
use crate::ownership::controller_reference;

/// The most replicas the Deployment allowed when the set was last scaled.
pub(super) const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// The replicas the Deployment wanted when the set was last scaled.
pub(super) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";

/// One `ReplicaSet` as stored, and as it should become.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) stored: Arc<ReplicaSet>,
    pub(super) replicas: i32,
    pub(super) annotations: BTreeMap<String, String>,
    min_ready_seconds: Option<i32>,
    is_fresh: bool,
    pub(super) is_surplus: bool,
}

impl Member {
    fn new(stored: Arc<ReplicaSet>) -> Self {
        let spec = stored.spec.as_ref();
        Self {
            replicas: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            annotations: stored.metadata.annotations.clone().unwrap_or_default(),
            min_ready_seconds: spec.and_then(|spec| spec.min_ready_seconds),
            is_fresh: false,
            is_surplus: false,
            stored,
        }
    }

    pub(super) fn name(&self) -> &str {
        name(self.stored.as_ref())
    }

    /// Pods of this set that are available and will stay.
    ///
    /// The set's status may lag behind its size; pods it is about to lose must
    /// not be counted on, or a rollout could drop below its minimum.
    pub(super) fn available(&self) -> i32 {
        let size = self
            .stored
            .spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or(1);
        self.status().available_replicas.unwrap_or(0).min(size)
    }

    pub(super) fn status(&self) -> k8s_openapi::api::apps::v1::ReplicaSetStatus {
        self.stored.status.clone().unwrap_or_default()
    }

    /// Orders by age, then name, so that ties are broken the same way each time.
    fn age_key(&self) -> (Option<jiff::Timestamp>, &str) {
        (
            self.stored
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0),
            self.name(),
        )
    }

    fn into_changes(self, deployment: &Deployment) -> Vec<Change> {
        let stored = self.stored.as_ref();
        if self.is_surplus {
            return vec![Change::Delete {
                target: Target::of(stored),
                uid: uid(stored).to_owned(),
                resource_version: stored.metadata.resource_version.clone(),
                propagation: Some(Propagation::Background),
                grace_seconds: None,
                announce: None,
            }];
        }
        let mut wanted = stored.clone();
        wanted.metadata.annotations =
            (!self.annotations.is_empty()).then(|| self.annotations.clone());
        let spec = wanted.spec.get_or_insert_default();
        let before = if self.is_fresh {
            0
        } else {
            spec.replicas.unwrap_or(1)
        };
        spec.replicas = Some(self.replicas);
        spec.min_ready_seconds = self.min_ready_seconds;
        let write = if self.is_fresh {
            Some(Change::create(&wanted, None))
        } else {
            Change::update(stored, &wanted)
        };
        let direction = if self.replicas > before { "up" } else { "down" };
        let told = (self.replicas != before).then(|| {
            let message = format!(
                "Scaled {direction} replica set {} from {before} to {}",
                self.name(),
                self.replicas
            );
            Change::event(deployment, EventKind::Normal, "ScalingReplicaSet", message)
        });
        write.into_iter().chain(told).collect()
    }
}

/// All sets of a Deployment, oldest first; at most one carries its present template.
#[derive(Debug)]
pub(super) struct Family<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) spec: &'a DeploymentSpec,
    pub(super) members: Vec<Member>,
    newest: Option<usize>,
}

impl<'a> Family<'a> {
    /// The caller has checked that the Deployment has a spec.
    pub(super) fn new(deployment: &'a Deployment, sets: Vec<Arc<ReplicaSet>>) -> Self {
        let spec = deployment
            .spec
            .as_ref()
            .expect("decide returns early without a spec");
        let mut members: Vec<_> = sets.into_iter().map(Member::new).collect();
        members.sort_by(|one, other| one.age_key().cmp(&other.age_key()));
        let newest = members.iter().position(|member| {
            let own = member
                .stored
                .spec
                .as_ref()
                .and_then(|spec| spec.template.as_ref());
            template::same(own, &spec.template)
        });
        Self {
            deployment,
            spec,
            members,
            newest,
        }
    }

    pub(super) fn newest(&self) -> Option<&Member> {
        self.newest.map(|index| &self.members[index])
    }

    pub(super) fn newest_mut(&mut self) -> Option<&mut Member> {
        self.newest.map(|index| &mut self.members[index])
    }

    /// The sets of earlier templates, oldest first.
    pub(super) fn old(&self) -> impl Iterator<Item = &Member> {
        let newest = self.newest;
        self.members
            .iter()
            .enumerate()
            .filter(move |(index, _)| Some(*index) != newest)
            .map(|(_, set)| set)
    }

    /// Replicas planned for all sets together.
    pub(super) fn total(&self) -> i32 {
        self.members.iter().map(|member| member.replicas).sum()
    }

    /// Replicas planned for the old sets together.
    pub(super) fn old_total(&self) -> i32 {
        self.old().map(|member| member.replicas).sum()
    }

    /// Returns the collision count to store when another object already has
    /// the name the new set would get.
    pub(super) fn colliding(&self, all: &[Arc<ReplicaSet>]) -> Option<i32> {
        if self.newest.is_some() {
            return None;
        }
        let collisions = self.collisions();
        let wanted = self.new_name(&template::hash(&self.spec.template, collisions));
        all.iter()
            .any(|set| name(set.as_ref()) == wanted)
            .then_some(collisions + 1)
    }

    /// Brings the annotations of the set with the present template up to date.
    pub(super) fn adopt_revision(&mut self) {
        let revision = history::next_revision(self);
        let inherited = history::inherited(self.deployment);
        let min_ready_seconds = self.spec.min_ready_seconds;
        if let Some(newest) = self.newest_mut() {
            history::annotate(&mut newest.annotations, inherited, revision);
            if newest.min_ready_seconds.unwrap_or(0) != min_ready_seconds.unwrap_or(0) {
                newest.min_ready_seconds = min_ready_seconds;
            }
        }
    }

    /// Makes sure a set with the present template exists or is planned.
    pub(super) fn ensure_newest(&mut self) {
        if self.newest.is_some() {
            return self.adopt_revision();
        }
        let revision = history::next_revision(self);
        let hash = template::hash(&self.spec.template, self.collisions());
        let set = self.new_set(&hash);
        let mut member = Member {
            is_fresh: true,
            replicas: 0,
            ..Member::new(Arc::new(set))
        };
        history::annotate(
            &mut member.annotations,
            history::inherited(self.deployment),
            revision,
        );
        self.newest = Some(self.members.len());
        self.members.push(member);
    }

    /// Notes on every set which size of the Deployment its replicas belong to.
    pub(super) fn record_size(&mut self, index: usize) {
        let wanted = wanted_replicas(self.spec);
        let most = wanted + super::room(self.spec).surge;
        let annotations = &mut self.members[index].annotations;
        annotations.insert(DESIRED_REPLICAS.to_owned(), wanted.to_string());
        annotations.insert(MAX_REPLICAS.to_owned(), most.to_string());
    }

    /// Plans `replicas` for one set.
    pub(super) fn scale(&mut self, index: usize, replicas: i32) {
        self.members[index].replicas = replicas.max(0);
        self.record_size(index);
    }

    /// Plans `replicas` for the set with the present template.
    pub(super) fn scale_newest(&mut self, replicas: i32) {
        if let Some(index) = self.newest
            && (self.members[index].replicas != replicas || self.members[index].is_fresh)
        {
            self.scale(index, replicas);
        }
    }

    /// Indexes of the old sets, oldest first.
    pub(super) fn old_indexes(&self) -> Vec<usize> {
        (0..self.members.len())
            .filter(|&index| Some(index) != self.newest)
            .collect()
    }

    /// Indexes of the sets that have replicas, biggest first; equals by age.
    pub(super) fn active_by_size(&self, newer_first: bool) -> Vec<usize> {
        let mut active: Vec<_> = (0..self.members.len())
            .filter(|&index| self.members[index].replicas > 0)
            .collect();
        if newer_first {
            active.reverse();
        }
        active.sort_by_key(|&index| Reverse(self.members[index].replicas));
        active
    }

    /// The only active set, or with none active the newest; nothing while several are active.
    pub(super) fn active_or_latest(&self) -> Option<usize> {
        match self.active_by_size(true).as_slice() {
            [] => self.newest.or_else(|| self.members.len().checked_sub(1)),
            [only] => Some(*only),
            _ => None,
        }
    }

    pub(super) fn into_changes(self) -> Vec<Change> {
        let deployment = self.deployment;
        self.members
            .into_iter()
            .flat_map(|member| member.into_changes(deployment))
            .collect()
    }

    fn collisions(&self) -> i32 {
        self.deployment
            .status
            .as_ref()
            .and_then(|status| status.collision_count)
            .unwrap_or(0)
    }

    fn new_name(&self, hash: &str) -> String {
        format!("{}-{hash}", name(self.deployment))
    }

    fn new_set(&self, hash: &str) -> ReplicaSet {
        let mut template = self.spec.template.clone();
        let labels = template
            .metadata
            .get_or_insert_default()
            .labels
            .get_or_insert_default();
        labels.insert(template::HASH_LABEL.to_owned(), hash.to_owned());
        let labels = labels.clone();
        let mut selector = self.spec.selector.clone();
        selector
            .match_labels
            .get_or_insert_default()
            .insert(template::HASH_LABEL.to_owned(), hash.to_owned());
        ReplicaSet {
            metadata: ObjectMeta {
                name: Some(self.new_name(hash)),
                namespace: self.deployment.metadata.namespace.clone(),
                labels: Some(labels),
                owner_references: Some(vec![controller_reference(self.deployment)]),
                ..ObjectMeta::default()
            },
            spec: Some(ReplicaSetSpec {
                min_ready_seconds: self.spec.min_ready_seconds,
                replicas: Some(0),
                selector,
                template: Some(template),
            }),
            status: None,
        }
    }
}
