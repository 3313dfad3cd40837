//! Does what was confirmed, tells each step, and records who did it.

use std::sync::Arc;
use std::time::Duration;

use foreshore_identity::Principal;
use foreshore_model::api::{
    ApproveRequest, HoldRequest, OperationsAnswer, OperationsChange, OperationsRequest, Problem,
    ReleaseAnswer,
};
use foreshore_model::clock;
use http::Method;
use serde_json::Value;

use super::cluster::{ActError, Hand};
use super::deed::Place;
use super::jobs::Job;
use super::{Deed, Line, Offer, drain, follow, preview};
use crate::cell::Tone;
use crate::dashboard::Inner;
use crate::page::services;

/// How long a pod may refuse to leave before the drain gives up.
const EVICT_LIMIT: Duration = Duration::from_mins(5);
const EVICT_PAUSE: Duration = Duration::from_secs(2);

/// What became of a deed, in words.
pub(crate) type Ended = Result<Line, String>;

/// One deed under way.
pub(crate) struct Work {
    pub(crate) inner: Arc<Inner>,
    pub(crate) who: Principal,
    pub(crate) id: String,
    pub(crate) reason: String,
}

impl Work {
    pub(crate) fn say(&self, tone: Tone, text: impl Into<String>) {
        self.inner.jobs.say(&self.id, line(tone, text));
    }

    fn hand(&self, site: &str) -> Result<Hand, String> {
        let site = self
            .inner
            .board
            .site(site)
            .ok_or_else(|| format!("the cluster `{site}` is not connected"))?;
        Ok(Hand::new(site.client.clone(), &self.who.actor.name))
    }
}

pub(crate) fn line(tone: Tone, text: impl Into<String>) -> Line {
    Line {
        at: clock::now(),
        tone,
        text: text.into(),
    }
}

/// Starts a confirmed deed; people follow it at `/done/<id>`.
pub(crate) fn begin(
    work: Work,
    offer: Offer,
    title: String,
    back: String,
) -> Result<(), crate::audit::AuditError> {
    let deed = offer.deed.clone();
    // What cannot be recorded is not done.
    work.inner.audit.write(
        &work.who.actor.name,
        deed.verb(),
        &deed.target(),
        &work.reason,
        "asked",
    )?;
    work.inner.jobs.begin(
        &work.id,
        Job {
            title,
            actor: work.who.actor.name.clone(),
            lines: Vec::new(),
            ended: None,
            undo: None,
            back,
        },
    );
    tokio::spawn(async move {
        let ended = perform(&work, &offer).await;
        let (line, result) = match ended {
            Ok(line) => (line, "done"),
            Err(why) => (line(Tone::Bad, why), "failed"),
        };
        let result = format!("{result}: {}", line.text);
        if let Err(error) = work.inner.audit.write(
            &work.who.actor.name,
            deed.verb(),
            &deed.target(),
            &work.reason,
            &result,
        ) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot record how an action ended"
            );
        }
        if line.tone != Tone::Bad {
            work.inner
                .jobs
                .offer_undo(&work.id, deed.undo(offer.before));
        }
        work.inner.jobs.end(&work.id, line);
    });
    Ok(())
}

async fn perform(work: &Work, offer: &Offer) -> Ended {
    match &offer.deed {
        Deed::RestartPod {
            site,
            namespace,
            pod,
        } => restart_pod(work, site, namespace, pod).await,
        Deed::Restart(place) => restart(work, place).await,
        Deed::Scale {
            place,
            workload,
            replicas,
        } => scale(work, place, workload, *replicas).await,
        Deed::Promote(place) => release(work, place, false, offer).await,
        Deed::Rollback(place) => release(work, place, true, offer).await,
        Deed::Approve { request } => {
            let path = format!("/api/v1/requests/{request}/approve");
            let body = ApproveRequest {
                reason: work.reason.clone(),
            };
            let answer = work
                .inner
                .desk
                .send(&work.who, Method::POST, &path, &body)
                .await
                .map_err(words)?;
            released(work, answer).await
        }
        Deed::Hold(place) => {
            let path = format!("/api/v1/holds/{}/{}", place.environment, place.service);
            let body = HoldRequest {
                reason: work.reason.clone(),
            };
            work.inner
                .desk
                .send::<Value>(&work.who, Method::PUT, &path, &body)
                .await
                .map_err(words)?;
            Ok(line(Tone::Good, "the hold is set"))
        }
        Deed::Lift(place) => {
            let path = format!("/api/v1/holds/{}/{}", place.environment, place.service);
            work.inner
                .desk
                .send::<Value>(&work.who, Method::DELETE, &path, &Value::Null)
                .await
                .map_err(words)?;
            Ok(line(Tone::Good, "the hold is lifted"))
        }
        Deed::Cordon { site, node } => cordon(work, site, node, true).await,
        Deed::Uncordon { site, node } => cordon(work, site, node, false).await,
        Deed::Drain { site, node } => drain_node(work, site, node).await,
    }
}

fn words(problem: Problem) -> String {
    let mut text = problem.message;
    for hint in problem.hints {
        text.push_str("; ");
        text.push_str(&hint);
    }
    text
}

fn cluster_words(error: &ActError) -> String {
    match error {
        ActError::Unreachable(cause) => format!("{error}: {cause}"),
        other => other.to_string(),
    }
}

