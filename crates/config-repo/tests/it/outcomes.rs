//! Outcomes on their side ref.

use foreshore_config_repo::{Outcomes, ReportError};
use foreshore_git::{Change, LogQuery, ObjectId, Repository};
use foreshore_model::config::OUTCOMES_REF;
use foreshore_model::{Outcome, Phase, ReleaseFile};

use crate::fixture::{MAIN, by_hand, committed, now, repository, start, submit, wish};

fn outcome(commit: &ObjectId, release: &ReleaseFile, site: &str, phase: Phase) -> Outcome {
    Outcome {
        environment: release.environment.clone(),
        site: site.parse().unwrap(),
        service: release.service.clone(),
        sequence: release.sequence,
        artifact: release.artifact.clone(),
        commit: commit.to_string(),
        phase,
        causes: Vec::new(),
        at: now(),
        operations: 0,
        verdicts: Vec::new(),
    }
}

fn commits(repository: &Repository) -> usize {
    let Some(tip) = repository.resolve(OUTCOMES_REF).unwrap() else {
        return 0;
    };
    repository
        .log(&LogQuery {
            from: &tip,
            until: None,
            path: None,
            limit: 1000,
        })
        .unwrap()
        .len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_reports_is_few_commits_and_none_on_main() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    let mut released = Vec::new();
    for n in 0..20 {
        released.push(committed(
            submit(&writer, wish(&format!("s{n}"), 1, "dev")).await,
        ));
    }
    let main = repository.resolve(MAIN).unwrap();
    let outcomes = Outcomes::start(repository.clone()).await.unwrap();
    let mut reports = tokio::task::JoinSet::new();
    for (commit, release) in released.clone() {
        let outcomes = outcomes.clone();
        reports.spawn(async move {
            for phase in [Phase::Applying, Phase::Progressing, Phase::Healthy] {
                outcomes
                    .report(outcome(&commit, &release, "local", phase))
                    .await
                    .unwrap();
            }
        });
    }
    reports.join_all().await;
    let count = commits(&repository);
    assert!(count <= 5, "{count} commits for 60 reports");
    assert_eq!(repository.resolve(MAIN).unwrap(), main);
    let read_back = Outcomes::start(repository.clone()).await.unwrap();
    assert_eq!(read_back.all(), outcomes.all());
    assert_eq!(read_back.all_verified().len(), 20);
    let (commit, release) = &released[0];
    read_back
        .report(outcome(commit, release, "local", Phase::Healthy))
        .await
        .unwrap();
    assert_eq!(commits(&repository), count, "nothing new, no commit");
    repository.check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_verified_when_every_site_is_well() {
    let (_folder, repository) = repository();
    let text = "name: dev\nnamespace: dev\nsites: [dc1, dc2]\n";
    by_hand(
        &repository,
        vec![Change::write("environments/dev/environment.yaml", text)],
    );
    let writer = start(&repository).await;
    let (commit, release) = committed(submit(&writer, wish("web", 1, "dev")).await);
    let outcomes = Outcomes::start(repository.clone()).await.unwrap();
    let verified = || {
        outcomes
            .verified(&release.environment, &release.service)
            .len()
    };
    outcomes
        .report(outcome(&commit, &release, "dc1", Phase::Healthy))
        .await
        .unwrap();
    assert_eq!(verified(), 0);
    outcomes
        .report(outcome(&commit, &release, "dc2", Phase::Failed))
        .await
        .unwrap();
    assert_eq!(verified(), 0);
    outcomes
        .report(outcome(&commit, &release, "dc2", Phase::Healthy))
        .await
        .unwrap();
    assert_eq!(verified(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_and_invented_reports_change_nothing() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    let (commit, old) = committed(submit(&writer, wish("web", 1, "dev")).await);
    let (newer, new) = committed(submit(&writer, wish("web", 2, "dev")).await);
    let outcomes = Outcomes::start(repository.clone()).await.unwrap();
    outcomes
        .report(outcome(&newer, &new, "local", Phase::Progressing))
        .await
        .unwrap();
    outcomes
        .report(outcome(&commit, &old, "local", Phase::Healthy))
        .await
        .unwrap();
    assert_eq!(
        outcomes.newest(&new.environment, &new.service)[0].sequence,
        2
    );
    for invented in [
        Outcome {
            sequence: 7,
            ..outcome(&newer, &new, "local", Phase::Healthy)
        },
        Outcome {
            artifact: old.artifact.clone(),
            ..outcome(&newer, &new, "local", Phase::Healthy)
        },
        Outcome {
            commit: "0".repeat(40),
            ..outcome(&newer, &new, "local", Phase::Healthy)
        },
        Outcome {
            commit: "main".to_owned(),
            ..outcome(&newer, &new, "local", Phase::Healthy)
        },
    ] {
        let error = outcomes.report(invented).await.unwrap_err();
        assert!(matches!(error, ReportError::Refused { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_recorders_keep_what_the_other_wrote() {
    let (_folder, repository) = repository();
    let writer = start(&repository).await;
    let (web_commit, web) = committed(submit(&writer, wish("web", 1, "dev")).await);
    let (api_commit, api) = committed(submit(&writer, wish("api", 1, "dev")).await);
    let recorders = [
        Outcomes::start(repository.clone()).await.unwrap(),
        Outcomes::start(repository.clone()).await.unwrap(),
    ];
    recorders[0]
        .report(outcome(&web_commit, &web, "local", Phase::Healthy))
        .await
        .unwrap();
    recorders[1]
        .report(outcome(&api_commit, &api, "local", Phase::Healthy))
        .await
        .unwrap();
    assert_eq!(
        Outcomes::start(repository)
            .await
            .unwrap()
            .all_verified()
            .len(),
        2
    );
}
