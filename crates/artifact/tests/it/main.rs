//! Artifacts pushed to and fetched from a real registry over real sockets.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails the test"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use foreshore_artifact::{FetchError, PushError, Pushed, document, fetch, list, push, repository};
use foreshore_image::{ClientOptions, RegistryClient, media_type};
use foreshore_model::artifact::{ImageStamp, PlanStamp, Source};
use foreshore_model::{ArtifactId, ArtifactRecord, Digest, ServiceName};
use foreshore_registry::{Action, Authorizer, Credentials, Decision, Options, Registry};

struct Everyone;

impl Authorizer for Everyone {
    fn authorize(&self, _: Option<&Credentials>, _: Action, _: &str) -> Decision {
        Decision::Allowed
    }
}

struct Fixture {
    _directory: tempfile::TempDir,
    registry: Registry,
    client: RegistryClient,
}

impl Fixture {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            immutable_tags: vec!["artifacts/".into()],
            ..Options::default()
        };
        let registry = Registry::open(directory.path(), options).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = registry.router(Arc::new(Everyone));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = RegistryClient::new(&address, ClientOptions::default()).unwrap();
        Self {
            _directory: directory,
            registry,
            client,
        }
    }
}

fn web() -> ServiceName {
    "web".parse().unwrap()
}

fn record(message: &str) -> ArtifactRecord {
    let plan = Digest::of(b"plan");
    ArtifactRecord {
        id: ArtifactId::from_parts("main", "0123456789abcdef", plan.hex()),
        service: web(),
        owner: "shop".into(),
        source: Source {
            commit: "0123456789abcdef".into(),
            branch: "main".into(),
            tag: None,
            author: "Ada <ada@example.com>".into(),
            message: message.into(),
            committed_at: jiff::Timestamp::UNIX_EPOCH,
            modified: false,
        },
        plan: PlanStamp {
            name: "rust-service".into(),
            hash: plan,
            commit: None,
            reference: String::new(),
        },
        tool: "0.1.0".into(),
        images: BTreeMap::new(),
        manifests: BTreeMap::new(),
        stages: Vec::new(),
        ci: None,
        checks: Vec::new(),
        definition: String::new(),
    }
}

#[tokio::test]
async fn an_artifact_comes_back_by_id_and_by_digest() {
    let fixture = Fixture::start().await;
    let record = record("add a page");
    let mut arrivals = fixture.registry.subscribe();
    let pushed = push(&fixture.client, &record).await.unwrap();
    assert_eq!(
        pushed,
        Pushed::Uploaded {
            digest: document(&record).digest
        }
    );
    for target in [record.id.as_str(), pushed.digest().as_str()] {
        let fetched = fetch(&fixture.client, &web(), target).await.unwrap();
        assert_eq!(
            (&fetched.record, &fetched.digest),
            (&record, pushed.digest())
        );
    }
    assert_eq!(
        list(&fixture.client, &web()).await.unwrap(),
        std::slice::from_ref(&record.id)
    );
    let arrival = arrivals.recv().await.unwrap();
    assert_eq!(arrival.repository, "artifacts/web");
    assert_eq!(
        arrival.artifact_type.as_deref(),
        Some(foreshore_model::artifact::ARTIFACT_TYPE)
    );
    assert_eq!(arrival.tag.as_deref(), Some(record.id.as_str()));
}

#[tokio::test]
async fn the_same_again_is_skipped_and_other_content_refused() {
    let fixture = Fixture::start().await;
    let first = push(&fixture.client, &record("one")).await.unwrap();
    let again = push(&fixture.client, &record("one")).await.unwrap();
    assert_eq!(
        again,
        Pushed::AlreadyThere {
            digest: first.digest().clone()
        }
    );
    assert_eq!(fixture.registry.arrivals(0).len(), 1);
    let error = push(&fixture.client, &record("two")).await.unwrap_err();
    assert!(matches!(error, PushError::Conflict { .. }), "{error}");
    let kept = fetch(&fixture.client, &web(), record("one").id.as_str())
        .await
        .unwrap();
    assert_eq!(kept.record.source.message, "one");
}

#[tokio::test]
async fn of_many_pushes_of_one_id_at_once_exactly_one_wins() {
    let fixture = Fixture::start().await;
    let records: Vec<_> = (0..6).map(|n| record(&format!("message {n}"))).collect();
    let pushes =
        futures::future::join_all(records.iter().map(|record| push(&fixture.client, record))).await;
    let won: Vec<_> = pushes
        .iter()
        .filter(|pushed| matches!(pushed, Ok(Pushed::Uploaded { .. })))
        .collect();
    let lost = pushes
        .iter()
        .filter(|pushed| matches!(pushed, Err(PushError::Conflict { .. })))
        .count();
    assert_eq!((won.len(), lost), (1, 5), "{pushes:?}");
    assert_eq!(fixture.registry.arrivals(0).len(), 1);
}

#[tokio::test]
async fn an_artifact_whose_image_is_missing_is_not_pushed() {
    let fixture = Fixture::start().await;
    let mut record = record("one");
    let stamp = ImageStamp {
        repository: "web".into(),
        digest: Digest::of(b"image"),
    };
    record.images.insert("web".into(), stamp);
    let error = push(&fixture.client, &record).await.unwrap_err();
    assert!(matches!(error, PushError::Image { .. }), "{error}");
    assert!(list(&fixture.client, &web()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_artifact_in_the_wrong_place_is_refused() {
    let fixture = Fixture::start().await;
    let pushed = push(&fixture.client, &record("one")).await.unwrap();
    let document = document(&record("one"));
    let api: ServiceName = "api".parse().unwrap();
    let stolen = repository(&api);
    for content in [b"{}".as_slice(), &document.record] {
        fixture.client.push_content(&stolen, content).await.unwrap();
    }
    let tag = Some("main-0123456789-other");
    fixture
        .client
        .push_manifest(&stolen, tag, media_type::MANIFEST, &document.manifest)
        .await
        .unwrap();
    let error = fetch(&fixture.client, &api, pushed.digest().as_str())
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Document { .. }), "{error}");
    let renamed = repository(&web());
    fixture
        .client
        .push_manifest(&renamed, tag, media_type::MANIFEST, &document.manifest)
        .await
        .unwrap();
    let error = fetch(&fixture.client, &web(), "main-0123456789-other")
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Id { .. }), "{error}");
    let error = fetch(&fixture.client, &web(), "main-0-0")
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");
}
