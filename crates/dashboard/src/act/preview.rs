//! What a person sees before they confirm: the consequence by name, and what stands against it.

mod nodes;
mod releases;

use foreshore_identity::Principal;
use foreshore_model::api::{OperationsAnswer, OperationsChange, OperationsRequest, Problem};
use foreshore_model::{Digest, ExitCode};
use http::Method;

use super::Deed;
use super::deed::Place;
use crate::cell::{self, Tone};
use crate::dashboard::Inner;
use crate::html::Html;
use crate::listing::Facts;
use crate::page::{cpu, memory, services};

pub(crate) use releases::request;

/// A deed, told before it is done.
pub(crate) struct Preview {
    pub(crate) title: String,
    /// The word on the button.
    pub(crate) verb: &'static str,
    pub(crate) body: Html,
    pub(crate) production: bool,
    /// What has to be typed.
    pub(crate) typed: Option<String>,
    /// Whether a reason must be given.
    pub(crate) reason_needed: bool,
    /// Why it cannot be confirmed now.
    pub(crate) refused: Option<String>,
    pub(crate) before: Option<i64>,
    pub(crate) expected: Option<Digest>,
    pub(crate) back: String,
}

impl Preview {
    fn new(title: String, verb: &'static str, back: impl Into<String>) -> Self {
        Self {
            title,
            verb,
            body: Html::new(),
            production: false,
            typed: None,
            reason_needed: false,
            refused: None,
            before: None,
            expected: None,
            back: back.into(),
        }
    }

    /// In production the name has to be typed.
    fn guard(&mut self, production: bool, name: &str) {
        self.production = production;
        self.typed = production.then(|| name.to_owned());
    }

    fn say(&mut self, text: &str) -> &mut Self {
        self.body.raw("<p>").text(text).raw("</p>");
        self
    }

    fn warn(&mut self, tone: Tone, text: &str) {
        self.body.raw("<p>");
        cell::status(&mut self.body, tone, text, "");
        self.body.raw("</p>");
    }
}

/// Works out what a deed would do now.
pub(crate) async fn preview(
    deed: &Deed,
    inner: &Inner,
    who: &Principal,
) -> Result<Preview, Problem> {
    let facts = inner.facts(true);
    match deed {
        Deed::RestartPod {
            site,
            namespace,
            pod,
        } => restart_pod(&facts, site, namespace, pod),
        Deed::Restart(place) => restart(&facts, place),
        Deed::Scale {
            place,
            workload,
            replicas,
        } => scale(inner, who, &facts, place, workload, *replicas).await,
        Deed::Promote(place) => releases::release(inner, who, &facts, place, false).await,
        Deed::Rollback(place) => releases::release(inner, who, &facts, place, true).await,
        Deed::Approve { request } => releases::approve(inner, who, &facts, request).await,
        Deed::Hold(place) => {
            let mut preview = Preview::new(
                format!("Hold {} in {}", place.service, place.environment),
                "Hold",
                path(place),
            );
            preview.say("Nothing is released here by automation, and people have to lift the hold first. What runs goes on.");
            preview.reason_needed = true;
            Ok(preview)
        }
        Deed::Lift(place) => {
            let mut preview = Preview::new(
                format!(
                    "Lift the hold of {} in {}",
                    place.service, place.environment
                ),
                "Lift",
                path(place),
            );
            preview.say("Automation may release here again. Nothing changes at once.");
            if let Some(hold) = facts
                .world
                .release(place.environment.as_str(), place.service.as_str())
                .and_then(|status| status.hold.as_ref())
            {
                preview.say(&format!(
                    "It was set by {}: {}",
                    hold.actor.name, hold.reason
                ));
            }
            Ok(preview)
        }
        Deed::Cordon { site, node } | Deed::Uncordon { site, node } => {
            nodes::cordon(deed, &facts, site, node)
        }
        Deed::Drain { site, node } => nodes::drain(&facts, site, node),
    }
}

