//! A seeded world around the decisions of Deployments and `ReplicaSets`: pods
//! become ready, fail and vanish in any order, and caches lag behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{Inputs, room, wanted_replicas};
use crate::change::{Change, Part, uid};
use crate::ownership::controller_of;
use crate::{pod, replica_set};

pub(super) struct World {
    pub(super) deployment: Deployment,
    pub(super) sets: BTreeMap<String, ReplicaSet>,
    pub(super) pods: BTreeMap<String, Pod>,
    pub(super) now: Timestamp,
    random: ChaCha8Rng,
    serial: u64,
}

impl World {
    pub(super) fn new(deployment: &Value, seed: u64) -> Self {
        let mut deployment: Deployment = serde_json::from_value(deployment.clone()).unwrap();
        deployment.metadata.uid = Some("deployment".to_owned());
        deployment.metadata.generation = Some(1);
        deployment.metadata.resource_version = Some("1".to_owned());
        Self {
            deployment,
            sets: BTreeMap::new(),
            pods: BTreeMap::new(),
            now: Timestamp::UNIX_EPOCH,
            random: ChaCha8Rng::seed_from_u64(seed),
            serial: 1,
        }
    }

    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut Deployment)) {
        edit(&mut self.deployment);
        *self.deployment.metadata.generation.get_or_insert_default() += 1;
        self.deployment.metadata.resource_version = Some(self.next());
    }

    fn next(&mut self) -> String {
        self.serial += 1;
        self.serial.to_string()
    }

    fn arcs<K: Clone>(objects: &BTreeMap<String, K>) -> Vec<Arc<K>> {
        objects.values().cloned().map(Arc::new).collect()
    }

    pub(super) fn decide_deployment(&self) -> Vec<Change> {
        let (replica_sets, pods) = (Self::arcs(&self.sets), Self::arcs(&self.pods));
        let inputs = Inputs {
            deployment: &self.deployment,
            replica_sets: &replica_sets,
            pods: &pods,
        };
        super::decide(&inputs, self.now)
    }

    pub(super) fn decide_set(&self, name: &str) -> Vec<Change> {
        let pods = Self::arcs(&self.pods);
        let inputs = replica_set::Inputs {
            replica_set: &self.sets[name],
            pods: &pods,
            settled: true,
            failure: None,
        };
        replica_set::decide(&inputs, self.now)
    }

    /// Carries changes out; returns whether anything was written.
    pub(super) fn carry_out(&mut self, changes: Vec<Change>) -> bool {
        let mut wrote = false;
        for change in changes {
            match change {
                Change::Create { body, .. } => self.create(body),
                Change::Patch { target, part, body } => {
                    self.patch(&target.kind.kind, &target.name, part, &body);
                }
                Change::Delete { target, .. } => self.delete(&target.kind.kind, &target.name),
                Change::Event { .. } | Change::Requeue { .. } | Change::ConfirmLive { .. } => {
                    continue;
                }
                other => panic!("not expected here: {other:?}"),
            }
            wrote = true;
        }
        wrote
    }

    fn create(&mut self, mut body: Value) {
        let serial = self.next();
        body["metadata"]["resourceVersion"] = json!(serial);
        body["metadata"]["generation"] = json!(1);
        body["metadata"]["creationTimestamp"] = json!(Time(self.now));
        if body["kind"] == "Pod" {
            let name = format!(
                "{}{serial}",
                body["metadata"]["generateName"].as_str().unwrap()
            );
            body["metadata"]["name"] = json!(name);
            body["metadata"]["uid"] = json!(name);
            self.pods
                .insert(name, serde_json::from_value(body).unwrap());
        } else {
            let name = body["metadata"]["name"].as_str().unwrap().to_owned();
            body["metadata"]["uid"] = json!(format!("{name}-{serial}"));
            let clash = self
                .sets
                .insert(name, serde_json::from_value(body).unwrap());
            assert!(clash.is_none(), "a set was created twice");
        }
    }

    fn patch(&mut self, kind: &str, name: &str, part: Part, body: &Value) {
        let serial = self.next();
        match kind {
            "Deployment" => patch(&mut self.deployment, part, body, &serial),
            "ReplicaSet" => patch(self.sets.get_mut(name).unwrap(), part, body, &serial),
            "Pod" => patch(self.pods.get_mut(name).unwrap(), part, body, &serial),
            other => panic!("nobody patches {other} here"),
        }
    }

    fn delete(&mut self, kind: &str, name: &str) {
        match kind {
            "ReplicaSet" => {
                self.sets.remove(name).unwrap();
            }
            "Pod" => {
                self.pods.get_mut(name).unwrap().metadata.deletion_timestamp = Some(Time(self.now));
            }
            other => panic!("nobody deletes {other} here"),
        }
    }

    /// Lets one thing happen that nobody decided: pods start, flap, end.
    fn disturb(&mut self) {
        self.now += SignedDuration::from_millis(self.random.random_range(1..800));
        let names: Vec<String> = self.pods.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = &names[self.random.random_range(0..names.len())];
        let pod = self.pods.get_mut(name).unwrap();
        if pod.metadata.deletion_timestamp.is_some() {
            self.pods.remove(name);
        } else if !pod::is_ready(pod) {
            become_ready(pod, self.now);
        }
    }

    /// Runs until nobody writes any more; every step is checked.
    pub(super) fn settle(&mut self, check: impl Fn(&Self)) {
        let mut quiet = 0;
        for _ in 0..5_000 {
            let wrote = if self.random.random_bool(0.4) {
                let changes = self.decide_deployment();
                self.carry_out(changes)
            } else if let Some(name) = self.any_set() {
                let changes = self.decide_set(&name);
                self.carry_out(changes)
            } else {
                false
            };
            check(self);
            let busy = self
                .pods
                .values()
                .any(|pod| !pod::is_ready(pod) || !pod::is_active(pod));
            if self.random.random_bool(0.5) {
                self.disturb();
                check(self);
            }
            quiet = if wrote || busy { 0 } else { quiet + 1 };
            if quiet > 60 {
                return;
            }
        }
        panic!("the world does not come to rest: {:#?}", self.sets);
    }

    fn any_set(&mut self) -> Option<String> {
        let names: Vec<&String> = self.sets.keys().collect();
        if names.is_empty() {
            return None;
        }
        let index = self.random.random_range(0..names.len());
        Some(names[index].clone())
    }

    pub(super) fn ready(&self) -> i32 {
        let ready = self
            .pods
            .values()
            .filter(|pod| pod::is_active(pod) && pod::is_ready(pod))
            .count();
        i32::try_from(ready).unwrap()
    }

    /// The sizes of all sets with replicas, with the image of each.
    pub(super) fn sizes(&self) -> Vec<(String, i32)> {
        self.sets
            .values()
            .filter_map(|set| {
                let spec = set.spec.as_ref().unwrap();
                let image = spec
                    .template
                    .as_ref()
                    .unwrap()
                    .spec
                    .as_ref()
                    .unwrap()
                    .containers[0]
                    .image
                    .clone();
                (spec.replicas != Some(0)).then(|| (image.unwrap(), spec.replicas.unwrap()))
            })
            .collect()
    }

    pub(super) fn owned_pods(&self, set: &ReplicaSet) -> usize {
        self.pods
            .values()
            .filter(|pod| controller_of(&pod.metadata).is_some_and(|owner| owner.uid == uid(set)))
            .count()
    }
}

