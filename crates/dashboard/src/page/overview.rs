//! The first page: is anything broken, since when, and what changed.

use std::collections::BTreeMap;

use foreshore_model::api::ServiceStatus;
use jiff::Timestamp;

use crate::cell::{self, Tone};
use crate::html::Html;
use crate::listing::Facts;
use crate::page::{checks, nodes, releases, services};
use crate::query::href;
use crate::site::Site;
use crate::view::Part;

/// Newest releases that are shown.
const CHANGES: usize = 10;
/// Problems that are listed one by one.
const PROBLEMS: usize = 12;
/// An agent reports at least this often while it lives, in seconds.
const WARNING_RECENT: i64 = 600;

pub(crate) fn parts(facts: &Facts) -> Vec<Part> {
    let items = services::gather(facts);
    vec![
        Part::Live("verdict", verdict(&items, facts)),
        Part::Live("counts", counts(facts)),
        Part::Live("waiting", releases::waiting(facts)),
        Part::Live("strip", strip(&items, facts)),
        Part::Live("changes", changes(facts)),
    ]
}

/// One thing that is wrong.
struct Problem {
    tone: Tone,
    word: String,
    text: String,
    since: Option<Timestamp>,
    to: String,
}

fn problems(items: &[services::Item], facts: &Facts) -> Vec<Problem> {
    let mut problems = Vec::new();
    for site in &facts.sites {
        cluster_problems(site, facts, &mut problems);
    }
    if let Some((since, why)) = &facts.world.lost {
        problems.push(Problem {
            tone: Tone::Bad,
            word: "no answer".into(),
            text: format!("the server does not tell what is released: {why}"),
            since: Some(*since),
            to: "/releases".into(),
        });
    }
    for item in items {
        let (tone, word, why) = item.health();
        if tone != Tone::Bad {
            continue;
        }
        let outcomes = item.release.iter().flat_map(|release| &release.outcomes);
        let place = format!("{} in {}", item.service, item.environment);
        problems.push(Problem {
            tone,
            word,
            text: if why.is_empty() {
                place
            } else {
                format!("{place}: {why}")
            },
            since: outcomes.map(|outcome| outcome.at).max(),
            to: item.path(),
        });
    }
    problems
}

fn cluster_problems(site: &Site, facts: &Facts, problems: &mut Vec<Problem>) {
    if let Some((since, why)) = site.contact().lost {
        problems.push(Problem {
            tone: Tone::Bad,
            word: "cluster gone".into(),
            text: format!("{} does not answer, its data is old: {why}", site.name),
            since: Some(since),
            to: "/checks".into(),
        });
    }
    let kinds = site.kinds();
    for node in kinds.nodes.values() {
        let (tone, word) = nodes::state(node);
        let heartbeat = kinds.heartbeat(node);
        let silent = heartbeat.is_some_and(|at| nodes::HEARTBEAT.tone(at, facts.now) == Tone::Bad);
        if tone == Tone::Bad || silent {
            problems.push(Problem {
                tone: Tone::Bad,
                word: if silent {
                    "node silent".into()
                } else {
                    format!("node {word}")
                },
                text: format!("{} {} {}", node.name, node.reason, node.message),
                since: heartbeat,
                to: href("/nodes", &[("q", &node.name)]),
            });
        }
    }
}

fn verdict(items: &[services::Item], facts: &Facts) -> Html {
    let mut html = Html::new();
    let problems = problems(items, facts);
    let busy = items
        .iter()
        .filter(|item| item.health().0 == Tone::Busy)
        .count();
    html.raw("<p class=verdict>");
    let nothing = items.is_empty() && facts.sites.is_empty();
    match (problems.len(), busy) {
        (0, _) if nothing => cell::status(
            &mut html,
            Tone::Unknown,
            "Nothing is released, and no cluster is connected yet.",
            "",
        ),
        (0, 0) => cell::status(&mut html, Tone::Good, "Nothing is broken.", ""),
        (0, busy) => cell::status(
            &mut html,
            Tone::Busy,
            &format!("Nothing is broken; {busy} on the way."),
            "",
        ),
        (1, _) => cell::status(&mut html, Tone::Bad, "One thing is broken.", ""),
        (count, _) => cell::status(
            &mut html,
            Tone::Bad,
            &format!("{count} things are broken."),
            "",
        ),
    }
    html.raw("</p>");
    if problems.is_empty() {
        return html;
    }
    html.raw("<ul class=problems>");
    for problem in problems.iter().take(PROBLEMS) {
        html.raw("<li>");
        cell::status(&mut html, problem.tone, &problem.word, "");
        html.raw(" ").link(&problem.to, &problem.text);
        if let Some(since) = problem.since {
            html.raw(" <span class=quiet>since ")
                .age(since, facts.now)
                .raw("</span>");
        }
        html.raw("</li>");
    }
    html.raw("</ul>");
    if problems.len() > PROBLEMS {
        html.raw("<p class=quiet>and ")
            .number(problems.len() - PROBLEMS)
            .raw(" more: <a href=/checks>all checks</a></p>");
    }
    html
}

