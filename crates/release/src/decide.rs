//! From a wish to a commit, a request for approval, or a refusal.

use foreshore_model::config::Request;
use foreshore_model::{
    Actor, Digest, Environment, EnvironmentName, Intent, ReleaseFile, ServiceName, Verdict, yaml,
};
use jiff::Timestamp;

use crate::commit::{Commit, Decision, Proposal, Step, TRAILER_KEY, service_directory};
use crate::hold::hold_step;
use crate::refusal::Refusal;
use crate::retire::tombstone_path;
use crate::terms::{brings_back_what_was_healthy, terms};
use crate::world::{Candidate, World};

/// What somebody, or a policy, wants released.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    pub service: ServiceName,
    pub environment: EnvironmentName,
    pub artifact: Candidate,
    pub intent: Intent,
    pub actor: Actor,
    pub reason: String,
    pub key: String,
    /// Refuse unless the environment holds this now.
    pub expected: Option<Digest>,
    /// Set a hold with the release.
    pub hold: bool,
}

/// Decides about a wish.
pub fn decide(world: &World, wish: &Wish, now: Timestamp) -> Result<Decision, Refusal> {
    let environment = world.environment(&wish.environment)?;
    if wish.artifact.record.service != wish.service {
        return Err(Refusal::usage(format!(
            "artifact `{}` is of service `{}`, not of `{}`",
            wish.artifact.record.id, wish.artifact.record.service, wish.service
        )));
    }
    let place = (wish.environment.clone(), wish.service.clone());
    let current = world.releases.get(&place);
    if let Some(current) = current.filter(|current| current.artifact == wish.artifact.digest) {
        return Ok(Decision::Unchanged(Box::new(current.clone())));
    }
    check_expected(wish, current)?;
    let needed = approvals_needed(environment, world, wish);
    if needed > 0 && is_open(world, wish) {
        return propose(world, wish, current, needed, now);
    }
    if let Some(term) = terms(world, wish, now).into_iter().find(|term| !term.holds) {
        if let Intent::AutoRelease { policy } = &wish.intent
            && matches!(term.name, "hold" | "freeze")
        {
            return Ok(withheld(wish, policy, &term.words));
        }
        return Err(Refusal::by_policy(term.words).hint(format!(
            "`foreshore explain release {} -e {}` shows every condition",
            wish.service, wish.environment
        )));
    }
    if needed > 0 {
        return propose(world, wish, current, needed, now);
    }
    commit(world, wish, Vec::new(), Vec::new(), now)
}

fn check_expected(wish: &Wish, current: Option<&ReleaseFile>) -> Result<(), Refusal> {
    let Some(expected) = &wish.expected else {
        return Ok(());
    };
    match current {
        Some(current) if current.artifact == *expected => Ok(()),
        Some(current) => Err(Refusal::conflict(format!(
            "{} moved first: `{}` runs `{}` in `{}` as number {} since {}",
            current.actor.name,
            wish.service,
            current.artifact_id,
            wish.environment,
            current.sequence,
            current.at
        ))
        .hint("look with `foreshore status` and ask again")),
        None => Err(Refusal::conflict(format!(
            "`{}` has no release in `{}` any more",
            wish.service, wish.environment
        ))),
    }
}

/// Returns how many others must agree.
///
/// In an emergency nobody waits for bytes that were approved for this very environment before.
pub fn approvals_needed(environment: &Environment, world: &World, wish: &Wish) -> u32 {
    if brings_back_what_was_healthy(world, wish) {
        0
    } else {
        environment.approvals.count
    }
}

/// An arrival that people keep away is written down: once it is free again, it must not come back as news.
fn withheld(wish: &Wish, policy: &str, why: &str) -> Decision {
    let subject = format!(
        "[{}/{}] auto-release {} withheld: {why}",
        wish.environment, wish.service, wish.artifact.record.id
    );
    let mut commit = Commit::plain(subject, Vec::new(), &wish.actor, &wish.reason, &wish.key);
    commit.trailers.insert(
        0,
        ("Withheld", format!("{}/{}", wish.environment, wish.service)),
    );
    commit
        .trailers
        .insert(1, ("Artifact", wish.artifact.digest.to_string()));
    commit.trailers.insert(2, ("Policy", policy.to_owned()));
    commit.into()
}

