//! One list and one watch for each kind of a cluster, however many people look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foreshore_model::clock;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::Api;
use kube::api::ApiResource;
use kube::core::{DynamicObject, GroupVersionKind};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::project::{self, key, node, other, pod, workload};
use crate::site::{Kinds, Rows, Site};
use crate::usage;

/// The server ends a watch after this time and it is opened again, so a dead connection is noticed.
const WATCH_SECONDS: u32 = 120;
/// Objects in one answer of the first list: bounds what is in memory as whole objects.
const LIST_PAGE: u32 = 250;
/// How often a cluster is asked whether it is there.
const PROBE_EVERY: Duration = Duration::from_secs(3);
const PROBE_LIMIT: Duration = Duration::from_secs(3);
const EXPIRE_EVERY: Duration = Duration::from_mins(5);
/// A kind the cluster does not have may come later.
const ABSENT_PAUSE: Duration = Duration::from_mins(1);
/// Kinds that are watched.
pub(crate) const KINDS: usize = 10;

/// Watches a cluster until shutdown.
pub(crate) async fn run(site: Arc<Site>, shutdown: CancellationToken) {
    let mut tasks = JoinSet::new();
    macro_rules! rows {
        ($group:literal, $version:literal, $kind:literal, $field:ident, $project:expr) => {
            tasks.spawn(follow(
                site.clone(),
                resource($group, $version, $kind),
                |kinds| &mut kinds.$field,
                $project,
            ));
        };
    }
    rows!("", "v1", "Pod", pods, pod::pod);
    rows!("", "v1", "Node", nodes, node::node);
    rows!(
        "apps",
        "v1",
        "Deployment",
        deployments,
        workload::deployment
    );
    rows!(
        "apps",
        "v1",
        "StatefulSet",
        stateful_sets,
        workload::stateful_set
    );
    rows!("apps", "v1", "DaemonSet", daemon_sets, workload::daemon_set);
    rows!(
        "apps",
        "v1",
        "ReplicaSet",
        replica_sets,
        workload::replica_set
    );
    rows!(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        autoscalers,
        other::autoscaler
    );
    rows!(
        "policy",
        "v1",
        "PodDisruptionBudget",
        budgets,
        other::budget
    );
    rows!("coordination.k8s.io", "v1", "Lease", leases, other::lease);
    tasks.spawn(follow_events(site.clone()));
    tasks.spawn(probe(site.clone()));
    tasks.spawn(usage::follow(site.clone()));
    tasks.spawn(expire(site));
    shutdown.cancelled().await;
    tasks.shutdown().await;
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Pauses between tries to open a broken watch.
#[derive(Debug, Default)]
struct Pauses {
    tries: u32,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(200 << self.tries.min(5)).min(Duration::from_secs(5));
        self.tries = self.tries.saturating_add(1);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.tries = 0;
    }
}

fn stream(
    site: &Site,
    resource: &ApiResource,
) -> impl futures::Stream<Item = Result<Event<DynamicObject>, Error>> + Send + use<> {
    let api: Api<DynamicObject> = Api::all_with(site.client.clone(), resource);
    let mut config = Config::default()
        .timeout(WATCH_SECONDS)
        .page_size(LIST_PAGE);
    if resource.kind == "Lease" {
        // Leases of controllers say nothing of nodes.
        config = config.fields("metadata.namespace=kube-node-lease");
    }
    watcher(api, config).backoff(Pauses::default())
}

/// Whether the cluster does not know the kind at all.
fn is_absent(error: &Error) -> bool {
    let (Error::InitialListFailed(kube::Error::Api(status))
    | Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return false;
    };
    status.code == 404
}

/// Keeps the rows of one kind.
async fn follow<R: Send + Sync + 'static>(
    site: Arc<Site>,
    resource: ApiResource,
    rows: fn(&mut Kinds) -> &mut Rows<R>,
    project: fn(&DynamicObject) -> R,
) {
    let mut complete = false;
    loop {
        let mut events = stream(&site, &resource).boxed();
        let mut listed: Rows<R> = BTreeMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    site.heard(clock::now());
                    let done = matches!(event, Event::InitDone);
                    take(&site, &mut listed, event, rows, project);
                    if done && !complete {
                        complete = true;
                        site.completed();
                    }
                }
                Err(error) if is_absent(&error) => {
                    if !complete {
                        complete = true;
                        site.completed();
                    }
                    break;
                }
                Err(error) => {
                    tracing::debug!(
                        kind = resource.kind,
                        error = &error as &dyn std::error::Error,
                        "watch broke; it is opened again"
                    );
                }
            }
        }
        tokio::time::sleep(ABSENT_PAUSE).await;
    }
}

