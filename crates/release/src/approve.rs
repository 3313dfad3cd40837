//! Agreeing to a request; the last needed agreement releases it.

use foreshore_model::config::{Approval, Request};
use foreshore_model::{Actor, Environment, Intent, nearest};
use jiff::Timestamp;

use crate::commit::{Decision, Proposal, TRAILER_KEY};
use crate::decide::{Wish, commit};
use crate::refusal::Refusal;
use crate::terms::terms;
use crate::world::{Candidate, World};

/// Decides what becomes of request `id` when `actor` agrees to it.
///
/// Everything is judged again as the world is now: a policy or a hold may have
/// come since the request was made.
pub fn approve(
    world: &World,
    id: &str,
    actor: &Actor,
    candidate: Candidate,
    key: &str,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let request = world
        .requests
        .get(id)
        .ok_or_else(|| unknown_request(world, id))?;
    let environment = world.environment(&request.environment)?;
    check_approver(request, environment, actor)?;
    let current = world
        .releases
        .get(&(request.environment.clone(), request.service.clone()));
    if current.map(|current| &current.artifact) != request.previous.as_ref() {
        let now_runs = current.map_or_else(
            || "nothing".to_owned(),
            |current| {
                format!(
                    "`{}`, released by {}",
                    current.artifact_id, current.actor.name
                )
            },
        );
        return Err(Refusal::conflict(format!(
            "since `{id}` was made `{}` has moved on: it runs {now_runs}",
            request.environment
        ))
        .hint("ask again with `foreshore promote`"));
    }
    let wish = granted(request, candidate, key);
    if wish.artifact.digest != request.artifact {
        return Err(Refusal::usage(format!(
            "request `{id}` is for another artifact"
        )));
    }
    if let Some(term) = terms(world, &wish, now)
        .into_iter()
        .find(|term| !term.holds)
    {
        return Err(Refusal::by_policy(term.words));
    }
    let mut request = request.clone();
    if !request
        .approvals
        .iter()
        .any(|approval| approval.actor.name == actor.name)
    {
        request.approvals.push(Approval {
            actor: actor.clone(),
            at: now,
        });
    }
    let given = u32::try_from(request.approvals.len()).unwrap_or(u32::MAX);
    let needed = environment.approvals.count.saturating_sub(given);
    if needed > 0 {
        return Ok(record(request, needed, actor, key));
    }
    let approved_by = request
        .approvals
        .iter()
        .map(|approval| approval.actor.clone())
        .collect();
    commit(world, &wish, approved_by, vec![id.to_owned()], now)
}

/// Only another person, and one of those whom the environment names, may agree.
fn check_approver(
    request: &Request,
    environment: &Environment,
    actor: &Actor,
) -> Result<(), Refusal> {
    if request.requested_by.name == actor.name {
        return Err(Refusal::by_policy(format!(
            "`{}` asked for `{}`, so another person must approve it",
            actor.name, request.id
        )));
    }
    let allowed = &environment.approvals.by;
    if allowed.is_empty() || allowed.contains(&actor.name) {
        return Ok(());
    }
    Err(Refusal::by_policy(format!(
        "`{}` may not approve releases to `{}`",
        actor.name, environment.name
    ))
    .hint(format!("allowed are: {}", allowed.join(", "))))
}

/// Says that a request is not there, with the nearest one that is.
pub fn unknown_request(world: &World, id: &str) -> Refusal {
    let refusal = Refusal::not_found(format!("there is no open request `{id}`"));
    match nearest(id, world.requests.keys().map(String::as_str)) {
        Some(near) => refusal.hint(format!("did you mean `{near}`?")),
        None => refusal.hint("open requests are in `foreshore status`"),
    }
}

/// Returns the wish that a request stands for.
pub fn granted(request: &Request, artifact: Candidate, key: &str) -> Wish {
    Wish {
        service: request.service.clone(),
        environment: request.environment.clone(),
        artifact,
        intent: request
            .from
            .clone()
            .map_or(Intent::Release, |from| Intent::Promote { from }),
        actor: request.requested_by.clone(),
        reason: request.reason.clone(),
        key: key.to_owned(),
        expected: None,
        hold: false,
    }
}

fn record(request: Request, needed: u32, actor: &Actor, key: &str) -> Decision {
    Decision::Propose(Box::new(Proposal {
        steps: Vec::new(),
        needed,
        unchanged: false,
        actor: actor.clone(),
        subject: format!(
            "[{}/{}] approve {} by {}",
            request.environment, request.service, request.artifact_id, actor.name
        ),
        trailers: vec![
            ("Request", request.id.clone()),
            ("Artifact", request.artifact.to_string()),
            ("Actor", actor.to_string()),
            (TRAILER_KEY, key.to_owned()),
        ],
        request,
    }))
}

#[cfg(test)]
mod tests;
