//! Says in the cluster itself what becomes of releases: as events of their workloads.
//!
//! It is a courtesy to whoever looks with kubectl: nothing waits for it, and
//! what cannot be said in time is left out. The server has all of it anyway.

use foreshore_cluster::{ApplyMode, Cluster, Reference};
use foreshore_model::{Outcome, Phase};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::debug;

/// Events that wait at most; more would be old news when they are said.
const WAITING_MAX: usize = 1_000;
/// The longest message of an event.
const MESSAGE_MAX: usize = 1_000;

/// Takes what is to be said.
#[derive(Debug, Clone)]
pub(crate) struct Herald(mpsc::Sender<(Cluster, Value)>);

impl Herald {
    /// Returns the herald, and the work that speaks for it until it is dropped.
    pub(crate) fn new() -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, mut waiting) = mpsc::channel::<(Cluster, Value)>(WAITING_MAX);
        let speak = async move {
            while let Some((cluster, event)) = waiting.recv().await {
                if let Err(error) = cluster.apply(&event, ApplyMode::Force).await {
                    debug!(error = &error as &dyn std::error::Error, "event not said");
                }
            }
        };
        (Self(sender), speak)
    }

    /// Says it soon, through the cluster of whoever leads.
    pub(crate) fn say(&self, cluster: &Cluster, event: Value) {
        if self.0.try_send((cluster.clone(), event)).is_err() {
            debug!("too many events wait; one is left out");
        }
    }
}

/// Makes the event of an outcome, none for stations on the way.
///
/// Its name follows from what it says, so the same said again is one event.
pub(crate) fn event(outcome: &Outcome, about: &Reference, uid: &str) -> Option<Value> {
    let kind = match outcome.phase {
        Phase::Healthy | Phase::Superseded | Phase::Retired => "Normal",
        Phase::Failed | Phase::Degraded => "Warning",
        Phase::Applying | Phase::Progressing => return None,
    };
    let word = outcome.phase.word();
    let mut message = format!(
        "release {} of {} ({}) is {word}",
        outcome.sequence,
        outcome.service,
        outcome.artifact.short()
    );
    if let Some(cause) = outcome.causes.first() {
        message = format!(
            "{message}: {} {}: {}",
            cause.object, cause.reason, cause.message
        );
    }
    let message: String = message.chars().take(MESSAGE_MAX).collect();
    let at = outcome.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut involved = json!({
        "apiVersion": about.api_version, "kind": about.kind,
        "namespace": about.namespace, "name": about.name,
    });
    if !uid.is_empty() {
        involved["uid"] = json!(uid);
    }
    Some(json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("foreshore.{}.{}.{}.{word}", outcome.environment, outcome.service, outcome.sequence),
            "namespace": about.namespace,
        },
        "involvedObject": involved,
        "type": kind,
        "reason": format!("Release{}", capital(word)),
        "message": message,
        "source": {"component": "foreshore-agent"},
        "reportingComponent": "foreshore.local/agent",
        "reportingInstance": outcome.site.as_str(),
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }))
}

/// Makes the event of a config repository from which nothing more is taken.
pub(crate) fn alarm(lease: &Reference, site: &str, why: &str, now: Timestamp) -> Value {
    let at = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let message =
        format!("nothing more is taken from the config repository, what runs is kept: {why}");
    let message: String = message.chars().take(MESSAGE_MAX).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{}.frozen", lease.name), "namespace": lease.namespace},
        "involvedObject": {
            "apiVersion": lease.api_version, "kind": lease.kind,
            "namespace": lease.namespace, "name": lease.name,
        },
        "type": "Warning",
        "reason": "ConfigRepositoryFrozen",
        "message": message,
        "source": {"component": "foreshore-agent"},
        "reportingComponent": "foreshore.local/agent",
        "reportingInstance": site,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    })
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use foreshore_model::{Digest, SiteName};

    fn said(phase: Phase) -> Option<Value> {
        let outcome = Outcome {
            environment: fixture::dev(),
            site: SiteName::new("local").unwrap(),
            service: fixture::web(),
            sequence: 3,
            artifact: Digest::of(b"3"),
            commit: "c".to_owned(),
            phase,
            causes: Vec::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
            operations: 0,
            verdicts: Vec::new(),
        };
        event(&outcome, &fixture::reference("Deployment/web"), "")
    }

    #[test]
    fn ends_are_said_and_stations_on_the_way_are_not() {
        assert_eq!(said(Phase::Applying), None);
        assert_eq!(said(Phase::Progressing), None);
        let event = said(Phase::Healthy).unwrap();
        assert_eq!(event["metadata"]["name"], "foreshore.dev.web.3.healthy");
        assert_eq!(
            (&event["type"], &event["reason"]),
            (&json!("Normal"), &json!("ReleaseHealthy"))
        );
        assert_eq!(said(Phase::Failed).unwrap()["type"], "Warning");
    }
}
