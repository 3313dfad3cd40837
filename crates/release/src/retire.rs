//! The end of a service in an environment, and the consent to take away what keeps data.

use foreshore_model::{Actor, Removals, Tombstone, yaml};
use jiff::Timestamp;

use crate::commit::{Commit, Decision, Step, service_directory};
use crate::refusal::Refusal;
use crate::world::{Place, World};

/// Who ends what, and why.
#[derive(Debug, Clone)]
pub struct Retirement {
    pub place: Place,
    pub actor: Actor,
    pub reason: String,
    pub key: String,
    /// Objects that keep data and may go all the same.
    pub confirmed: Vec<String>,
}

/// Decides about the end of a service: its folder goes, a tombstone says that this is meant.
pub fn retire(world: &World, wish: &Retirement, now: Timestamp) -> Result<Decision, Refusal> {
    let (environment, service) = &wish.place;
    let current = world.release(environment, service)?;
    if wish.reason.trim().is_empty() {
        return Err(
            Refusal::usage("retiring a service needs a reason").hint("give one with --reason")
        );
    }
    let tombstone = tombstone(world, wish, now)?;
    let text = yaml::write(&tombstone).map_err(|error| Refusal::usage(error.to_string()))?;
    let mut steps = vec![
        Step::RemoveTree {
            path: service_directory(environment, service),
        },
        Step::Write {
            path: tombstone_path(&wish.place),
            text,
        },
    ];
    if world.holds.contains_key(&wish.place) {
        steps.push(Step::Remove {
            path: format!("holds/{environment}/{service}.yaml"),
        });
    }
    let subject = format!(
        "[{environment}/{service}] retire {} by {}",
        current.artifact_id, wish.actor.name
    );
    let mut commit = Commit::plain(subject, steps, &wish.actor, &wish.reason, &wish.key);
    commit.trailers.insert(
        0,
        (
            "Retired",
            format!("{environment}/{service}/{}", current.sequence),
        ),
    );
    commit.closes = world
        .requests
        .values()
        .filter(|request| (&request.environment, &request.service) == (environment, service))
        .map(|request| request.id.clone())
        .collect();
    Ok(commit.into())
}

/// Returns what would be left to say that the end was meant.
pub fn tombstone(world: &World, wish: &Retirement, now: Timestamp) -> Result<Tombstone, Refusal> {
    let current = world.release(&wish.place.0, &wish.place.1)?;
    Ok(Tombstone {
        sequence: current.sequence,
        artifact: current.artifact.clone(),
        actor: wish.actor.clone(),
        reason: wish.reason.clone(),
        at: now,
        confirmed: wish.confirmed.clone(),
    })
}

pub(crate) fn tombstone_path((environment, service): &Place) -> String {
    format!("retired/{environment}/{service}.yaml")
}

/// Lets the present release, and no other, take these objects away.
pub fn confirm_removals(
    world: &World,
    wish: &Retirement,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let (environment, service) = &wish.place;
    let current = world.release(environment, service)?;
    if wish.reason.trim().is_empty() || wish.confirmed.is_empty() {
        return Err(
            Refusal::usage("a confirmation names the objects and a reason")
                .hint("`foreshore status` shows which objects wait for one"),
        );
    }
    if let Some(odd) = wish
        .confirmed
        .iter()
        .find(|object| *object != "*" && !is_object(object))
    {
        return Err(Refusal::usage(format!("`{odd}` is no object"))
            .hint("write it as Kind/name, like PersistentVolumeClaim/data"));
    }
    let removals = Removals {
        sequence: current.sequence,
        objects: wish.confirmed.clone(),
        actor: wish.actor.clone(),
        reason: wish.reason.clone(),
        at: now,
    };
    let text = yaml::write(&removals).map_err(|error| Refusal::usage(error.to_string()))?;
    let step = Step::Write {
        path: format!("{}/removals.yaml", service_directory(environment, service)),
        text,
    };
    let subject = format!(
        "[{environment}/{service}] confirm removal of {} by {}",
        wish.confirmed.join(", "),
        wish.actor.name
    );
    Ok(Commit::plain(subject, vec![step], &wish.actor, &wish.reason, &wish.key).into())
}

fn is_object(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty() && !name.contains('/'))
}

#[cfg(test)]
mod tests {
    use foreshore_model::{ExitCode, Intent};

    use super::*;
    use crate::decide::decide;
    use crate::decide::tests::{at, carry_out, person, wish, world};

    fn place() -> Place {
        ("dev".parse().unwrap(), "web".parse().unwrap())
    }

    fn retirement(reason: &str) -> Retirement {
        Retirement {
            place: place(),
            actor: person("ada"),
            reason: reason.into(),
            key: "k".into(),
            confirmed: vec![],
        }
    }

    fn released() -> World {
        let mut world = world();
        let decision = decide(&world, &wish(1, "dev", Intent::Release), at(1)).unwrap();
        carry_out(&mut world, &decision);
        world
    }

    #[test]
    fn the_folder_goes_and_a_tombstone_says_that_it_was_meant() {
        let decision = retire(&released(), &retirement("replaced by shop"), at(2)).unwrap();
        let Decision::Commit(commit) = decision else {
            panic!("{decision:?}")
        };
        let words = commit.words().join("\n");
        assert!(
            words.contains("remove environments/dev/web and everything in it"),
            "{words}"
        );
        assert!(words.contains("write retired/dev/web.yaml"), "{words}");
        assert!(commit.message().contains("Retired: dev/web/1"));
    }

    #[test]
    fn the_sequence_goes_on_after_a_retirement() {
        let mut world = released();
        let tombstone = tombstone(&world, &retirement("over"), at(2)).unwrap();
        world.releases.clear();
        world.tombstones.insert(place(), tombstone);
        let decision = decide(&world, &wish(2, "dev", Intent::Release), at(3)).unwrap();
        let Decision::Commit(commit) = decision else {
            panic!("{decision:?}")
        };
        assert_eq!(commit.release.as_ref().unwrap().sequence, 2);
        assert!(
            commit
                .words()
                .contains(&"remove retired/dev/web.yaml".to_owned())
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let world = released();
        let refusal = retire(&world, &retirement(" "), at(2)).unwrap_err();
        assert_eq!(refusal.code, ExitCode::Usage);
        let unknown = Retirement {
            place: ("dev".parse().unwrap(), "webs".parse().unwrap()),
            ..retirement("x")
        };
        let refusal = retire(&world, &unknown, at(2)).unwrap_err();
        assert_eq!(refusal.code, ExitCode::NotFound);
        assert_eq!(refusal.hints, ["did you mean `web`?"]);
        let odd = Retirement {
            confirmed: vec!["data".into()],
            ..retirement("x")
        };
        let refusal = confirm_removals(&world, &odd, at(2)).unwrap_err();
        assert!(refusal.hints[0].contains("Kind/name"));
    }
}
