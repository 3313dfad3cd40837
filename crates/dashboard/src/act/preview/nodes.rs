//! What a cordon or a drain of a node would do.

use foreshore_model::api::Problem;

use super::{Preview, not_found};
use crate::act::{Deed, drain};
use crate::cell::Tone;
use crate::listing::Facts;

pub(super) fn cordon(
    deed: &Deed,
    facts: &Facts,
    site: &str,
    node: &str,
) -> Result<Preview, Problem> {
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

pub(super) fn drain(facts: &Facts, site: &str, node: &str) -> Result<Preview, Problem> {
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
