//! Waits for what a deed brings about, and tells how far it has come.

use std::sync::Arc;
use std::time::Duration;

use foreshore_model::ReleaseFile;
use jiff::Timestamp;
use tokio::time::Instant;

use super::deed::Place;
use super::perform::{Ended, Work, line};
use crate::cell::Tone;
use crate::listing::Facts;
use crate::page::services;
use crate::project::pod::Pod;
use crate::site::Site;

/// How long a deed is followed; the work goes on after it.
const PATIENCE: Duration = Duration::from_mins(10);
/// Looked at again at least this often.
const LOOK: Duration = Duration::from_secs(2);

/// How far something is.
enum Progress {
    On(String),
    Done(String),
    Failed(String),
}

/// Looks at every change until it is done, has failed, or time is over.
async fn until(work: &Work, look: impl Fn(&Facts) -> Progress) -> Ended {
    let limit = Instant::now() + PATIENCE;
    let mut changed = work.inner.board.subscribe();
    loop {
        match look(&work.inner.facts(true)) {
            Progress::Done(text) => return Ok(line(Tone::Good, text)),
            Progress::Failed(text) => return Err(text),
            Progress::On(text) => work.say(Tone::Busy, text),
        }
        if Instant::now() >= limit {
            return Ok(line(
                Tone::Busy,
                "this page has waited ten minutes; the work goes on",
            ));
        }
        // A change and the end of the wait are the same: look again.
        drop(tokio::time::timeout(LOOK, changed.changed()).await);
    }
}

pub(crate) async fn release(work: &Work, release: &ReleaseFile) -> Ended {
    until(work, |facts| {
        let Some(status) = facts
            .world
            .release(release.environment.as_str(), release.service.as_str())
        else {
            return Progress::On("waiting for the agent".to_owned());
        };
        if status.release.sequence > release.sequence {
            return Progress::Failed(format!(
                "release {} took its place",
                status.release.sequence
            ));
        }
        let why = || {
            let causes = status.outcomes.iter().flat_map(|outcome| &outcome.causes);
            causes
                .map(|cause| format!("{} {}: {}", cause.object, cause.reason, cause.message))
                .next()
                .unwrap_or_default()
        };
        match status.health() {
            _ if status.release.sequence < release.sequence => {
                Progress::On("waiting for the agent".to_owned())
            }
            "healthy" => Progress::Done("healthy everywhere".to_owned()),
            "failed" => Progress::Failed(format!("the release failed: {}", why())),
            "waiting" => Progress::On("waiting for the agent".to_owned()),
            other => Progress::On(format!("{other} {}", why()).trim_end().to_owned()),
        }
    })
    .await
}

pub(crate) async fn scaled(work: &Work, place: &Place, workload: &str, replicas: i64) -> Ended {
    until(work, |facts| {
        let items = services::gather(facts);
        let item = items.iter().find(|item| {
            item.service == place.service.as_str() && item.environment == place.environment.as_str()
        });
        let counts: Vec<_> = item
            .into_iter()
            .flat_map(|item| &item.counts)
            .filter(|count| count.workload.name == workload)
            .collect();
        if counts.is_empty() {
            return Progress::Failed("no cluster shows the workload".to_owned());
        }
        if counts
            .iter()
            .any(|count| count.workload.desired != replicas)
        {
            return Progress::On("pending: the agent has not carried it out yet".to_owned());
        }
        let ready: i64 = counts.iter().map(|count| count.workload.ready).sum();
        let wanted: i64 = counts.iter().map(|count| count.workload.desired).sum();
        if ready == wanted && counts.iter().all(|count| count.workload.observed) {
            return Progress::Done(format!("{ready} of {wanted} pods are ready"));
        }
        Progress::On(format!("{ready} of {wanted} pods are ready"))
    })
    .await
}

