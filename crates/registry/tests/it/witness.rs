//! Signing on arrival: nobody ever sees an artifact without it, and nobody else writes it.

use std::sync::Arc;

use foreshore_image::{ClientError, Descriptor, Manifest, media_type};
use foreshore_model::Digest;
use foreshore_registry::{Options, Registry, Testimony, Witness};

use crate::fixture::Running;

const SIGNATURE: &str = "application/vnd.example.signature";
const ARTIFACT: &str = "application/vnd.example.artifact";

#[derive(Debug)]
struct Stamp;

impl Witness for Stamp {
    fn artifact_type(&self) -> &str {
        SIGNATURE
    }

    fn testify(&self, repository: &str, arrived: &Descriptor) -> Option<Testimony> {
        if arrived.artifact_type.as_deref() != Some(ARTIFACT) {
            return None;
        }
        let statement = format!("{repository} {}", arrived.digest).into_bytes();
        let manifest = manifest(SIGNATURE, &statement, Some(arrived.clone()));
        Some(Testimony {
            blobs: vec![b"{}".to_vec(), statement],
            manifest,
        })
    }
}

fn manifest(artifact_type: &str, content: &[u8], subject: Option<Descriptor>) -> Vec<u8> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: Some(artifact_type.to_owned()),
        config: Descriptor::of(media_type::EMPTY, b"{}"),
        layers: vec![Descriptor::of("text/plain", content)],
        subject,
        annotations: [("said".to_owned(), "yes".to_owned())].into(),
    };
    serde_json::to_vec(&manifest).unwrap()
}

fn witnessed() -> Options {
    Options {
        witness: Some(Arc::new(Stamp)),
        ..Options::default()
    }
}

async fn push(running: &Running, artifact_type: &str) -> Result<Digest, ClientError> {
    let client = running.anyone();
    for content in [&b"{}"[..], b"x"] {
        client.push_content("web", content).await.unwrap();
    }
    let manifest = manifest(artifact_type, b"x", None);
    client
        .push_manifest("web", Some("v1"), media_type::MANIFEST, &manifest)
        .await
}

#[tokio::test]
async fn what_arrives_is_signed_in_the_same_moment_and_once() {
    let running = Running::start(witnessed()).await;
    let mut news = running.registry.subscribe();
    let digest = push(&running, ARTIFACT).await.unwrap();
    let signatures = || async {
        let client = running.anyone();
        client
            .referrers("web", &digest, Some(SIGNATURE))
            .await
            .unwrap()
    };
    let found = signatures().await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].annotations["said"], "yes");
    // Whoever hears of the artifact finds the signature there.
    assert_eq!(
        news.recv().await.unwrap().artifact_type.as_deref(),
        Some(SIGNATURE)
    );
    assert_eq!(
        news.recv().await.unwrap().artifact_type.as_deref(),
        Some(ARTIFACT)
    );
    push(&running, ARTIFACT).await.unwrap();
    assert_eq!(signatures().await, found);
    assert_eq!(running.registry.tags("web").unwrap(), ["v1"]);
}

#[tokio::test]
async fn other_things_are_not_signed_and_nobody_else_signs() {
    let running = Running::start(witnessed()).await;
    let digest = push(&running, "text/plain").await.unwrap();
    let found = running
        .anyone()
        .referrers("web", &digest, None)
        .await
        .unwrap();
    assert!(found.is_empty(), "{found:?}");
    let error = push(&running, SIGNATURE).await.unwrap_err();
    assert!(matches!(error, ClientError::Forbidden { .. }), "{error}");
}

#[tokio::test]
async fn what_arrived_before_there_was_a_key_is_signed_once_at_the_next_start() {
    let running = Running::start(Options::default()).await;
    push(&running, ARTIFACT).await.unwrap();
    let copy = running.path("copy");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([&running.path("registry"), &copy])
        .status();
    assert!(copied.unwrap().success());
    for _ in 0..2 {
        let registry = Registry::open(&copy, witnessed()).unwrap();
        let arrivals = registry.arrivals(0);
        let signed = arrivals
            .iter()
            .filter(|arrival| arrival.artifact_type.as_deref() == Some(SIGNATURE));
        assert_eq!(signed.count(), 1);
    }
}