fn not_found(what: String) -> Problem {
    Problem {
        code: ExitCode::NotFound.code(),
        kind: "not-found".to_owned(),
        message: what,
        hints: Vec::new(),
    }
}

fn path(place: &Place) -> String {
    format!("/services/{}", place.service)
}

fn restart_pod(facts: &Facts, site: &str, namespace: &str, name: &str) -> Result<Preview, Problem> {
    let missing = || not_found(format!("there is no pod `{namespace}/{name}` in `{site}`"));
    let found = facts
        .sites
        .iter()
        .find(|known| known.name.as_str() == site)
        .ok_or_else(missing)?;
    let kinds = found.kinds();
    let pod = kinds
        .pods
        .get(&format!("{namespace}/{name}"))
        .ok_or_else(missing)?;
    let mut preview = Preview::new(
        format!("Restart {name}"),
        "Restart",
        format!("/pods/{site}/{namespace}/{name}"),
    );
    let (service, environment) = kinds.place_of(pod);
    let environment =
        environment.or_else(|| facts.world.of_namespace(namespace).map(ToString::to_string));
    let production = environment.is_some_and(|environment| facts.world.is_production(&environment));
    preview.guard(production, service.as_deref().unwrap_or(name));
    match kinds.workload_of(pod) {
        Some(workload) => {
            preview.say(&format!(
                "The pod leaves, and {} {} makes a new one.",
                workload.kind, workload.name
            ));
            if workload.ready <= 1 && pod.ready() {
                preview.warn(Tone::Bad, &format!("It is the only ready pod of {}: nobody answers until the new one is ready.", workload.name));
            } else {
                preview.say(&format!(
                    "{} of {} pods are ready.",
                    workload.ready, workload.desired
                ));
            }
        }
        None if pod.controller.is_some() => {
            preview.say("The pod leaves, and its controller makes a new one.");
        }
        None => {
            preview.refused =
                Some("Nothing would make this pod again: it was made by hand.".to_owned());
        }
    }
    let budgets: Vec<String> = kinds
        .budgets
        .values()
        .filter(|budget| budget.allowed == 0 && budget.covers(namespace, &pod.labels))
        .map(|budget| budget.name.clone())
        .collect();
    if !budgets.is_empty() {
        preview.warn(
            Tone::Busy,
            &format!(
                "The disruption budget {} allows no pod to leave now; the restart waits for it.",
                budgets.join(", ")
            ),
        );
    }
    Ok(preview)
}

fn item(facts: &Facts, place: &Place) -> Result<services::Item, Problem> {
    services::gather(facts)
        .into_iter()
        .find(|item| {
            item.service == place.service.as_str() && item.environment == place.environment.as_str()
        })
        .ok_or_else(|| {
            not_found(format!(
                "`{}` does not run in `{}`",
                place.service, place.environment
            ))
        })
}

fn restart(facts: &Facts, place: &Place) -> Result<Preview, Problem> {
    let item = item(facts, place)?;
    let mut preview = Preview::new(
        format!("Restart {} in {}", place.service, place.environment),
        "Restart",
        path(place),
    );
    preview.guard(
        facts.world.is_production(place.environment.as_str()),
        place.service.as_str(),
    );
    if item.counts.is_empty() {
        preview.refused = Some("No cluster shows a workload of it.".to_owned());
    }
    preview.say("Every pod is replaced by a new one of the same version, as in a rollout.");
    for count in &item.counts {
        let workload = &count.workload;
        preview.say(&format!(
            "{} {} in {}: {} of {} pods are ready.",
            workload.kind, workload.name, count.site, workload.ready, workload.desired
        ));
        if workload.paused {
            preview.refused = Some(format!(
                "The rollout of {} is paused; it would not restart.",
                workload.name
            ));
        }
        if !workload.settled() {
            preview.warn(
                Tone::Busy,
                &format!("{} is being rolled out already.", workload.name),
            );
        }
    }
    preview.say("This cannot be undone; what runs stays the same version.");
    Ok(preview)
}