async fn restart_pod(work: &Work, site: &str, namespace: &str, name: &str) -> Ended {
    let hand = work.hand(site)?;
    let found = work
        .inner
        .board
        .site(site)
        .ok_or("the cluster is not connected")?;
    let pod = found
        .kinds()
        .pods
        .get(&format!("{namespace}/{name}"))
        .cloned()
        .ok_or("the pod is not there any more")?;
    evict(work, &hand, namespace, name, &pod.uid).await?;
    work.say(Tone::Busy, format!("{name} was asked to leave"));
    follow::pod_replaced(work, &found, &pod).await
}

/// Asks until the disruption budget allows it, or for five minutes.
async fn evict(
    work: &Work,
    hand: &Hand,
    namespace: &str,
    pod: &str,
    uid: &str,
) -> Result<(), String> {
    let limit = tokio::time::Instant::now() + EVICT_LIMIT;
    loop {
        match hand.evict(namespace, pod, uid).await {
            Ok(()) | Err(ActError::Gone) => return Ok(()),
            Err(ActError::Budget(why)) if tokio::time::Instant::now() < limit => {
                work.say(Tone::Busy, format!("{pod} waits: {why}"));
                tokio::time::sleep(EVICT_PAUSE).await;
            }
            Err(error) => return Err(format!("{pod}: {}", cluster_words(&error))),
        }
    }
}

async fn restart(work: &Work, place: &Place) -> Ended {
    let facts = work.inner.facts(true);
    let items = services::gather(&facts);
    let item = items.iter().find(|item| {
        item.service == place.service.as_str() && item.environment == place.environment.as_str()
    });
    let item = item.ok_or("the service is not there any more")?;
    let began = clock::now();
    for count in &item.counts {
        let workload = &count.workload;
        let hand = work.hand(&count.site)?;
        hand.restart(
            workload.kind,
            &workload.namespace,
            &workload.name,
            &began.to_string(),
        )
        .await
        .map_err(|error| cluster_words(&error))?;
        work.say(
            Tone::Busy,
            format!(
                "{} {} in {} restarts",
                workload.kind, workload.name, count.site
            ),
        );
    }
    follow::restarted(work, place, began).await
}

async fn scale(work: &Work, place: &Place, workload: &str, replicas: u32) -> Ended {
    let request = OperationsRequest {
        change: OperationsChange::Replicas {
            workload: Some(workload.to_owned()),
            replicas,
        },
        reason: work.reason.clone(),
        idempotency_key: format!("dashboard/{}", work.id),
        expected: None,
        dry_run: false,
    };
    let path = format!("/api/v1/operations/{}/{}", place.environment, place.service);
    let answer: OperationsAnswer = work
        .inner
        .desk
        .send(&work.who, Method::POST, &path, &request)
        .await
        .map_err(words)?;
    match &answer.commit {
        Some(commit) => work.say(
            Tone::Good,
            format!(
                "committed {}: {}",
                commit.get(..10).unwrap_or(commit),
                answer.words.join(", ")
            ),
        ),
        None => return Ok(line(Tone::Good, "it was set to this count already")),
    }
    follow::scaled(work, place, workload, i64::from(replicas)).await
}

async fn release(work: &Work, place: &Place, rollback: bool, offer: &Offer) -> Ended {
    let key = format!("dashboard/{}", work.id);
    let request = preview::request(
        place,
        rollback,
        &key,
        &work.reason,
        offer.expected.clone(),
        false,
    );
    let answer = work
        .inner
        .desk
        .send(&work.who, Method::POST, "/api/v1/releases", &request)
        .await
        .map_err(words)?;
    released(work, answer).await
}

async fn released(work: &Work, answer: ReleaseAnswer) -> Ended {
    match answer {
        ReleaseAnswer::Committed { commit, release } => {
            work.say(
                Tone::Good,
                format!(
                    "committed {}: {} number {} in {}",
                    commit.get(..10).unwrap_or(&commit),
                    release.artifact_id,
                    release.sequence,
                    release.environment
                ),
            );
            follow::release(work, &release).await
        }
        ReleaseAnswer::Unchanged { release } => Ok(line(
            Tone::Good,
            format!(
                "{} holds {} already",
                release.environment, release.artifact_id
            ),
        )),
        ReleaseAnswer::Requested { request, needed } => Ok(line(
            Tone::Busy,
            format!(
                "request {} waits for approval by others: {needed}",
                request.id
            ),
        )),
        ReleaseAnswer::Steps { .. } => {
            Err("the server answered as if this were a preview".to_owned())
        }
    }
}

async fn cordon(work: &Work, site: &str, node: &str, on: bool) -> Ended {
    work.hand(site)?
        .cordon(node, on)
        .await
        .map_err(|error| cluster_words(&error))?;
    follow::cordoned(work, site, node, on).await
}

async fn drain_node(work: &Work, site: &str, node: &str) -> Ended {
    let hand = work.hand(site)?;
    hand.cordon(node, true)
        .await
        .map_err(|error| cluster_words(&error))?;
    work.say(Tone::Good, format!("{node} is cordoned"));
    let found = work
        .inner
        .board
        .site(site)
        .ok_or("the cluster is not connected")?;
    let moves = drain::moves(&found.kinds(), node);
    if !moves.lost.is_empty() {
        return Err(
            "pods that nothing would make again run there; the node stays cordoned".to_owned(),
        );
    }
    let count = moves.leave.len();
    for (index, pod) in moves.leave.iter().enumerate() {
        evict(work, &hand, &pod.namespace, &pod.name, &pod.uid).await?;
        work.say(
            Tone::Busy,
            format!("{} of {count}: {} leaves", index + 1, pod.name),
        );
    }
    follow::drained(work, &found, node, &moves.leave).await
}
