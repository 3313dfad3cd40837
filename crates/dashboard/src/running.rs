//! What the watched clusters say of one service, for whoever asks without a browser.

use foreshore_model::ServiceName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cell::Tone;
use crate::listing::Facts;
use crate::page::{pods, services};

/// Failing pods that are told of one workload; their number is told in any case.
const TOLD_MAX: usize = 3;

/// One workload of a service in one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub environment: String,
    pub site: String,
    pub kind: String,
    pub workload: String,
    pub ready: i64,
    pub desired: i64,
    /// Pods that fail.
    #[serde(default)]
    pub failing: usize,
    /// Why, of the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// Since when the cluster does not answer, so that this is as old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_since: Option<Timestamp>,
}

/// Looks a service up in every cluster.
pub(crate) fn of_service(service: &ServiceName, facts: &Facts) -> Vec<Running> {
    let all = pods::gather(facts);
    let mut running = Vec::new();
    let items = services::gather(facts);
    for item in items.iter().filter(|item| item.service == service.as_str()) {
        for count in &item.counts {
            let workload = &count.workload;
            let failing: Vec<String> = all
                .iter()
                .filter(|pod| {
                    *pod.site == *count.site
                        && pod.pod.namespace == workload.namespace
                        && pod.service.as_deref() == Some(service.as_str())
                        && pod.pod.tone == Tone::Bad
                })
                .map(|pod| {
                    let pod = &pod.pod;
                    let text = format!("Pod/{}: {} {}", pod.name, pod.word, pod.message);
                    text.trim_end().to_owned()
                })
                .collect();
            let contact = facts
                .sites
                .iter()
                .find(|site| site.name.as_str() == &*count.site)
                .and_then(|site| site.contact().lost);
            running.push(Running {
                environment: item.environment.clone(),
                site: count.site.to_string(),
                kind: workload.kind.to_owned(),
                workload: workload.name.clone(),
                ready: workload.ready,
                desired: workload.desired,
                failing: failing.len(),
                why: failing.into_iter().take(TOLD_MAX).collect(),
                stale_since: contact.map(|(since, _)| since),
            });
        }
    }
    running
}
