//! What a person sees before they confirm: the consequence by name, and what stands against it.

use foreshore_identity::Principal;
use foreshore_model::api::{
    Difference, ExplainRequest, Explanation, OperationsAnswer, OperationsChange, OperationsRequest,
    Problem, ReleaseAnswer, ReleaseRequest, RequestDetail, Selection,
};
use foreshore_model::{Digest, ExitCode};
use http::Method;

use super::deed::Place;
use super::{Deed, diff, drain};
use crate::cell::{self, Tone};
use crate::dashboard::Inner;
use crate::html::Html;
use crate::listing::Facts;
use crate::page::{cpu, memory, services};

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
        Deed::Promote(place) => release(inner, who, &facts, place, false).await,
        Deed::Rollback(place) => release(inner, who, &facts, place, true).await,
        Deed::Approve { request } => approve(inner, who, &facts, request).await,
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
            cordon(deed, &facts, site, node)
        }
        Deed::Drain { site, node } => drain(&facts, site, node),
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

async fn release(
    inner: &Inner,
    who: &Principal,
    facts: &Facts,
    place: &Place,
    rollback: bool,
) -> Result<Preview, Problem> {
    let (word, verb) = if rollback {
        ("Roll back", "Roll back")
    } else {
        ("Promote", "Promote")
    };
    let mut preview = Preview::new(
        format!("{word} {} in {}", place.service, place.environment),
        verb,
        path(place),
    );
    if !rollback {
        preview.title = format!("Promote {} to {}", place.service, place.environment);
    }
    preview.guard(
        facts.world.is_production(place.environment.as_str()),
        place.service.as_str(),
    );
    let here = facts
        .world
        .release(place.environment.as_str(), place.service.as_str());
    preview.expected = here.map(|status| status.release.artifact.clone());
    let request = request(place, rollback, "preview", "", None, true);
    match inner
        .desk
        .send::<ReleaseAnswer>(who, Method::POST, "/api/v1/releases", &request)
        .await
    {
        Ok(ReleaseAnswer::Steps { steps }) => {
            preview.body.raw("<ul class=will>");
            for step in &steps {
                preview.body.raw("<li>").text(step).raw("</li>");
            }
            preview.body.raw("</ul>");
        }
        Ok(ReleaseAnswer::Unchanged { .. }) => {
            preview.refused = Some("The environment holds this artifact already.".to_owned());
        }
        Ok(_) => {}
        Err(problem) => preview.refused = Some(with_hints(&problem)),
    }
    if rollback {
        preview.say("A hold is set with it, so that automation does not bring the newer version back. The rollback skips approvals.");
    }
    let explain = ExplainRequest {
        service: place.service.clone(),
        environment: place.environment.clone(),
        selection: selection(rollback),
        rollback,
    };
    if let Ok(explanation) = inner
        .desk
        .send::<Explanation>(who, Method::POST, "/api/v1/explain", &explain)
        .await
    {
        terms(&mut preview.body, &explanation);
    }
    match inner
        .desk
        .send::<Difference>(who, Method::POST, "/api/v1/diff", &explain)
        .await
    {
        Ok(difference) => diff::write(&mut preview.body, &difference),
        Err(problem) => {
            preview
                .body
                .raw("<p class=quiet>No difference can be shown: ")
                .text(&problem.message)
                .raw("</p>");
        }
    }
    Ok(preview)
}

fn with_hints(problem: &Problem) -> String {
    let mut text = problem.message.clone();
    for hint in &problem.hints {
        text.push_str("; ");
        text.push_str(hint);
    }
    text
}

fn terms(html: &mut Html, explanation: &Explanation) {
    html.raw("<ul class=terms>");
    for term in &explanation.terms {
        html.raw("<li>");
        let tone = if term.holds { Tone::Good } else { Tone::Bad };
        cell::status(html, tone, &term.name, "");
        html.raw(" <span class=quiet>")
            .text(&term.words)
            .raw("</span></li>");
    }
    html.raw("</ul>");
}

fn selection(rollback: bool) -> Selection {
    if rollback {
        Selection::LastVerified
    } else {
        Selection::From(None)
    }
}

/// The request that a confirmed preview sends.
pub(crate) fn request(
    place: &Place,
    rollback: bool,
    key: &str,
    reason: &str,
    expected: Option<Digest>,
    dry_run: bool,
) -> ReleaseRequest {
    ReleaseRequest {
        service: place.service.clone(),
        environment: place.environment.clone(),
        selection: selection(rollback),
        reason: reason.to_owned(),
        idempotency_key: key.to_owned(),
        expected,
        hold: rollback,
        dry_run,
    }
}