async fn scale(
    inner: &Inner,
    who: &Principal,
    facts: &Facts,
    place: &Place,
    workload: &str,
    replicas: u32,
) -> Result<Preview, Problem> {
    let item = item(facts, place)?;
    let mut preview = Preview::new(
        format!("Scale {} in {}", place.service, place.environment),
        "Scale",
        path(place),
    );
    let count = item
        .counts
        .iter()
        .find(|count| count.workload.name == workload);
    let count = count
        .ok_or_else(|| not_found(format!("`{}` has no workload `{workload}`", place.service)))?;
    let now = count.workload.desired;
    preview.guard(
        facts.world.is_production(place.environment.as_str()),
        place.service.as_str(),
    );
    preview.before = Some(item.pending.get(workload).copied().unwrap_or(now));
    if let Some((least, most)) = count.autoscaled {
        preview.refused = Some(format!(
            "An autoscaler owns this count: {least} to {most} pods."
        ));
        return Ok(preview);
    }
    preview
        .body
        .raw("<p class=change><strong>")
        .number(now)
        .raw("</strong> → <strong>")
        .number(replicas)
        .raw("</strong> pods of ")
        .text(workload)
        .raw("</p>");
    if replicas == 0 {
        preview.warn(Tone::Bad, "No pod is left: nobody answers.");
    }
    let more = i64::from(replicas) - now;
    if more > 0 {
        room(&mut preview, facts, &count.site, workload, more);
    }
    let request = OperationsRequest {
        change: OperationsChange::Replicas {
            workload: Some(workload.to_owned()),
            replicas,
        },
        reason: String::new(),
        idempotency_key: "preview".to_owned(),
        expected: None,
        dry_run: true,
    };
    let address = format!("/api/v1/operations/{}/{}", place.environment, place.service);
    match inner
        .desk
        .send::<OperationsAnswer>(who, Method::POST, &address, &request)
        .await
    {
        Ok(answer) if answer.words.is_empty() => {
            preview.refused = Some("It is set to this count already.".to_owned());
        }
        Ok(answer) => {
            preview
                .body
                .raw("<p class=quiet>Commits to operations.yaml: ")
                .text(&answer.words.join(", "))
                .raw("</p>");
        }
        Err(problem) => preview.refused = Some(problem.message),
    }
    Ok(preview)
}

/// Says whether so many pods more fit on the nodes, by what they ask for.
fn room(preview: &mut Preview, facts: &Facts, site: &str, workload: &str, more: i64) {
    let Some(found) = facts.sites.iter().find(|known| known.name.as_str() == site) else {
        return;
    };
    let kinds = found.kinds();
    let Some(one) = kinds.pods.values().find(|pod| {
        kinds
            .workload_of(pod)
            .is_some_and(|own| own.name == workload)
    }) else {
        return;
    };
    let loads = crate::page::nodes::loads(&kinds);
    let fitting: i64 = kinds
        .nodes
        .values()
        .filter(|node| !node.cordoned)
        .map(|node| {
            let load = loads.get(node.name.as_str()).copied().unwrap_or_default();
            let by = |free: i64, each: i64| {
                if each > 0 {
                    (free / each).max(0)
                } else {
                    i64::MAX
                }
            };
            by(node.cpu_millis - load.cpu_millis, one.cpu_millis)
                .min(by(node.memory_bytes - load.memory_bytes, one.memory_bytes))
                .min((node.pods_max - load.pods).max(0))
        })
        .fold(0, i64::saturating_add);
    let each = format!(
        "each asks for CPU {} and memory {}",
        cpu(one.cpu_millis),
        memory(one.memory_bytes)
    );
    if fitting >= more {
        preview.say(&format!("Room on the nodes: yes ({each})."));
    } else {
        preview.warn(
            Tone::Bad,
            &format!("Room on the nodes: for {fitting} of {more} more ({each})."),
        );
    }
}
