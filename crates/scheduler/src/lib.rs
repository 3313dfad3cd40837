//! Which node a pod should run on, and why none fits.
//!
//! A [`Cluster`] is kept up to date by whoever watches nodes and pods;
//! [`Cluster::pick`] decides from it alone. Fields that would narrow the choice
//! and are not honoured yet are refused by name, never ignored.

mod affinity;
mod cluster;
mod filter;
mod quantity;
mod resources;
mod score;
mod spread;
mod taint;
#[cfg(test)]
mod tests;
mod unsupported;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

pub use affinity::accepts_node;
pub use cluster::Cluster;
pub use filter::Unschedulable;
pub use quantity::milli as quantity_milli;
pub use taint::is_untolerated;

/// Returns the node for `pod`, given all nodes and all pods bound to them.
///
/// For one question; who asks often keeps a [`Cluster`].
pub fn pick(pod: &Pod, nodes: &[Arc<Node>], pods: &[Arc<Pod>]) -> Result<String, Unschedulable> {
    let mut cluster = Cluster::default();
    for node in nodes {
        cluster.set_node(Arc::clone(node));
    }
    for bound in pods {
        cluster.set_pod(Arc::clone(bound));
    }
    cluster.pick(pod)
}