pub(super) fn become_ready(pod: &mut Pod, now: Timestamp) {
    pod.spec.get_or_insert_default().node_name = Some("node".to_owned());
    pod.status = Some(PodStatus {
        phase: Some("Running".to_owned()),
        conditions: Some(vec![PodCondition {
            type_: "Ready".to_owned(),
            status: "True".to_owned(),
            last_transition_time: Some(Time(now)),
            ..PodCondition::default()
        }]),
        ..PodStatus::default()
    });
}

/// What the API does with a merge patch, preconditions included.
fn patch<K>(object: &mut K, part: Part, body: &Value, serial: &str)
where
    K: serde::Serialize + serde::de::DeserializeOwned,
{
    let mut value = serde_json::to_value(&*object).unwrap();
    if let Some(version) = body["metadata"].get("resourceVersion") {
        assert_eq!(
            *version, value["metadata"]["resourceVersion"],
            "a stale write in a fresh world"
        );
    }
    let before = value["spec"].clone();
    merge(&mut value, body);
    value["metadata"]["resourceVersion"] = json!(serial);
    if part == Part::Main && value["spec"] != before {
        let generation = value["metadata"]["generation"].as_i64().unwrap_or(0);
        value["metadata"]["generation"] = json!(generation + 1);
    }
    *object = serde_json::from_value(value).unwrap();
}

fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    for (key, field) in fields {
        if field.is_null() {
            value.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut value[key.as_str()], field);
        }
    }
}

/// The promise of a rolling update. It is about the sizes asked for: an old pod
/// may end a moment after its successor started, as in any control plane.
pub(super) fn within_room(world: &World) {
    let spec = world.deployment.spec.as_ref().unwrap();
    let limit = wanted_replicas(spec) + room(spec).surge;
    let planned: i32 = world.sizes().iter().map(|(_, size)| size).sum();
    assert!(
        planned <= limit,
        "{planned} replicas are above the surge limit {limit}"
    );
}
