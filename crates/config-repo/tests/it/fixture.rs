//! Repositories, wishes and artifacts for the tests.

use std::collections::BTreeMap;

use foreshore_config_repo::{Answer, Job, WriteError, Writer, bootstrap, starter, writer};
use foreshore_git::{LogQuery, ObjectId, Repository};
use foreshore_model::artifact::{PlanStamp, Source};
use foreshore_model::{Actor, ArtifactId, ArtifactRecord, Digest, Intent, ReleaseFile};
use foreshore_release::{Candidate, Wish, decide};
use jiff::Timestamp;

pub(crate) const MAIN: &str = "refs/heads/main";

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

pub(crate) fn person(name: &str) -> Actor {
    Actor::new(name, format!("{name}@example.org"))
}

/// A folder in memory where there is one: what syncing costs is not what is tested here.
pub(crate) fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A bare repository with its first commit.
pub(crate) fn repository() -> (tempfile::TempDir, Repository) {
    let folder = tempdir();
    let repository = Repository::init_bare(folder.path().join("config.git")).unwrap();
    let (environments, policies) = starter();
    bootstrap(&repository, &environments, &policies, now()).unwrap();
    (folder, repository)
}

pub(crate) async fn start(repository: &Repository) -> Writer {
    Writer::start_with(repository.clone(), writer::Options::default())
        .await
        .unwrap()
}

/// Artifact number `n` of a service.
pub(crate) fn candidate(service: &str, n: u32) -> Candidate {
    let manifests = |environment: &str| {
        let text = format!("kind: Deployment\nversion: {n}\n");
        (
            environment.parse().unwrap(),
            BTreeMap::from([(format!("deployment-{service}.yaml"), text)]),
        )
    };
    let source = Source {
        commit: format!("{n:040x}"),
        branch: "main".to_owned(),
        tag: None,
        author: "ada".to_owned(),
        message: "m".to_owned(),
        committed_at: now(),
        modified: false,
    };
    Candidate {
        digest: Digest::of(format!("{service} {n}").as_bytes()),
        record: ArtifactRecord {
            id: ArtifactId::from_parts("main", &format!("{n:040x}"), "plan"),
            service: service.parse().unwrap(),
            owner: "shop".to_owned(),
            source,
            plan: PlanStamp {
                name: "rust-service".to_owned(),
                hash: Digest::of(b"plan"),
                commit: None,
                reference: String::new(),
            },
            tool: "0.1.0".to_owned(),
            images: BTreeMap::new(),
            manifests: BTreeMap::from([manifests("dev"), manifests("prod")]),
            stages: Vec::new(),
            ci: None,
            checks: Vec::new(),
            definition: String::new(),
        },
    }
}

pub(crate) fn wish(service: &str, n: u32, environment: &str) -> Wish {
    Wish {
        service: service.parse().unwrap(),
        environment: environment.parse().unwrap(),
        artifact: candidate(service, n),
        intent: Intent::Release,
        actor: person("ada"),
        reason: format!("number {n}"),
        key: format!("{environment}/{service}/{n}"),
        expected: None,
        hold: false,
    }
}

pub(crate) fn job(wish: Wish) -> Job {
    Job::new(wish.key.clone(), move |world, now| {
        decide(world, &wish, now)
    })
}

pub(crate) async fn submit(writer: &Writer, wish: Wish) -> Result<Answer, WriteError> {
    writer.submit(job(wish)).await
}

/// Releases into `dev` and returns the commit and the release.
#[track_caller]
pub(crate) fn committed(answer: Result<Answer, WriteError>) -> (ObjectId, ReleaseFile) {
    match answer {
        Ok(Answer::Committed {
            commit,
            release: Some(release),
            ..
        }) => (commit.parse().unwrap(), release),
        other => panic!("not committed: {other:?}"),
    }
}

/// Messages of the main branch, oldest first, without the first commit.
pub(crate) fn messages(repository: &Repository) -> Vec<String> {
    let tip = repository.resolve(MAIN).unwrap().unwrap();
    let log = repository
        .log(&LogQuery {
            from: &tip,
            until: None,
            path: None,
            limit: 100_000,
        })
        .unwrap();
    log.into_iter()
        .rev()
        .skip(1)
        .map(|commit| commit.message)
        .collect()
}

/// Commits files by hand, as a person with a clone would.
pub(crate) fn by_hand(repository: &Repository, changes: Vec<foreshore_git::Change>) -> ObjectId {
    let tip = repository.resolve(MAIN).unwrap();
    let (author, committer) = (person("bo"), person("bo"));
    let commit = foreshore_git::NewCommit {
        changes,
        message: "by hand".to_owned(),
        author,
        committer,
        at: now(),
    };
    repository
        .commit(MAIN, tip.as_ref(), vec![commit])
        .unwrap()
        .remove(0)
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}
