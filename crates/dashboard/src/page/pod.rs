//! One pod: its containers, why they are not well, and what can be done.

use crate::cell::{self, Cell, Tone};
use crate::html::Html;
use crate::listing::Facts;
use crate::page::{cpu, memory, pods};
use crate::project::pod::Pod;
use crate::query::href;
use crate::view::Part;

pub(crate) fn parts(site: &str, namespace: &str, name: &str, facts: &Facts) -> Option<Vec<Part>> {
    let found = facts
        .sites
        .iter()
        .find(|known| known.name.as_str() == site)?;
    let kinds = found.kinds();
    let pod = kinds.pods.get(&format!("{namespace}/{name}"))?;
    let (service, environment) = kinds.place_of(pod);
    let mut facts_list = Html::new();
    facts_list.raw("<dl class=facts>");
    let mut fact = |title: &'static str, cell: &Cell| {
        facts_list.raw("<div><dt>").raw(title).raw("</dt><dd>");
        cell.write(&mut facts_list, facts.now);
        facts_list.raw("</dd></div>");
    };
    fact("Status", &Cell::status(pod.tone, pod.word.as_str(), ""));
    if !pod.message.is_empty() {
        fact("Why", &Cell::text(pod.message.as_str()));
    }
    if let Some(service) = &service {
        fact(
            "Service",
            &Cell::link(format!("/services/{service}"), service.as_str()),
        );
    }
    if let Some(environment) = environment {
        fact("Environment", &Cell::Text(environment));
    }
    fact(
        "Namespace",
        &Cell::link(href("/pods", &[("namespace", namespace)]), namespace),
    );
    if let Some((kind, owner)) = &pod.controller {
        fact("Made by", &Cell::Text(format!("{kind} {owner}")));
    }
    fact("Node", &pods::node_link(pod));
    fact("Address", &Cell::Code(pod.address.clone()));
    fact(
        "Requests",
        &Cell::Text(format!(
            "CPU {}, memory {}",
            cpu(pod.cpu_millis),
            memory(pod.memory_bytes)
        )),
    );
    let taken = kinds.taken_by(pod);
    fact("CPU", &pods::cpu_bar(pod, taken));
    fact("Memory", &pods::memory_bar(pod, taken));
    fact("Site", &Cell::text(site));
    fact("Age", &Cell::age(pod.created));
    facts_list.raw("</dl>");
    Some(vec![
        Part::Live("facts", facts_list),
        Part::Live("containers", containers(pod, facts)),
        Part::Live("actions", actions(site, pod, facts)),
    ])
}

fn containers(pod: &Pod, facts: &Facts) -> Html {
    let mut html = Html::new();
    html.raw("<h2>Containers</h2><div class=scroll tabindex=0 role=region aria-label=Containers><table><thead><tr><th scope=col>Name</th><th scope=col>State</th><th scope=col>Own check</th><th scope=col class=number>Restarts</th><th scope=col>Last exit</th><th scope=col>Image</th></tr></thead><tbody>");
    for container in &pod.containers {
        let tone = match (container.ready, container.running) {
            (true, _) => Tone::Good,
            (false, true) => Tone::Busy,
            (false, false) => pod.tone.min(Tone::Unknown),
        };
        html.raw("<tr><th scope=row>")
            .text(&container.name)
            .raw("</th><td>");
        cell::status(&mut html, tone, &container.word, "");
        if !container.message.is_empty() {
            html.raw("<div class=quiet>")
                .text(&container.message)
                .raw("</div>");
        }
        html.raw("</td><td>");
        match &container.probe {
            Some(probe) => {
                let (tone, word) = if container.ready {
                    (Tone::Good, "OK")
                } else {
                    (Tone::Bad, "failing")
                };
                cell::status(&mut html, tone, word, "");
                html.raw("<div class=quiet>").text(probe).raw("</div>");
            }
            None => {
                html.raw("<span class=quiet>N/A</span>");
            }
        }
        html.raw("</td><td class=number>")
            .number(container.restarts)
            .raw("</td><td>");
        if let Some(exit) = &container.last_exit {
            html.text(&format!("{} (exit {})", exit.reason, exit.code));
            if let Some(at) = exit.at {
                html.raw(" ").age(at, facts.now);
            }
        }
        html.raw("</td><td><code>")
            .text(&container.image)
            .raw("</code></td></tr>");
    }
    html.raw("</tbody></table></div>");
    html
}

fn actions(site: &str, pod: &Pod, facts: &Facts) -> Html {
    let mut html = Html::new();
    let place = [
        ("site", site),
        ("namespace", &pod.namespace),
        ("pod", &pod.name),
    ];
    html.raw("<p class=actions><a class=button")
        .attribute("href", &href("/logs", &place))
        .raw(">Logs</a> ");
    html.raw("<a class=button")
        .attribute("href", &href("/events", &[("q", &pod.name)]))
        .raw(">Events</a> ");
    if facts.may_act && pod.controller.is_some() && !pod.terminating {
        html.raw("<a class=button data-ask")
            .attribute("href", &href("/act/restart-pod", &place))
            .raw(">Restart</a>");
    }
    html.raw("</p>");
    html
}