/// Whether this very wish waits for approval already: then it is answered as before,
/// whatever is known by now. The approval looks at every condition again.
fn is_open(world: &World, wish: &Wish) -> bool {
    world
        .requests
        .get(&request_id(wish))
        .is_some_and(|request| {
            request.service == wish.service
                && request.environment == wish.environment
                && request.artifact == wish.artifact.digest
        })
}

/// Derived from the key, so that a repeated wish finds its request.
fn request_id(wish: &Wish) -> String {
    format!(
        "{}-{}-{}",
        wish.service,
        wish.environment,
        &Digest::of(wish.key.as_bytes()).hex()[..6]
    )
}

fn propose(
    world: &World,
    wish: &Wish,
    current: Option<&ReleaseFile>,
    needed: u32,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let same = |request: &&Request| {
        request.service == wish.service
            && request.environment == wish.environment
            && request.artifact == wish.artifact.digest
            && request.previous.as_ref() == current.map(|current| &current.artifact)
    };
    let open = world.requests.values().find(same).cloned();
    let unchanged = open.is_some();
    let request = open.unwrap_or_else(|| Request {
        id: request_id(wish),
        service: wish.service.clone(),
        environment: wish.environment.clone(),
        artifact: wish.artifact.digest.clone(),
        artifact_id: wish.artifact.record.id.clone(),
        from: match &wish.intent {
            Intent::Promote { from } => Some(from.clone()),
            _ => None,
        },
        previous: current.map(|current| current.artifact.clone()),
        requested_by: wish.actor.clone(),
        reason: wish.reason.clone(),
        at: now,
        approvals: Vec::new(),
    });
    let given = u32::try_from(request.approvals.len()).unwrap_or(u32::MAX);
    let release = release_file(world, wish, Vec::new(), now);
    Ok(Decision::Propose(Box::new(Proposal {
        steps: release_steps(wish, &release)?,
        needed: needed.saturating_sub(given),
        unchanged,
        actor: wish.actor.clone(),
        subject: format!(
            "[{}/{}] request {} by {}",
            wish.environment, wish.service, request.artifact_id, wish.actor.name
        ),
        trailers: vec![
            ("Request", request.id.clone()),
            ("Artifact", request.artifact.to_string()),
            ("Actor", wish.actor.to_string()),
            ("Reason", wish.reason.clone()),
            (TRAILER_KEY, wish.key.clone()),
        ],
        request,
    })))
}

/// Makes the commit of a release that nothing stands against.
pub(crate) fn commit(
    world: &World,
    wish: &Wish,
    approved_by: Vec<Actor>,
    closes: Vec<String>,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let mut release = release_file(world, wish, approved_by, now);
    release.verdicts = rested_on(world, wish);
    let mut steps = release_steps(wish, &release)?;
    let place = (wish.environment.clone(), wish.service.clone());
    if world.tombstones.contains_key(&place) {
        steps.push(Step::Remove {
            path: tombstone_path(&place),
        });
    }
    let mut hold = None;
    if wish.hold {
        let (step, made) = hold_step(
            &wish.environment,
            &wish.service,
            &wish.actor,
            &hold_reason(wish),
            now,
        )?;
        steps.push(step);
        hold = Some(made);
    }
    Ok(Decision::Commit(Box::new(Commit {
        steps,
        actor: wish.actor.clone(),
        subject: format!(
            "[{}/{}] {} {} by {}",
            wish.environment,
            wish.service,
            wish.intent.word(),
            release.artifact_id,
            wish.actor.name
        ),
        trailers: trailers(wish, &release),
        release: Some(release),
        hold,
        closes,
    })))
}