/// The figures of the first page, each a link to what it counts.
fn counts(facts: &Facts) -> Html {
    let mut nodes_ready = (0, 0);
    let mut tones: BTreeMap<Tone, usize> = BTreeMap::new();
    let mut warnings = 0;
    for site in &facts.sites {
        let kinds = site.kinds();
        nodes_ready.1 += kinds.nodes.len();
        nodes_ready.0 += kinds
            .nodes
            .values()
            .filter(|node| nodes::state(node).0 == Tone::Good)
            .count();
        for pod in kinds.pods.values() {
            *tones.entry(pod.tone).or_default() += 1;
        }
        warnings += kinds
            .events
            .causes()
            .filter(|(_, cause)| {
                cause.warning && crate::age::seconds(cause.last, facts.now) < WARNING_RECENT
            })
            .count();
    }
    let tone = |tone| tones.get(&tone).copied().unwrap_or(0);
    let pods: usize = tones.values().sum();
    let (passing, failing) = checks::counts(&checks::gather(facts));
    let mut html = Html::new();
    html.raw("<ul class=counts>");
    let mut figure = |to: &str, word: &str, figure: String, worst: Tone, detail: String| {
        html.raw("<li><a")
            .attribute("href", to)
            .raw("><span class=figure>")
            .text(&figure)
            .raw("</span> <span>")
            .text(word)
            .raw("</span>");
        html.raw("<span class=\"mark ")
            .raw(worst.class())
            .raw("\">")
            .text(&detail)
            .raw("</span></a></li>");
    };
    let trouble = |bad: usize| if bad > 0 { Tone::Bad } else { Tone::Good };
    let released = facts.world.status.services.len();
    figure(
        "/services",
        "releases",
        released.to_string(),
        Tone::Quiet,
        format!("{} environments", facts.world.environments.len()),
    );
    figure(
        "/pods",
        "pods",
        pods.to_string(),
        trouble(tone(Tone::Bad)),
        format!("{} failing, {} waiting", tone(Tone::Bad), tone(Tone::Busy)),
    );
    figure(
        "/nodes",
        "nodes",
        format!("{}/{}", nodes_ready.0, nodes_ready.1),
        trouble(nodes_ready.1 - nodes_ready.0),
        "ready".to_owned(),
    );
    figure(
        "/checks",
        "checks",
        format!("{passing}/{}", passing + failing),
        trouble(failing),
        format!("{failing} failing"),
    );
    figure(
        "/events?type=warning",
        "warnings",
        warnings.to_string(),
        if warnings > 0 { Tone::Busy } else { Tone::Good },
        "last 10 minutes".to_owned(),
    );
    html.raw("</ul>");
    html
}

/// One small square per service and environment.
fn strip(items: &[services::Item], facts: &Facts) -> Html {
    let mut html = Html::new();
    if items.is_empty() {
        return html;
    }
    html.raw("<h2>Services</h2><dl class=strip>");
    let mut order: Vec<String> = facts
        .world
        .ordered()
        .iter()
        .map(|environment| environment.name.to_string())
        .collect();
    for item in items {
        if !order.contains(&item.environment) {
            order.push(item.environment.clone());
        }
    }
    for environment in &order {
        let own: Vec<&services::Item> = items
            .iter()
            .filter(|item| item.environment == *environment)
            .collect();
        if own.is_empty() {
            continue;
        }
        html.raw("<dt>").link(
            &href("/services", &[("environment", environment)]),
            environment,
        );
        if facts.world.is_production(environment) {
            html.raw(" <span class=\"badge live\">LIVE</span>");
        }
        html.raw("</dt><dd>");
        for item in own {
            let (tone, word, _) = item.health();
            html.raw("<a class=\"square ")
                .raw(tone.class())
                .raw("\"")
                .attribute("href", &item.path());
            let words = format!("{} in {}: {word}", item.service, item.environment);
            html.attribute("title", &words)
                .attribute("aria-label", &words)
                .raw("></a>");
        }
        html.raw("</dd>");
    }
    html.raw("</dl>");
    html
}

fn changes(facts: &Facts) -> Html {
    let mut html = Html::new();
    let mut newest: Vec<&ServiceStatus> = facts.world.status.services.iter().collect();
    newest.sort_by_key(|status| std::cmp::Reverse(status.release.at));
    if newest.is_empty() {
        html.raw("<h2>Changes</h2><p class=empty>Nothing is released yet. In a service's repository, run: <code>foreshore run build</code></p>");
        return html;
    }
    html.raw("<h2>Newest releases</h2><div class=scroll tabindex=0 role=region aria-label=\"Newest releases\"><table><thead><tr><th scope=col>When</th><th scope=col>Service</th><th scope=col>Env</th><th scope=col>What</th><th scope=col>By</th><th scope=col>Health</th><th scope=col>Why</th></tr></thead><tbody>");
    for status in newest.into_iter().take(CHANGES) {
        let release = &status.release;
        html.raw("<tr><td class=number data-label=When>")
            .age(release.at, facts.now);
        html.raw("</td><th scope=row data-label=Service>").link(
            &format!("/services/{}", release.service),
            release.service.as_str(),
        );
        html.raw("</th><td data-label=Env>")
            .text(release.environment.as_str());
        html.raw("</td><td data-label=What>")
            .text(release.intent.word())
            .raw(" <code>")
            .text(release.artifact_id.as_str());
        html.raw("</code></td><td data-label=By>")
            .text(&release.actor.name)
            .raw("</td><td data-label=Health>");
        let word = status.health();
        let tone = match word {
            "healthy" => Tone::Good,
            "failed" | "degraded" => Tone::Bad,
            _ => Tone::Busy,
        };
        cell::status(&mut html, tone, word, "");
        html.raw("</td><td class=wide data-label=Why>")
            .text(&release.reason)
            .raw("</td></tr>");
    }
    html.raw("</tbody></table></div><p><a href=/audit>All changes</a></p>");
    html
}
