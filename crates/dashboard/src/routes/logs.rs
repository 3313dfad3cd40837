//! The logs page: the newest lines of a service, and a stream of those that follow.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{Html as Document, IntoResponse as _, Response};

use super::{Reader, Shared};
use crate::frame::{self, Frame};
use crate::html::Html;
use crate::listing::Facts;
use crate::live::too_many;
use crate::logs::{self, Wanted};
use crate::page::services;
use crate::query::Query;

/// What of the query says whose logs are meant.
const PLACES: [(&str, &str); 6] = [
    ("service", "Service"),
    ("environment", "Environment"),
    ("site", "Site"),
    ("namespace", "Namespace"),
    ("pod", "Pod"),
    ("container", "Container"),
];

pub(super) async fn show(
    State(inner): Shared,
    Extension(reader): Extension<Reader>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Query::parse(query.as_deref());
    let facts = inner.facts(false);
    let (sources, more) = logs::sources(&query, &facts);
    let wanted = Wanted::of(&query);
    let (lines, problems) = logs::tail(&sources, &wanted).await;
    let follows = !sources.is_empty() && query.get("previous").is_none();
    let title = match query.get("service").or_else(|| query.get("pod")) {
        Some(name) => format!("Logs of {name}"),
        None => "Logs".to_owned(),
    };
    let frame = Frame {
        title: &title,
        section: "/logs",
        live: None,
        reader: Some(&reader.who.actor),
        session: reader.session,
        ground: &inner.ground,
        production: query
            .get("environment")
            .is_some_and(|environment| facts.world.is_production(environment)),
        version: &inner.version,
    };
    let document = frame.document(Some(&frame::data(&facts)), |html| {
        form(html, &query, &facts);
        for problem in &problems {
            html.raw("<p class=\"banner bad\">").text(problem).raw("</p>");
        }
        if more > 0 {
            html.raw("<p class=\"banner busy\">").text(&format!("{more} more containers fit; choose a pod to see theirs.")).raw("</p>");
        }
        if sources.is_empty() {
            nothing(html, &query, &facts);
            return;
        }
        html.raw("<p class=actions><span class=quiet>").text(&format!("{} lines of {} containers, newest last", lines.len(), sources.len())).raw("</span> ");
        if follows {
            html.raw("<button id=follow type=button hidden aria-pressed=false>Follow</button> <span id=skipped class=quiet></span>");
        }
        html.raw("</p><ol id=log class=log tabindex=0 aria-label=\"Log lines\"");
        if follows {
            html.attribute("data-follow", &query.href("/logs/follow"));
        }
        html.raw(">");
        for line in &lines {
            logs::write_line(html, line);
        }
        html.raw("</ol>");
        if lines.is_empty() {
            html.raw("<p class=empty>No line matches.</p>");
        }
    });
    Document(document).into_response()
}

fn form(html: &mut Html, query: &Query, facts: &Facts) {
    html.raw("<form class=filter method=get action=\"/logs\" role=search><label><span class=sr>Filter</span><input type=search name=q id=filter placeholder=\"Filter lines  /\" autocomplete=off");
    html.attribute("value", query.get("q").unwrap_or_default())
        .raw("></label>");
    let mut services: Vec<String> = services::gather(facts)
        .into_iter()
        .map(|item| item.service)
        .collect();
    services.dedup();
    services.sort();
    services.dedup();
    let environments: Vec<String> = facts
        .world
        .ordered()
        .iter()
        .map(|environment| environment.name.to_string())
        .collect();
    for (key, title, choices) in [
        ("service", "Service", services),
        ("environment", "Environment", environments),
    ] {
        html.raw("<label><span class=sr>")
            .raw(title)
            .raw("</span><select")
            .attribute("name", key)
            .raw("><option value=\"\">")
            .raw(title)
            .raw(": all</option>");
        for choice in &choices {
            html.raw("<option").attribute("value", choice);
            if query.get(key) == Some(choice) {
                html.raw(" selected");
            }
            html.raw(">").text(choice).raw("</option>");
        }
        html.raw("</select></label>");
    }
    for (key, _) in PLACES.iter().skip(2) {
        if let Some(value) = query.get(key) {
            html.raw("<input type=hidden")
                .attribute("name", key)
                .attribute("value", value)
                .raw(">");
        }
    }
    html.raw("<label class=check><input type=checkbox name=previous value=1");
    if query.get("previous").is_some() {
        html.raw(" checked");
    }
    html.raw("> previous run</label><button>Show</button> <a href=\"/logs\">Clear</a></form>");
    let chosen: Vec<String> = PLACES
        .iter()
        .skip(2)
        .filter_map(|(key, title)| Some(format!("{title} {}", query.get(key)?)))
        .collect();
    if !chosen.is_empty() {
        html.raw("<p class=quiet>")
            .text(&chosen.join(" · "))
            .raw("</p>");
    }
}

fn nothing(html: &mut Html, query: &Query, facts: &Facts) {
    let asked = PLACES.iter().any(|(key, _)| query.get(key).is_some());
    html.raw("<p class=empty>");
    if facts.sites.is_empty() {
        html.raw("No cluster is connected to this server, so there are no logs.");
    } else if asked {
        html.raw("No pod fits: it may be gone. Logs of pods that are gone are not kept.");
    } else {
        html.raw("Choose a service.");
    }
    html.raw("</p>");
}

pub(super) async fn follow(
    State(inner): Shared,
    Extension(_): Extension<Reader>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Query::parse(query.as_deref());
    let (sources, _) = logs::sources(&query, &inner.facts(false));
    match inner.views.permit() {
        Some(permit) => logs::follow(sources, &Wanted::of(&query), permit, inner.shutdown.clone()),
        None => too_many(),
    }
}
