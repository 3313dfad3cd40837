//! The releases page: which version is where, what waits, and the buttons to move it on.

use std::collections::{BTreeMap, BTreeSet};

use foreshore_model::Environment;
use foreshore_model::api::ServiceStatus;
use foreshore_model::config::Request;

use crate::cell::{self, Tone};
use crate::html::Html;
use crate::listing::{self, Facts, contains};
use crate::page::services;
use crate::query::{Query, href};
use crate::view::{Part, TableView};
use crate::world::World;

pub(crate) fn parts(query: &Query, facts: &Facts) -> Vec<Part> {
    let world = &facts.world;
    let environments = world.ordered();
    let words = query.words();
    let names: BTreeSet<&str> = world
        .status
        .services
        .iter()
        .map(|row| row.service.as_str())
        .collect();
    let all = names.len();
    let only = query.get("service");
    let names: Vec<&str> = names
        .into_iter()
        .filter(|name| {
            words.iter().all(|word| contains(name, word)) && only.is_none_or(|only| only == *name)
        })
        .collect();
    let size = query.size();
    let pages = names.len().div_ceil(size).max(1);
    let page = query.page().min(pages);
    let tones = tones(facts);
    let rows = names.iter().skip((page - 1) * size).take(size);
    let rows = rows
        .map(|name| ((*name).to_owned(), row(name, &environments, &tones, facts)))
        .collect();
    vec![
        Part::Live("waiting", waiting(facts)),
        Part::Live("banners", banners(facts)),
        Part::Fixed(filter(query)),
        Part::Table(TableView {
            id: "rows",
            head: head(&environments),
            rows,
            empty: if all > 0 {
                "Nothing matches the filter."
            } else {
                "Nothing is released yet. In a service's repository, run: foreshore run build"
            }
            .to_owned(),
        }),
        Part::Live("foot", foot(query, (page, pages), (names.len(), all))),
    ]
}

/// Health of each service in each environment, cluster included.
fn tones(facts: &Facts) -> BTreeMap<(String, String), (Tone, String)> {
    let items = services::gather(facts).into_iter().map(|item| {
        let (tone, word, _) = item.health();
        ((item.environment, item.service), (tone, word))
    });
    items.collect()
}

fn head(environments: &[&Environment]) -> Html {
    let mut html = Html::new();
    html.raw("<th scope=col>Service</th>");
    for environment in environments {
        html.raw("<th scope=col>").text(environment.name.as_str());
        if environment.production {
            html.raw(" <span class=\"badge live\">LIVE</span>");
        }
        html.raw("</th>");
    }
    html
}

fn row(
    name: &str,
    environments: &[&Environment],
    tones: &BTreeMap<(String, String), (Tone, String)>,
    facts: &Facts,
) -> Html {
    let mut html = Html::new();
    html.raw("<th scope=row data-label=Service>")
        .link(&format!("/services/{name}"), name)
        .raw("</th>");
    for environment in environments {
        html.raw("<td")
            .attribute("data-label", environment.name.as_str())
            .raw(">");
        match facts.world.release(environment.name.as_str(), name) {
            Some(status) => place(&mut html, status, tones, facts),
            None => {
                html.raw("<span class=quiet>not here</span> ");
            }
        }
        if facts.may_act {
            promote_button(&mut html, name, environment, &facts.world);
        }
        html.raw("</td>");
    }
    html
}

fn place(
    html: &mut Html,
    status: &ServiceStatus,
    tones: &BTreeMap<(String, String), (Tone, String)>,
    facts: &Facts,
) {
    let release = &status.release;
    let key = (release.environment.to_string(), release.service.to_string());
    let (tone, word) = tones
        .get(&key)
        .cloned()
        .unwrap_or_else(|| (Tone::Unknown, status.health().to_owned()));
    html.raw("<div>");
    cell::status(html, tone, &word, "");
    html.raw(" <code>")
        .text(release.artifact_id.as_str())
        .raw("</code></div><div class=quiet>");
    html.link(
        &format!("/releases/{}/{}", release.environment, release.service),
        &format!("no. {}", release.sequence),
    );
    html.raw(" ")
        .text(release.intent.word())
        .raw(" by ")
        .text(&release.actor.name)
        .raw(" ")
        .age(release.at, facts.now);
    html.raw("</div>");
    if let Some(hold) = &status.hold {
        html.raw("<div>");
        cell::status(html, Tone::Busy, "held", &hold.reason);
        html.raw(" <span class=quiet>")
            .text(&hold.reason)
            .raw("</span></div>");
    }
    if facts.may_act && release.previous.is_some() {
        let place = [
            ("environment", release.environment.as_str()),
            ("service", release.service.as_str()),
        ];
        html.raw("<a class=button data-ask")
            .attribute("href", &href("/act/rollback", &place));
        html.attribute(
            "aria-label",
            &format!("Roll back {} in {}", release.service, release.environment),
        )
        .raw(">Roll back</a> ");
    }
}