fn release_file(
    world: &World,
    wish: &Wish,
    approved_by: Vec<Actor>,
    now: Timestamp,
) -> ReleaseFile {
    let place = (wish.environment.clone(), wish.service.clone());
    ReleaseFile {
        service: wish.service.clone(),
        environment: wish.environment.clone(),
        sequence: world.next_sequence(&place),
        artifact: wish.artifact.digest.clone(),
        artifact_id: wish.artifact.record.id.clone(),
        intent: wish.intent.clone(),
        actor: wish.actor.clone(),
        reason: wish.reason.clone(),
        at: now,
        previous: world
            .releases
            .get(&place)
            .map(|current| current.artifact.clone()),
        approved_by,
        verdicts: Vec::new(),
    }
}

/// The verdicts on this artifact that were known when it was decided.
fn rested_on(world: &World, wish: &Wish) -> Vec<Verdict> {
    let known = world
        .verdicts
        .iter()
        .filter(|((_, service), _)| *service == wish.service)
        .flat_map(|(_, verdicts)| verdicts);
    known
        .filter(|verdict| verdict.artifact == wish.artifact.digest)
        .cloned()
        .collect()
}

fn hold_reason(wish: &Wish) -> String {
    if wish.reason.is_empty() {
        format!("rolled back to {}", wish.artifact.record.id)
    } else {
        wish.reason.clone()
    }
}

fn release_steps(wish: &Wish, release: &ReleaseFile) -> Result<Vec<Step>, Refusal> {
    let directory = service_directory(&wish.environment, &wish.service);
    let unwritable = |error: yaml::WriteError| Refusal::usage(error.to_string());
    // What the new artifact no longer has must go, so the directory is made anew.
    let mut steps = vec![Step::RemoveTree {
        path: format!("{directory}/manifests"),
    }];
    for (file, text) in wish
        .artifact
        .record
        .manifests
        .get(&wish.environment)
        .into_iter()
        .flatten()
    {
        steps.push(Step::Write {
            path: format!("{directory}/manifests/{file}"),
            text: text.clone(),
        });
    }
    steps.extend(check_steps(wish, &directory)?);
    let text = yaml::write(release).map_err(unwritable)?;
    steps.push(Step::Write {
        path: format!("{directory}/release.yaml"),
        text,
    });
    Ok(steps)
}

/// What the agent runs once the release is healthy travels with the released bytes.
fn check_steps(wish: &Wish, directory: &str) -> Result<Vec<Step>, Refusal> {
    let mut steps = vec![Step::RemoveTree {
        path: format!("{directory}/checks"),
    }];
    let checks = wish.artifact.record.checks.iter();
    for check in checks.filter(|check| check.is_for(&wish.environment)) {
        let text = yaml::write(check).map_err(|error| Refusal::usage(error.to_string()))?;
        steps.push(Step::Write {
            path: format!("{directory}/checks/{}.yaml", check.name),
            text,
        });
    }
    Ok(steps)
}

fn trailers(wish: &Wish, release: &ReleaseFile) -> Vec<(&'static str, String)> {
    let mut trailers = vec![
        (
            "Release",
            format!(
                "{}/{}/{}",
                release.environment, release.service, release.sequence
            ),
        ),
        ("Artifact", release.artifact.to_string()),
        ("Artifact-Id", release.artifact_id.to_string()),
        ("Intent", release.intent.word().to_owned()),
        ("Actor", release.actor.to_string()),
        ("Reason", release.reason.clone()),
    ];
    if let Some(previous) = &release.previous {
        trailers.push(("Previous", previous.to_string()));
    }
    trailers.extend(
        release
            .approved_by
            .iter()
            .map(|actor| ("Approved-By", actor.to_string())),
    );
    trailers.push((TRAILER_KEY, wish.key.clone()));
    trailers
}

#[cfg(test)]
pub(crate) mod tests;
