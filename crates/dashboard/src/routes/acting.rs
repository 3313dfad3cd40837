//! Preview and confirmation: the two steps before anything is changed.

use std::collections::HashMap;

use axum::Extension;
use axum::extract::{Form, Path, RawQuery, State};
use axum::response::{Html as Document, IntoResponse as _, Redirect, Response};
use foreshore_model::api::Problem;
use foreshore_model::{ExitCode, clock};

use super::{Reader, Shared, failed};
use crate::act::offers::OfferError;
use crate::act::perform::{self, Work};
use crate::act::preview::{self, Preview};
use crate::act::{Deed, Offer};
use crate::dashboard::{may_act, token};
use crate::frame::Frame;
use crate::html::Html;
use crate::query::Query;

/// A reason is a sentence, not a document.
const REASON_MAX: usize = 500;

fn problem(code: ExitCode, kind: &str, message: impl Into<String>) -> Problem {
    Problem {
        code: code.code(),
        kind: kind.to_owned(),
        message: message.into(),
        hints: Vec::new(),
    }
}

pub(super) async fn preview(
    State(inner): Shared,
    Extension(reader): Extension<Reader>,
    Path(verb): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let deed = match Deed::parse(&verb, &Query::parse(query.as_deref())) {
        Ok(deed) => deed,
        Err(error) => {
            return failed(
                &inner,
                &reader,
                &problem(ExitCode::Usage, "bad-request", error.to_string()),
            );
        }
    };
    if !may_act(&reader.who) {
        return failed(
            &inner,
            &reader,
            &problem(
                ExitCode::Refused,
                "no-permission",
                format!("`{}` may only look", reader.who.actor.name),
            ),
        );
    }
    let preview = match preview::preview(&deed, &inner, &reader.who).await {
        Ok(preview) => preview,
        Err(problem) => return failed(&inner, &reader, &problem),
    };
    let Some(token) = token() else {
        return failed(
            &inner,
            &reader,
            &problem(
                ExitCode::Failed,
                "internal",
                "this machine's source of randomness failed",
            ),
        );
    };
    if preview.refused.is_none() {
        let offer = Offer {
            deed,
            actor: reader.who.actor.name.clone(),
            typed: preview.typed.clone(),
            before: preview.before,
            expected: preview.expected.clone(),
        };
        inner.offers.make(token.clone(), offer, clock::now());
    }
    let frame = Frame {
        title: &preview.title,
        section: "",
        live: None,
        reader: Some(&reader.who.actor),
        session: reader.session,
        ground: &inner.ground,
        production: preview.production,
        version: &inner.version,
    };
    Document(frame.document(None, |html| write(html, &preview, &token))).into_response()
}

fn write(html: &mut Html, preview: &Preview, token: &str) {
    html.raw("<div id=preview class=preview>")
        .append(&preview.body);
    if let Some(why) = &preview.refused {
        html.raw("<p class=\"banner bad\">")
            .text(why)
            .raw("</p><p class=actions><a class=button id=cancel autofocus")
            .attribute("href", crate::html::own(&preview.back));
        html.raw(">Back</a></p></div>");
        return;
    }
    html.raw("<form method=post action=\"/act\" class=confirm><input type=hidden name=token")
        .attribute("value", token);
    html.raw("><input type=hidden name=back")
        .attribute("value", crate::html::own(&preview.back));
    html.raw("><label>Why <input name=reason maxlength=500 autocomplete=off");
    if preview.reason_needed {
        html.raw(" required");
    } else {
        html.raw(" placeholder=\"for the audit trail\"");
    }
    html.raw("></label>");
    if let Some(name) = &preview.typed {
        html.raw("<label><span>This is production. Type <strong>").text(name).raw("</strong> to go on</span><input name=typed required autocomplete=off autocapitalize=none spellcheck=false></label>");
    }
    html.raw("<p class=actions><a class=button id=cancel autofocus")
        .attribute("href", crate::html::own(&preview.back))
        .raw(">Cancel</a> <button class=\"");
    html.raw(if preview.production {
        "danger"
    } else {
        "primary"
    })
    .raw("\">")
    .raw(preview.verb)
    .raw("</button></p></form></div>");
}

pub(super) async fn confirm(
    State(inner): Shared,
    Extension(reader): Extension<Reader>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let field = |name: &str| form.get(name).map(|value| value.trim()).unwrap_or_default();
    let Some(id) = token() else {
        return failed(
            &inner,
            &reader,
            &problem(
                ExitCode::Failed,
                "internal",
                "this machine's source of randomness failed",
            ),
        );
    };
    if !may_act(&reader.who) {
        return failed(
            &inner,
            &reader,
            &problem(
                ExitCode::Refused,
                "no-permission",
                format!("`{}` may only look", reader.who.actor.name),
            ),
        );
    }
    let offer = match inner.offers.take(
        field("token"),
        &reader.who.actor.name,
        field("typed"),
        &id,
        clock::now(),
    ) {
        Ok(offer) => offer,
        // Sent again: by a reload, a double click or somebody who recorded it. Shown is what the first one did.
        Err(OfferError::Spent(job)) => {
            return Redirect::to(&format!("/done/{job}")).into_response();
        }
        Err(error @ OfferError::Unknown) => {
            let mut problem = problem(ExitCode::Conflict, "confirmation", error.to_string());
            problem
                .hints
                .push("Open the preview again and confirm what it shows now.".to_owned());
            return failed(&inner, &reader, &problem);
        }
        Err(error) => {
            return failed(
                &inner,
                &reader,
                &problem(ExitCode::Refused, "confirmation", error.to_string()),
            );
        }
    };
    let title = offer_title(&offer);
    let work = Work {
        inner: inner.clone(),
        who: reader.who.clone(),
        id: id.clone(),
        reason: field("reason").chars().take(REASON_MAX).collect(),
    };
    let back = crate::html::own(field("back")).to_owned();
    match perform::begin(work, offer, title, back) {
        Ok(()) => Redirect::to(&format!("/done/{id}")).into_response(),
        Err(error) => failed(
            &inner,
            &reader,
            &problem(
                ExitCode::Failed,
                "internal",
                format!("{error}; nothing was done"),
            ),
        ),
    }
}

fn offer_title(offer: &Offer) -> String {
    let verb = offer.deed.verb().replace('-', " ");
    let mut characters = verb.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().collect::<String>())
        .unwrap_or_default();
    format!("{first}{} {}", characters.as_str(), offer.deed.target())
}