pub(crate) async fn restarted(work: &Work, place: &Place, began: Timestamp) -> Ended {
    until(work, |facts| {
        let items = services::gather(facts);
        let item = items.iter().find(|item| {
            item.service == place.service.as_str() && item.environment == place.environment.as_str()
        });
        let Some(item) = item else {
            return Progress::Failed("the service is gone".to_owned());
        };
        let (mut old, mut ready, mut wanted) = (0, 0, 0);
        for site in &facts.sites {
            let kinds = site.kinds();
            for pod in kinds.pods.values() {
                let Some(workload) = kinds.workload_of(pod) else {
                    continue;
                };
                let own = item.counts.iter().any(|count| {
                    *count.site == *site.name.as_str()
                        && count.workload.name == workload.name
                        && count.workload.namespace == workload.namespace
                });
                // Kubernetes counts whole seconds.
                if own
                    && pod
                        .created
                        .is_some_and(|created| created.as_second() < began.as_second())
                {
                    old += 1;
                }
            }
        }
        for count in &item.counts {
            ready += count.workload.ready;
            wanted += count.workload.desired;
        }
        if old == 0 && item.counts.iter().all(|count| count.workload.settled()) {
            return Progress::Done(format!("all {wanted} pods are new and ready"));
        }
        Progress::On(format!("{old} old pods left, {ready} of {wanted} ready"))
    })
    .await
}

pub(crate) async fn pod_replaced(work: &Work, site: &Arc<Site>, pod: &Pod) -> Ended {
    until(work, |_| {
        let kinds = site.kinds();
        let key = format!("{}/{}", pod.namespace, pod.name);
        if kinds.pods.get(&key).is_some_and(|now| now.uid == pod.uid) {
            return Progress::On(format!("{} is leaving", pod.name));
        }
        match kinds.workload_of(pod) {
            Some(workload) if workload.ready >= workload.desired => Progress::Done(format!(
                "{} of {} pods of {} are ready",
                workload.ready, workload.desired, workload.name
            )),
            Some(workload) => Progress::On(format!(
                "{} is gone; {} of {} pods are ready",
                pod.name, workload.ready, workload.desired
            )),
            None => Progress::Done(format!("{} is gone", pod.name)),
        }
    })
    .await
}

pub(crate) async fn cordoned(work: &Work, site: &str, node: &str, on: bool) -> Ended {
    until(work, |facts| {
        let found = facts.sites.iter().find(|known| known.name.as_str() == site);
        let now = found.and_then(|found| found.kinds().nodes.get(node).map(|node| node.cordoned));
        match now {
            None => Progress::Failed(format!("{node} is gone")),
            Some(cordoned) if cordoned == on => Progress::Done(format!(
                "{node} {}",
                if on {
                    "takes no new pods"
                } else {
                    "takes new pods again"
                }
            )),
            Some(_) => Progress::On("waiting for the cluster to show it".to_owned()),
        }
    })
    .await
}

/// A drain has worked once its pods are gone from the node and ready elsewhere.
pub(crate) async fn drained(work: &Work, site: &Arc<Site>, node: &str, left: &[Arc<Pod>]) -> Ended {
    until(work, |_| {
        let kinds = site.kinds();
        let still = left.iter().filter(|pod| {
            let now = kinds.pods.get(&format!("{}/{}", pod.namespace, pod.name));
            now.is_some_and(|now| now.uid == pod.uid && now.node == node)
        });
        let still = still.count();
        if still > 0 {
            return Progress::On(format!("{still} of {} pods are still there", left.len()));
        }
        let waiting: Vec<String> = left
            .iter()
            .filter_map(|pod| kinds.workload_of(pod))
            .filter(|workload| workload.ready < workload.desired)
            .map(|workload| workload.name.clone())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        if waiting.is_empty() {
            return Progress::Done(format!(
                "{node} is empty, and everything that left it is ready elsewhere"
            ));
        }
        Progress::On(format!(
            "{node} is empty; not yet ready elsewhere: {}",
            waiting.join(", ")
        ))
    })
    .await
}