/// Shown where the source of promotion holds something else.
fn promote_button(html: &mut Html, service: &str, environment: &Environment, world: &World) {
    let Some(source) = &environment.promotes_from else {
        return;
    };
    let Some(there) = world.release(source.as_str(), service) else {
        return;
    };
    let here = world.release(environment.name.as_str(), service);
    if here.is_some_and(|here| here.release.artifact == there.release.artifact) {
        return;
    }
    let place = [
        ("environment", environment.name.as_str()),
        ("service", service),
    ];
    if here.is_some() {
        cell::status(
            html,
            Tone::Busy,
            "differs",
            &format!("{source} holds {}", there.release.artifact_id),
        );
        html.raw(" ");
    }
    html.raw("<a class=\"button primary\" data-ask")
        .attribute("href", &href("/act/promote", &place));
    html.attribute(
        "aria-label",
        &format!("Promote {service} from {source} to {}", environment.name),
    )
    .raw(">Promote</a>");
}

/// Requests that wait for somebody's agreement.
pub(crate) fn waiting(facts: &Facts) -> Html {
    let mut html = Html::new();
    let requests = &facts.world.status.requests;
    if requests.is_empty() {
        return html;
    }
    html.raw("<h2>Waiting for approval</h2><ul class=cards>");
    for request in requests {
        html.raw("<li>");
        words(&mut html, request, facts);
        if facts.may_act {
            html.raw(" <a class=\"button primary\" data-ask")
                .attribute("href", &href("/act/approve", &[("request", &request.id)]));
            html.attribute(
                "aria-label",
                &format!("Approve {} to {}", request.service, request.environment),
            )
            .raw(">Approve</a>");
        }
        html.raw("</li>");
    }
    html.raw("</ul>");
    html
}

fn words(html: &mut Html, request: &Request, facts: &Facts) {
    cell::status(html, Tone::Busy, "waits", "");
    html.raw(" <strong>")
        .text(request.service.as_str())
        .raw("</strong> <code>")
        .text(request.artifact_id.as_str());
    html.raw("</code> to <strong>")
        .text(request.environment.as_str())
        .raw("</strong>, asked by ")
        .text(&request.requested_by.name)
        .raw(" ")
        .age(request.at, facts.now);
    if !request.reason.is_empty() {
        html.raw(": ").text(&request.reason);
    }
    if !request.approvals.is_empty() {
        let names: Vec<&str> = request
            .approvals
            .iter()
            .map(|approval| approval.actor.name.as_str())
            .collect();
        html.raw(" <span class=quiet>agreed: ")
            .text(&names.join(", "))
            .raw("</span>");
    }
}

fn banners(facts: &Facts) -> Html {
    let mut html = Html::new();
    for row in facts.world.freezes.iter().filter(|row| row.open) {
        html.raw("<p class=\"banner busy\">");
        cell::status(&mut html, Tone::Busy, "Freeze", "");
        html.raw(" ")
            .text(row.name.as_str())
            .raw(": ")
            .text(&row.freeze.changed.reason);
        let names: Vec<&str> = row
            .freeze
            .environments
            .iter()
            .map(foreshore_model::EnvironmentName::as_str)
            .collect();
        html.raw(" <span class=quiet>(")
            .text(&if names.is_empty() {
                "everywhere".to_owned()
            } else {
                names.join(", ")
            })
            .raw(")</span></p>");
    }
    let pinned: Vec<&ServiceStatus> = facts
        .world
        .status
        .services
        .iter()
        .filter(|status| status.hold.is_some())
        .collect();
    for status in pinned {
        let Some(hold) = &status.hold else { continue };
        html.raw("<p class=\"banner busy\">");
        cell::status(&mut html, Tone::Busy, "Hold", "");
        html.raw(" ")
            .text(status.service.as_str())
            .raw(" in ")
            .text(status.environment.as_str());
        html.raw(" stays as it is: ")
            .text(&hold.reason)
            .raw(" <span class=quiet>(")
            .text(&hold.actor.name)
            .raw(" ")
            .age(hold.at, facts.now)
            .raw(")</span>");
        if facts.may_act {
            let place = [
                ("environment", status.environment.as_str()),
                ("service", status.service.as_str()),
            ];
            html.raw(" <a class=button data-ask")
                .attribute("href", &href("/act/lift", &place))
                .raw(">Lift</a>");
        }
        html.raw("</p>");
    }
    html
}

fn filter(query: &Query) -> Html {
    let mut html = Html::new();
    html.raw("<form class=filter method=get action=/releases role=search><label><span class=sr>Filter</span><input type=search name=q id=filter placeholder=\"Filter  /\" autocomplete=off");
    html.attribute("value", query.get("q").unwrap_or_default())
        .raw("></label><button>Filter</button>");
    if query.get("q").is_some() || query.get("service").is_some() {
        html.raw(" <a href=/releases>Clear</a>");
    }
    html.raw("</form>");
    html
}

fn foot(query: &Query, (page, pages): (usize, usize), (found, all): (usize, usize)) -> Html {
    let mut html = Html::new();
    html.raw("<span>")
        .text(&format!("{found} of {all} services"));
    html.raw("</span>");
    listing::pager(&mut html, "/releases", query, (page, pages));
    // The same as a flat list; a matrix is not what spreadsheets and programs want.
    listing::exports(&mut html, "/services", query);
    html
}
