//! Releases through the writer of one repository.

use std::collections::BTreeSet;

use foreshore_config_repo::{Answer, Outcomes, Snapshot, Writer, requests};
use foreshore_git::Change;
use foreshore_model::config::Policy;
use foreshore_model::{ExitCode, Intent, Outcome, Phase};
use foreshore_release::{Commit, Decision, Step, approve, lift};

use crate::fixture::{
    MAIN, by_hand, candidate, committed, job, messages, now, person, repository, runtime, start,
    submit, wish,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_one_commit_that_says_who_what_and_why() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    let (commit, release) = committed(submit(&writer, wish("web", 1, "dev")).await);
    assert_eq!(repository.resolve(MAIN).unwrap(), Some(commit.clone()));
    assert_eq!((release.sequence, release.actor.name.as_str()), (1, "ada"));
    let message = messages(&repository).pop().unwrap();
    assert!(
        message.starts_with("[dev/web] release main-0000000000-plan by ada\n"),
        "{message}"
    );
    assert!(
        message.contains("\nActor: ada <ada@example.org>\nReason: number 1\n"),
        "{message}"
    );
    let snapshot = Snapshot::read(&repository, &commit, None).unwrap();
    let service = snapshot
        .service(&"dev".parse().unwrap(), &"web".parse().unwrap())
        .unwrap();
    assert_eq!(service.release, release);
    assert_eq!(service.manifests[0].text, "kind: Deployment\nversion: 1\n");
    assert_eq!(writer.current().commit, commit);
    repository.check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_people_at_once_make_fifty_commits() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    let releases: Vec<_> = (0..50)
        .map(|n| {
            let writer = writer.clone();
            tokio::spawn(
                async move { submit(&writer, wish(&format!("service-{n}"), 1, "dev")).await },
            )
        })
        .collect();
    let mut commits = BTreeSet::new();
    for release in releases {
        commits.insert(committed(release.await.unwrap()).0);
    }
    assert_eq!(commits.len(), 50);
    assert_eq!(messages(&repository).len(), 50);
    assert_eq!(writer.current().world.releases.len(), 50);
    repository.check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_expect_the_same_one_wins_and_the_other_is_told_who() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    let (_, first) = committed(submit(&writer, wish("web", 1, "dev")).await);
    let expecting = |n: u32, name: &str| {
        let mut wish = wish("web", n, "dev");
        wish.expected = Some(first.artifact.clone());
        wish.actor = person(name);
        wish
    };
    let (left, right) = tokio::join!(
        submit(&writer, expecting(2, "ida")),
        submit(&writer, expecting(3, "bo"))
    );
    let (_, won) = committed(left);
    let Ok(Answer::Refused(refusal)) = right else {
        panic!("{right:?}")
    };
    assert_eq!(refusal.code, ExitCode::Conflict);
    assert!(refusal.message.contains("ida moved first"), "{refusal}");
    assert_eq!(won.previous, Some(first.artifact));
    assert_eq!(messages(&repository).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_is_answered_and_not_carried_out() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    let (left, right) = tokio::join!(
        submit(&writer, wish("web", 1, "dev")),
        submit(&writer, wish("web", 1, "dev"))
    );
    let first = committed(left);
    assert_eq!(committed(right), first, "twice in one batch");
    committed(submit(&writer, wish("web", 2, "dev")).await);
    assert_eq!(
        committed(submit(&writer, wish("web", 1, "dev")).await),
        first,
        "after a later release"
    );
    let restarted = start(&repository).await;
    assert_eq!(
        committed(submit(&restarted, wish("web", 1, "dev")).await),
        first,
        "after a restart"
    );
    assert_eq!(messages(&repository).len(), 2);
    let mut same = wish("web", 2, "dev");
    same.key = "another".to_owned();
    assert!(matches!(
        submit(&restarted, same).await,
        Ok(Answer::Unchanged(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_of_one_repository_lose_nothing() {
    let (_folder, repository) = repository();
    let writers = [start(&repository).await, start(&repository).await];
    let releases: Vec<_> = (0..40)
        .map(|n| {
            let writer = writers[n % 2].clone();
            let number = u32::try_from(n).unwrap();
            tokio::spawn(async move { submit(&writer, wish("web", number, "dev")).await })
        })
        .collect();
    let mut sequences = BTreeSet::new();
    for release in releases {
        sequences.insert(committed(release.await.unwrap()).1.sequence);
    }
    assert_eq!(sequences, (1..=40).collect());
    assert_eq!(messages(&repository).len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn production_waits_for_another_person() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    let Ok(Answer::Requested { request, needed: 1 }) =
        submit(&writer, wish("web", 1, "prod")).await
    else {
        panic!()
    };
    assert_eq!(requests(&repository).unwrap().len(), 1);
    assert!(writer.current().world.requests.contains_key(&request.id));
    let Ok(Answer::Requested { request: again, .. }) =
        submit(&writer, wish("web", 1, "prod")).await
    else {
        panic!()
    };
    assert_eq!(again.id, request.id);

    let agree = |name: &str| {
        let (id, actor, key) = (request.id.clone(), person(name), format!("approve {name}"));
        let key_again = key.clone();
        foreshore_config_repo::Job::new(key, move |world, now| {
            approve(world, &id, &actor, candidate("web", 1), &key_again, now)
        })
    };
    let own = writer.submit(agree("ada")).await;
    assert!(
        matches!(&own, Ok(Answer::Refused(refusal)) if refusal.code == ExitCode::Refused),
        "{own:?}"
    );
    let restarted = start(&repository).await;
    let (_, release) = committed(restarted.submit(agree("bo")).await);
    assert_eq!(release.approved_by, [person("bo")]);
    assert!(requests(&repository).unwrap().is_empty());
    assert!(restarted.current().world.requests.is_empty());
    assert!(matches!(
        submit(&restarted, wish("web", 1, "prod")).await,
        Ok(Answer::Unchanged(_))
    ));
    repository.check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_brings_back_verified_bytes_and_holds() {
    let (_folder, repository) = repository();
    let outcomes = Outcomes::start(repository.clone()).await.unwrap();
    let writer = Writer::start(repository.clone(), &outcomes).await.unwrap();
    let (first, good) = committed(submit(&writer, wish("web", 1, "dev")).await);
    outcomes
        .report(Outcome {
            environment: good.environment.clone(),
            site: "local".parse().unwrap(),
            service: good.service.clone(),
            sequence: 1,
            artifact: good.artifact.clone(),
            commit: first.to_string(),
            phase: Phase::Healthy,
            causes: Vec::new(),
            at: now(),
            operations: 0,
            verdicts: Vec::new(),
        })
        .await
        .unwrap();
    let (_, bad) = committed(submit(&writer, wish("web", 2, "dev")).await);
    let place = (good.environment.clone(), good.service.clone());
    assert_eq!(
        writer.current().world.verified[&place][0].artifact,
        good.artifact
    );
    let mut back = wish("web", 1, "dev");
    back.key = "back".to_owned();
    back.intent = Intent::Rollback { from: bad.artifact };
    back.hold = true;
    let (commit, release) = committed(submit(&writer, back).await);
    assert_eq!((release.sequence, &release.artifact), (3, &good.artifact));
    let manifests = |commit| {
        repository
            .tree_id(commit, "environments/dev/web/manifests")
            .unwrap()
            .unwrap()
    };
    assert_eq!(manifests(&commit), manifests(&first), "byte for byte");
    let mut automatic = wish("web", 3, "dev");
    automatic.intent = Intent::AutoRelease {
        policy: "main-to-dev".to_owned(),
    };
    assert!(
        matches!(
            submit(&writer, automatic).await,
            Ok(Answer::Committed { release: None, .. })
        ),
        "that it is withheld is written down"
    );
    let lifted = foreshore_config_repo::Job::new("lift", move |world, _| {
        lift(world, &place, &person("ada"), "lift")
    });
    assert!(matches!(
        writer.submit(lifted).await,
        Ok(Answer::Committed { release: None, .. })
    ));
    assert!(writer.current().world.holds.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_stops_what_rests_on_it_and_nothing_else() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    committed(submit(&writer, wish("web", 1, "dev")).await);
    by_hand(
        &repository,
        vec![Change::write(
            "environments/dev/web/release.yaml",
            "service: web\nsequence: [\n",
        )],
    );
    let answer = submit(&writer, wish("web", 2, "dev")).await;
    let Ok(Answer::Refused(refusal)) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        refusal
            .message
            .contains("environments/dev/web/release.yaml:"),
        "{refusal}"
    );
    committed(submit(&writer, wish("api", 1, "dev")).await);
    by_hand(
        &repository,
        vec![Change::write(
            "policies/broken.yaml",
            "kind: no-such-policy\n",
        )],
    );
    let answer = submit(&writer, wish("api", 2, "dev")).await;
    assert!(matches!(answer, Ok(Answer::Refused(_))), "{answer:?}");
    assert_eq!(writer.current().problems.len(), 2);
    by_hand(&repository, vec![Change::remove("policies/broken.yaml")]);
    committed(submit(&writer, wish("api", 2, "dev")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_file_is_changed_by_a_closure_and_read_back_at_once() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    let set = |key: &str, text: &str| {
        let text = text.to_owned();
        foreshore_config_repo::Job::new(key, move |_, _| {
            Ok(Decision::Commit(Box::new(Commit {
                steps: vec![Step::Write {
                    path: "policies/only-main.yaml".to_owned(),
                    text: text.clone(),
                }],
                actor: person("ada"),
                subject: "set policy only-main".to_owned(),
                trailers: vec![("Actor", "ada".to_owned())],
                release: None,
                hold: None,
                closes: Vec::new(),
            })))
        })
    };
    let good = writer
        .submit(set(
            "good",
            "kind: branch-restriction\nenvironment: dev\nbranch: v*\n",
        ))
        .await;
    assert!(matches!(good, Ok(Answer::Committed { .. })), "{good:?}");
    let policy = writer.current().world.policies[&"only-main".parse().unwrap()].clone();
    assert!(matches!(policy, Policy::BranchRestriction { .. }));
    assert!(matches!(
        submit(&writer, wish("web", 1, "dev")).await,
        Ok(Answer::Refused(_))
    ));
    assert!(
        writer.submit(set("bad", "kind: nonsense\n")).await.is_err(),
        "what cannot be read is not written"
    );
    assert_eq!(messages(&repository).len(), 1);
}

#[test]
fn a_burst_beyond_the_queue_is_told_to_come_back() {
    let (_folder, repository) = repository();
    let writer = runtime().block_on(start(&repository));
    let (sender, receiver) = std::sync::mpsc::sync_channel::<()>(0);
    let receiver = std::sync::Mutex::new(receiver);
    let blocking = foreshore_config_repo::Job::new("block", move |world, now| {
        let _released = receiver.lock().unwrap().recv();
        foreshore_release::decide(world, &wish("web", 1, "dev"), now)
    });
    runtime().block_on(async {
        let first = tokio::spawn({
            let writer = writer.clone();
            async move { writer.submit(blocking).await }
        });
        let mut busy = 0;
        let mut waiting = Vec::new();
        for _ in 0..1200 {
            let mut submitted = Box::pin(writer.submit(job(wish("api", 1, "dev"))));
            match futures_poll(&mut submitted).await {
                Some(Err(foreshore_config_repo::WriteError::Busy)) => busy += 1,
                Some(other) => panic!("{other:?}"),
                None => waiting.push(submitted),
            }
        }
        assert!(busy > 0 && waiting.len() >= 1024, "{busy} busy");
        drop(sender);
        first.await.unwrap().unwrap();
        for submitted in waiting {
            submitted.await.unwrap();
        }
    });
    assert_eq!(messages(&repository).len(), 2);
}

/// Polls once.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
