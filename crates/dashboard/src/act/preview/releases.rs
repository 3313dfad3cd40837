//! What a promotion, a rollback or an approval would do, and what stands against it.

use foreshore_identity::{Principal, Right};
use foreshore_model::Digest;
use foreshore_model::api::{
    Difference, ExplainRequest, Explanation, Problem, ReleaseAnswer, ReleaseRequest, RequestDetail,
    Selection,
};
use http::Method;

use super::{Preview, path};
use crate::act::deed::Place;
use crate::act::diff;
use crate::cell::{self, Tone};
use crate::dashboard::Inner;
use crate::html::Html;
use crate::listing::Facts;

pub(super) async fn release(
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

pub(super) async fn approve(
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
    if !who.may(&Right::Approve) {
        preview.refused = Some(format!("`{}` may not approve.", who.actor.name));
    } else if request.requested_by.name == who.actor.name {
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
