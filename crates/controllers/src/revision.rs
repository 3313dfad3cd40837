//! `ControllerRevisions`: the templates a set had, numbered, so that it can go back.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use k8s_openapi::{Metadata, Resource};
use serde_json::{Value, json};

use crate::change::{Change, name};
use crate::ownership::controller_reference;
use crate::short_hash::short_hash;
use crate::template;

/// What tells the revisions of a kind of set apart from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// The label a revision carries its hash in.
    pub(crate) hash_label: &'static str,
}

/// One template of the history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Revision {
    pub(crate) name: String,
    pub(crate) hash: String,
    pub(crate) template: PodTemplateSpec,
}

/// The history of one set, oldest first.
#[derive(Debug)]
pub(crate) struct History {
    sorted: Vec<Arc<ControllerRevision>>,
    style: Style,
}

/// The revision of the present template, and what makes it the newest.
pub(crate) struct Newest {
    pub(crate) revision: Revision,
    pub(crate) changes: Vec<Change>,
}

/// The name the present template would get is taken: what to count instead.
pub(crate) struct Collision {
    pub(crate) count: i32,
}

impl History {
    pub(crate) fn new(mut revisions: Vec<Arc<ControllerRevision>>, style: Style) -> Self {
        revisions.sort_by(|one, other| age_key(one).cmp(&age_key(other)));
        Self {
            sorted: revisions,
            style,
        }
    }

    /// The stored revision of this name.
    pub(crate) fn named(&self, wanted: &str) -> Option<Revision> {
        self.sorted
            .iter()
            .find(|one| name(one.as_ref()) == wanted)
            .map(|one| self.read(one))
    }

    /// Finds the present template in the history and makes it the newest
    /// entry, or adds it.
    pub(crate) fn newest<K>(
        &self,
        owner: &K,
        template: &PodTemplateSpec,
        collisions: i32,
        all: &[Arc<ControllerRevision>],
    ) -> Result<Newest, Collision>
    where
        K: Resource + Metadata<Ty = ObjectMeta>,
    {
        let next = self.sorted.last().map_or(0, |last| last.revision) + 1;
        let equal = self
            .sorted
            .iter()
            .rposition(|one| template::same(&self.read(one).template, template, ""));
        if let Some(index) = equal {
            let stored = &self.sorted[index];
            let mut renumbered = stored.as_ref().clone();
            let mut changes = Vec::new();
            if index + 1 != self.sorted.len() {
                renumbered.revision = next;
                changes.extend(Change::update(stored.as_ref(), &renumbered));
            }
            return Ok(Newest {
                revision: self.read(stored),
                changes,
            });
        }
        let fresh = self.fresh(owner, template, collisions, next);
        if all.iter().any(|one| name(one.as_ref()) == name(&fresh)) {
            return Err(Collision {
                count: collisions + 1,
            });
        }
        Ok(Newest {
            revision: self.read(&fresh),
            changes: vec![Change::create(&fresh, None)],
        })
    }

    /// Deletes the oldest revisions that nothing uses, beyond `limit`.
    pub(crate) fn surplus(&self, limit: i32, is_live: impl Fn(&Revision) -> bool) -> Vec<Change> {
        let idle: Vec<_> = self
            .sorted
            .iter()
            .filter(|one| !is_live(&self.read(one)))
            .collect();
        let kept = usize::try_from(limit).unwrap_or(usize::MAX);
        let surplus = idle.len().saturating_sub(kept);
        idle.into_iter()
            .take(surplus)
            .filter(|one| one.metadata.deletion_timestamp.is_none())
            .map(|one| Change::delete(one.as_ref(), None))
            .collect()
    }

    fn read(&self, stored: &ControllerRevision) -> Revision {
        let template = stored
            .data
            .as_ref()
            .and_then(|RawExtension(data)| data.pointer("/spec/template"))
            .and_then(|template| serde_json::from_value(template.clone()).ok())
            .unwrap_or_default();
        let hash = stored
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(self.style.hash_label))
            .cloned()
            .unwrap_or_default();
        Revision {
            name: name(stored).to_owned(),
            hash,
            template,
        }
    }

    fn fresh<K>(
        &self,
        owner: &K,
        template: &PodTemplateSpec,
        collisions: i32,
        number: i64,
    ) -> ControllerRevision
    where
        K: Resource + Metadata<Ty = ObjectMeta>,
    {
        let data = patch(template);
        let hash = short_hash(data.to_string().as_bytes(), collisions);
        let mut labels: BTreeMap<String, String> = template
            .metadata
            .as_ref()
            .and_then(|meta| meta.labels.clone())
            .unwrap_or_default();
        labels.insert(self.style.hash_label.to_owned(), hash.clone());
        ControllerRevision {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", name(owner))),
                namespace: owner.metadata().namespace.clone(),
                labels: Some(labels),
                annotations: owner.metadata().annotations.clone(),
                owner_references: Some(vec![controller_reference(owner)]),
                ..ObjectMeta::default()
            },
            data: Some(RawExtension(data)),
            revision: number,
        }
    }
}

/// The strategic merge patch that brings the template back: what
/// `kubectl rollout undo` sends.
fn patch(template: &PodTemplateSpec) -> Value {
    let mut template = serde_json::to_value(template).expect("a template has string keys only");
    template["$patch"] = json!("replace");
    json!({"spec": {"template": template}})
}

fn age_key(revision: &ControllerRevision) -> (i64, Option<jiff::Timestamp>, &str) {
    let created = revision.metadata.creation_timestamp.as_ref();
    (
        revision.revision,
        created.map(|time| time.0),
        name(revision),
    )
}