#[tokio::test]
async fn what_is_deleted_takes_its_signature_along_and_comes_back_signed() {
    let running = Running::start(witnessed()).await;
    let digest = push(&running, ARTIFACT).await.unwrap();
    let client = running.anyone();
    // Somebody else's report about it, and a list as clients write that know no referrers.
    let subject = Descriptor::of(media_type::MANIFEST, &manifest(ARTIFACT, b"x", None));
    assert_eq!(subject.digest, digest);
    let report = manifest("application/vnd.example.report", b"x", Some(subject));
    let pushed = client.push_manifest("web", None, media_type::MANIFEST, &report);
    let report_digest = pushed.await.unwrap();
    let list = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [
        {"mediaType": media_type::MANIFEST, "digest": report_digest, "size": report.len()},
    ]});
    let list = serde_json::to_vec(&list).unwrap();
    let tag = format!("sha256-{}", digest.hex());
    let pushed = client.push_manifest("web", Some(&tag), media_type::INDEX, &list);
    pushed.await.unwrap();
    let about = || async { client.referrers("web", &digest, None).await.unwrap().len() };
    assert_eq!(about().await, 2);

    delete(&running, &digest).await;
    assert_eq!(about().await, 0);
    assert_eq!(running.registry.tags("web").unwrap(), Vec::<String>::new());
    let later = jiff::Timestamp::MAX;
    running.registry.collect_garbage(later).unwrap();
    assert_eq!(running.files(), (0, 0), "no byte of it is left");

    assert_eq!(push(&running, ARTIFACT).await.unwrap(), digest);
    assert_eq!(about().await, 1);
}

#[tokio::test]
async fn a_report_that_something_else_needs_or_names_stays() {
    let running = Running::start(witnessed()).await;
    let digest = push(&running, ARTIFACT).await.unwrap();
    let client = running.anyone();
    let subject = || {
        Some(Descriptor::of(
            media_type::MANIFEST,
            &manifest(ARTIFACT, b"x", None),
        ))
    };
    let named = manifest("application/vnd.example.named", b"x", subject());
    let part = manifest("application/vnd.example.part", b"x", subject());
    let pushed = client.push_manifest("web", Some("kept"), media_type::MANIFEST, &named);
    pushed.await.unwrap();
    let pushed = client.push_manifest("web", None, media_type::MANIFEST, &part);
    let part_digest = pushed.await.unwrap();
    let whole = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [
        {"mediaType": media_type::MANIFEST, "digest": part_digest, "size": part.len()},
    ]});
    let whole = serde_json::to_vec(&whole).unwrap();
    let pushed = client.push_manifest("web", Some("whole"), media_type::INDEX, &whole);
    pushed.await.unwrap();
    delete(&running, &digest).await;
    let left = client.referrers("web", &digest, None).await.unwrap();
    let mut left: Vec<_> = left.into_iter().map(|found| found.digest).collect();
    left.sort();
    let mut expected = [Digest::of(&named), part_digest];
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(running.registry.tags("web").unwrap(), ["kept", "whole"]);
}

#[tokio::test]
async fn a_signature_about_nothing_is_garbage() {
    // As a version left it that deleted the artifact alone: pushed where nobody signs.
    let running = Running::start(Options::default()).await;
    push(&running, ARTIFACT).await.unwrap();
    let subject = Descriptor::of(media_type::MANIFEST, b"gone");
    let left = manifest(SIGNATURE, b"x", Some(subject.clone()));
    let client = running.anyone();
    let pushed = client.push_manifest("web", None, media_type::MANIFEST, &left);
    pushed.await.unwrap();
    let copy = running.path("copy");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([&running.path("registry"), &copy])
        .status();
    assert!(copied.unwrap().success());
    let registry = Registry::open(&copy, witnessed()).unwrap();
    registry.collect_garbage(jiff::Timestamp::MAX).unwrap();
    let gone = registry.manifest("web", Digest::of(&left).as_str());
    assert!(gone.is_err(), "{gone:?}");
    assert!(registry.manifest("web", "v1").is_ok());
}

async fn delete(running: &Running, digest: &Digest) {
    let url = running.url(&format!("web/manifests/{digest}"));
    let answer = reqwest::Client::new().delete(url).send().await.unwrap();
    assert_eq!(answer.status(), 202);
}
