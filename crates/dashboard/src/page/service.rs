//! One service: where it runs, why it is not well, its pods.

use foreshore_model::api::ServiceStatus;

use crate::cell::{self, Cell};
use crate::html::Html;
use crate::listing::{self, Facts};
use crate::page::{pods, services};
use crate::query::{Query, href};
use crate::view::Part;

pub(crate) fn parts(name: &str, query: &Query, facts: &Facts) -> Option<Vec<Part>> {
    let mut items: Vec<services::Item> = services::gather(facts)
        .into_iter()
        .filter(|item| item.service == name)
        .collect();
    if items.is_empty() {
        return None;
    }
    let order: Vec<&str> = facts
        .world
        .ordered()
        .iter()
        .map(|environment| environment.name.as_str())
        .collect();
    items.sort_by_key(|item| order.iter().position(|known| *known == item.environment));
    let mut parts = vec![Part::Live("places", places(&items, facts))];
    let mut heading = Html::new();
    heading.raw("<h2>Pods</h2>");
    parts.push(Part::Fixed(heading));
    let query = query.with("service", Some(name));
    // The filter form belongs to the pods page; here only the table is shown.
    parts.extend(
        listing::parts(&pods::Pods, &query, facts)
            .into_iter()
            .filter(|part| matches!(part, Part::Table(_))),
    );
    let mut more = Html::new();
    more.raw("<p class=actions>")
        .link(&href("/pods", &[("service", name)]), "Filter these pods")
        .raw(" · ");
    more.link(&href("/logs", &[("service", name)]), "Logs")
        .raw(" · ")
        .link(&href("/events", &[("q", name)]), "Events")
        .raw(" · ");
    more.link(&href("/releases", &[("service", name)]), "Releases")
        .raw("</p>");
    parts.push(Part::Fixed(more));
    Some(parts)
}

fn places(items: &[services::Item], facts: &Facts) -> Html {
    let mut html = Html::new();
    html.raw("<ul class=places>");
    for item in items {
        let (tone, word, why) = item.health();
        html.raw("<li><h2>").text(&item.environment);
        if facts.world.is_production(&item.environment) {
            html.raw(" <span class=\"badge live\">LIVE</span>");
        }
        html.raw("</h2><div>");
        cell::status(&mut html, tone, &word, &why);
        html.raw("</div>");
        for count in &item.counts {
            html.raw("<div>");
            services::count(item, count, facts).write(&mut html, facts.now);
            html.raw("</div>");
        }
        if let Some(status) = &item.release {
            release(&mut html, status, facts);
        }
        if !item.owner.is_empty() {
            html.raw("<div class=quiet>owned by ")
                .text(&item.owner)
                .raw("</div>");
        }
        html.raw("</li>");
    }
    html.raw("</ul>");
    html
}

fn release(html: &mut Html, status: &ServiceStatus, facts: &Facts) {
    let release = &status.release;
    html.raw("<div><code>")
        .text(release.artifact_id.as_str())
        .raw("</code></div><div class=quiet>no. ")
        .number(release.sequence);
    html.raw(" ")
        .text(release.intent.word())
        .raw(" by ")
        .text(&release.actor.name)
        .raw(" ")
        .age(release.at, facts.now)
        .raw("</div>");
    if !release.reason.is_empty() {
        html.raw("<div>").text(&release.reason).raw("</div>");
    }
    if let Some(hold) = &status.hold {
        html.raw("<div>");
        Cell::status(crate::cell::Tone::Busy, "held", hold.reason.as_str()).write(html, facts.now);
        html.raw(" ").text(&hold.reason).raw("</div>");
    }
    for cause in status.outcomes.iter().flat_map(|outcome| &outcome.causes) {
        html.raw("<div class=cause>");
        let place = cause
            .container
            .as_ref()
            .map_or_else(String::new, |container| format!(" container {container}"));
        html.text(&format!(
            "{}{place}: {} {}",
            cause.object, cause.reason, cause.message
        ));
        if let Some(code) = cause.exit_code {
            html.text(&format!(" (exit {code})"));
        }
        if !cause.log.is_empty() {
            html.raw("<pre tabindex=0>")
                .long_text(&cause.log.join("\n"), 8_000)
                .raw("</pre>");
        }
        html.raw("</div>");
    }
    let place = [
        ("environment", release.environment.as_str()),
        ("service", release.service.as_str()),
    ];
    html.raw("<p class=actions>").link(
        &format!("/releases/{}/{}", release.environment, release.service),
        "History",
    );
    html.raw(" ").link(&href("/logs", &place), "Logs");
    if facts.may_act {
        for (to, text, shown) in [
            ("/act/restart", "Restart", true),
            ("/act/rollback", "Roll back", release.previous.is_some()),
            ("/act/hold", "Hold", status.hold.is_none()),
            ("/act/lift", "Lift hold", status.hold.is_some()),
        ] {
            if shown {
                html.raw(" <a class=button data-ask")
                    .attribute("href", &href(to, &place));
                html.attribute(
                    "aria-label",
                    &format!("{text}: {} in {}", release.service, release.environment),
                )
                .raw(">")
                .text(text)
                .raw("</a>");
            }
        }
    }
    html.raw("</p>");
}
