//! Which nodes should have a pod of the set, and which pods they have.

use std::collections::BTreeMap;
use std::sync::Arc;

use foreshore_scheduler::{accepts_node, is_untolerated};
use k8s_openapi::api::core::v1::{Node, Pod};

use super::{View, pods};
use crate::change::name;

/// One node, as the set sees it.
#[derive(Default)]
pub(super) struct Place {
    /// A pod belongs here.
    pub(super) should_run: bool,
    /// A pod that is here may stay.
    pub(super) may_stay: bool,
    /// The pods here: running before others, then the oldest first.
    pub(super) pods: Vec<Arc<Pod>>,
}

/// All nodes.
pub(super) struct Places {
    by_node: BTreeMap<String, Place>,
    /// Pods made for a node that is gone before they were bound.
    pub(super) waiting_for_lost_nodes: Vec<Arc<Pod>>,
}

impl Places {
    pub(super) fn new(view: &View<'_>, nodes: &[Arc<Node>], owned: &[Arc<Pod>]) -> Self {
        let model = pods::model(view.set, view.spec);
        let named = model.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let mut by_node: BTreeMap<String, Place> = nodes
            .iter()
            .map(|node| {
                let is_named = named
                    .as_ref()
                    .is_none_or(|named| named == name(node.as_ref()));
                let fits = is_named && accepts_node(&model, node);
                let may_stay = fits && !is_untolerated(&model, node, &["NoExecute"]);
                let should_run =
                    fits && !is_untolerated(&model, node, &["NoSchedule", "NoExecute"]);
                let place = Place {
                    should_run,
                    may_stay,
                    pods: Vec::new(),
                };
                (name(node.as_ref()).to_owned(), place)
            })
            .collect();
        let mut waiting_for_lost_nodes = Vec::new();
        for pod in owned {
            let Some(target) = pods::node_of(pod) else {
                continue;
            };
            match by_node.get_mut(target) {
                Some(place) => place.pods.push(Arc::clone(pod)),
                None if pods::is_bound(pod) => {}
                None => waiting_for_lost_nodes.push(Arc::clone(pod)),
            }
        }
        for place in by_node.values_mut() {
            place
                .pods
                .sort_by(|one, other| pods::seniority(one).cmp(&pods::seniority(other)));
        }
        Self {
            by_node,
            waiting_for_lost_nodes,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Place)> {
        self.by_node.iter()
    }

    /// The nodes that should have a pod.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Place> {
        self.by_node.values().filter(|place| place.should_run)
    }
}