async fn approve(
    inner: &Inner,
    who: &Principal,
    facts: &Facts,
    id: &str,
) -> Result<Preview, Problem> {
    let detail: RequestDetail = inner
        .desk
        .get(who, &format!("/api/v1/requests/{id}"))
        .await?;
    let request = &detail.request;
    let mut preview = Preview::new(
        format!("Approve {} to {}", request.service, request.environment),
        "Approve",
        "/releases",
    );
    preview.guard(
        facts.world.is_production(request.environment.as_str()),
        request.service.as_str(),
    );
    preview.say(&format!(
        "{} asked for {}: {}",
        request.requested_by.name, request.artifact_id, request.reason
    ));
    preview.say(&match detail.needed {
        0 | 1 => "With this approval it is released.".to_owned(),
        needed => format!("{needed} approvals are missing; this is one of them."),
    });
    if request.requested_by.name == who.actor.name {
        preview.refused = Some("You asked for it yourself; somebody else has to agree.".to_owned());
    }
    terms(&mut preview.body, &detail.explanation);
    for site in &detail.previews {
        preview.say(&format!("What {} would do:", site.site));
        preview.body.raw("<ul>");
        for object in &site.objects {
            preview
                .body
                .raw("<li>")
                .text(&format!(
                    "{}: {} {}",
                    object.object,
                    object.effect,
                    object.details.join("; ")
                ))
                .raw("</li>");
        }
        preview.body.raw("</ul>");
    }
    diff::write(&mut preview.body, &detail.difference);
    Ok(preview)
}

fn cordon(deed: &Deed, facts: &Facts, site: &str, node: &str) -> Result<Preview, Problem> {
    let on = matches!(deed, Deed::Cordon { .. });
    known_node(facts, site, node)?;
    let (word, words) = if on {
        (
            "Cordon",
            "No new pods are put on the node. Those that run there go on.",
        )
    } else {
        (
            "Uncordon",
            "New pods may be put on the node again. Nothing moves there by itself.",
        )
    };
    let mut preview = Preview::new(format!("{word} {node}"), word, "/nodes");
    preview.say(words);
    Ok(preview)
}

fn known_node(facts: &Facts, site: &str, node: &str) -> Result<(), Problem> {
    let found = facts.sites.iter().find(|known| known.name.as_str() == site);
    let known = found.is_some_and(|found| found.kinds().nodes.contains_key(node));
    if known {
        Ok(())
    } else {
        Err(not_found(format!("there is no node `{node}` in `{site}`")))
    }
}

fn drain(facts: &Facts, site: &str, node: &str) -> Result<Preview, Problem> {
    known_node(facts, site, node)?;
    let found = facts
        .sites
        .iter()
        .find(|known| known.name.as_str() == site)
        .ok_or_else(|| not_found(format!("there is no site `{site}`")))?;
    let moves = drain::moves(&found.kinds(), node);
    let mut preview = Preview::new(format!("Drain {node}"), "Drain", "/nodes");
    preview.guard(
        facts
            .world
            .environments
            .iter()
            .any(|environment| environment.production),
        node,
    );
    preview.say(&format!("The node is cordoned, and {} pods leave it, one after another, as far as disruption budgets allow.", moves.leave.len()));
    let mut by: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    let kinds = found.kinds();
    for pod in &moves.leave {
        let name = kinds
            .workload_of(pod)
            .map_or_else(|| pod.name.clone(), |workload| workload.name.clone());
        *by.entry(format!("{}/{name}", pod.namespace)).or_default() += 1;
    }
    preview.body.raw("<ul class=will>");
    for (name, count) in by {
        preview
            .body
            .raw("<li>")
            .text(&format!("{name}: {count}"))
            .raw("</li>");
    }
    preview.body.raw("</ul>");
    if moves.room {
        preview.say("Room on the other nodes: yes, by what the pods ask for.");
    } else {
        preview.warn(
            Tone::Bad,
            "Room on the other nodes: not for all of them. Some pods will wait.",
        );
    }
    for name in &moves.alone {
        preview.warn(
            Tone::Busy,
            &format!("{name} has one pod only: nobody answers while it moves."),
        );
    }
    for name in &moves.blocked {
        preview.warn(
            Tone::Busy,
            &format!(
                "The disruption budget {name} allows nothing to leave now; the drain waits for it."
            ),
        );
    }
    if moves.local_data > 0 {
        preview.warn(
            Tone::Busy,
            &format!(
                "{} pods keep data on the node (emptyDir); it is lost.",
                moves.local_data
            ),
        );
    }
    if !moves.stay.is_empty() {
        preview.say(&format!(
            "{} pods belong to the node and stay.",
            moves.stay.len()
        ));
    }
    if !moves.lost.is_empty() {
        let names: Vec<&str> = moves.lost.iter().map(|pod| pod.name.as_str()).collect();
        preview.refused = Some(format!(
            "Nothing would make these pods again, so they block the drain: {}. Delete them by hand first.",
            names.join(", ")
        ));
    }
    preview.say("It can be undone: uncordon the node. Pods do not move back by themselves.");
    Ok(preview)
}