fn take<R>(
    site: &Site,
    listed: &mut Rows<R>,
    event: Event<DynamicObject>,
    rows: fn(&mut Kinds) -> &mut Rows<R>,
    project: fn(&DynamicObject) -> R,
) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            listed.insert(key(&object), Arc::new(project(&object)));
        }
        Event::InitDone => {
            let all = std::mem::take(listed);
            site.change(|kinds| *rows(kinds) = all);
        }
        Event::Apply(object) => {
            let row = Arc::new(project(&object));
            site.change(|kinds| {
                rows(kinds).insert(key(&object), row);
            });
        }
        Event::Delete(object) => site.change(|kinds| {
            rows(kinds).remove(&key(&object));
        }),
    }
}

/// Folds events as they come; their objects are not kept.
async fn follow_events(site: Arc<Site>) {
    let resource = resource("", "v1", "Event");
    let mut complete = false;
    loop {
        let mut events = stream(&site, &resource).boxed();
        loop {
            let object = match events.try_next().await {
                Ok(Some(Event::InitApply(object) | Event::Apply(object))) => object,
                Ok(Some(Event::InitDone)) => {
                    if !complete {
                        complete = true;
                        site.completed();
                    }
                    continue;
                }
                Ok(None) => break,
                Err(error) if is_absent(&error) => {
                    if !complete {
                        complete = true;
                        site.completed();
                    }
                    break;
                }
                Ok(Some(Event::Init | Event::Delete(_))) | Err(_) => continue,
            };
            let now = clock::now();
            site.heard(now);
            let event = other::event(&object);
            site.change(|kinds| {
                let owner = owner(kinds, &event);
                kinds.events.add(&event, &owner, now);
            });
        }
        tokio::time::sleep(ABSENT_PAUSE).await;
    }
}

/// The name of what is behind an object: the workload of a pod, else the object itself.
fn owner(kinds: &Kinds, event: &other::Event) -> String {
    let (kind, name) = &event.object;
    let key = format!("{}/{name}", event.namespace);
    match kind.as_str() {
        "Pod" => kinds
            .pods
            .get(&key)
            .and_then(|pod| kinds.workload_of(pod).map(|workload| workload.name.clone()))
            .unwrap_or_else(|| without_hashes(name, 2)),
        "ReplicaSet" => kinds
            .replica_sets
            .get(&key)
            .and_then(|set| set.controller.clone())
            .map_or_else(|| without_hashes(name, 1), |(_, name)| name),
        _ => name.clone(),
    }
}

/// Takes generated endings off a name: `web-7c4d5f6b8-x2xzq` becomes `web`.
fn without_hashes(name: &str, count: usize) -> String {
    let mut rest = name;
    for _ in 0..count {
        match rest.rsplit_once('-') {
            Some((start, end))
                if end.len() >= 5
                    && end
                        .chars()
                        .all(|character| character.is_ascii_alphanumeric()) =>
            {
                rest = start;
            }
            _ => break,
        }
    }
    rest.to_owned()
}

/// Asks the cluster every few seconds whether it is there, so that old data is told as old.
async fn probe(site: Arc<Site>) {
    loop {
        let answer = tokio::time::timeout(PROBE_LIMIT, site.client.apiserver_version()).await;
        let now = clock::now();
        match answer {
            Ok(Ok(_)) => site.heard(now),
            // It answers, if only to say that it does not tell us.
            Ok(Err(kube::Error::Api(status))) if status.code < 500 => site.heard(now),
            Ok(Err(error)) => site.missed(now, project::short(&error.to_string())),
            Err(_) => site.missed(now, "the API server does not answer".to_owned()),
        }
        tokio::time::sleep(PROBE_EVERY).await;
    }
}

async fn expire(site: Arc<Site>) {
    loop {
        tokio::time::sleep(EXPIRE_EVERY).await;
        site.change(|kinds| kinds.events.expire(clock::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_is_gone_still_folds_under_its_workload() {
        for (name, count, expected) in [
            ("web-7c4d5f6b8-x2xzq", 2, "web"),
            ("web-7c4d5f6b8", 1, "web"),
            ("db-0", 2, "db-0"),
            ("my-long-name", 2, "my-long-name"),
        ] {
            assert_eq!(without_hashes(name, count), expected, "{name}");
        }
    }

    #[test]
    fn pauses_grow_and_end_at_five_seconds() {
        let mut pauses = Pauses::default();
        let all: Vec<Duration> = pauses.by_ref().take(8).collect();
        assert_eq!(
            (all[0], all[7]),
            (Duration::from_millis(200), Duration::from_secs(5))
        );
        pauses.reset();
        assert_eq!(pauses.next(), Some(Duration::from_millis(200)));
    }
}
