//! What is left after the process ended, and who is told what arrived.

use foreshore_image::{Descriptor, media_type};
use foreshore_model::{Digest, clock};
use foreshore_registry::{Options, Registry, RegistryError};
use serde_json::json;

use crate::fixture::Running;

fn manifest(colour: &str) -> Vec<u8> {
    let manifest = json!({
        "schemaVersion": 2,
        "config": Descriptor::of(media_type::EMPTY, b"{}"),
        "layers": [],
        "annotations": { "colour": colour },
    });
    serde_json::to_vec(&manifest).unwrap()
}

fn put(registry: &Registry, tag: &str, colour: &str) -> Digest {
    registry
        .put_manifest(
            "artifacts/web",
            tag,
            media_type::MANIFEST,
            &manifest(colour),
        )
        .unwrap()
        .0
}

#[tokio::test]
async fn a_restarted_registry_has_all_it_acknowledged_and_nothing_unfinished() {
    let running = Running::start(Options::default()).await;
    let client = running.anyone();
    client.push_content("artifacts/web", b"{}").await.unwrap();
    let mut news = running.registry.subscribe();
    let blue = put(&running.registry, "one", "blue");
    put(&running.registry, "one", "blue");
    let red = put(&running.registry, "two", "red");
    let http = reqwest::Client::new();
    let upload = http
        .post(running.url("artifacts/web/blobs/uploads/"))
        .send()
        .await
        .unwrap();
    let location = format!(
        "http://{}{}",
        running.address,
        upload.headers()["location"].to_str().unwrap()
    );
    http.patch(location)
        .body("half of it")
        .send()
        .await
        .unwrap();

    // What a killed process leaves behind is what is on disk now.
    let copy = running.path("copy");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(running.path("registry"))
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    let again = Registry::open(&copy, Options::default()).unwrap();
    assert_eq!(std::fs::read_dir(copy.join("incoming")).unwrap().count(), 0);
    assert_eq!(
        again.manifest("artifacts/web", "one").unwrap().content,
        manifest("blue")
    );
    assert_eq!(again.arrivals(0), running.registry.arrivals(0));

    let told = [news.recv().await.unwrap(), news.recv().await.unwrap()];
    assert_eq!(
        told.each_ref().map(|arrival| &arrival.digest),
        [&blue, &red]
    );
    assert!(news.try_recv().is_err(), "the same push again is no news");
    assert_eq!(again.arrivals(told[0].sequence), told[1..]);
    put(&again, "three", "green");
    assert!(again.arrivals(told[1].sequence)[0].sequence > told[1].sequence);
}

#[tokio::test]
async fn tags_that_may_not_change_do_not() {
    let options = Options {
        immutable_tags: vec!["artifacts/".into()],
        ..Options::default()
    };
    let running = Running::start(options).await;
    for repository in ["artifacts/web", "web"] {
        running
            .anyone()
            .push_content(repository, b"{}")
            .await
            .unwrap();
    }
    put(&running.registry, "one", "blue");
    let changed = running.registry.put_manifest(
        "artifacts/web",
        "one",
        media_type::MANIFEST,
        &manifest("red"),
    );
    assert!(
        matches!(changed, Err(RegistryError::Immutable { .. })),
        "{changed:?}"
    );
    for colour in ["blue", "red"] {
        running
            .registry
            .put_manifest("web", "one", media_type::MANIFEST, &manifest(colour))
            .unwrap();
    }
}

#[tokio::test]
async fn content_that_no_manifest_needs_is_collected() {
    let running = Running::start(Options::default()).await;
    let client = running.anyone();
    for content in [b"{}".as_slice(), b"forgotten"] {
        client.push_content("artifacts/web", content).await.unwrap();
    }
    let kept = put(&running.registry, "one", "blue");
    let before_all = clock::now() - std::time::Duration::from_hours(1);
    assert_eq!(running.registry.collect_garbage(before_all).unwrap(), 0);
    let after_all = clock::now() + std::time::Duration::from_mins(1);
    assert_eq!(running.registry.collect_garbage(after_all).unwrap(), 1);
    running
        .registry
        .manifest("artifacts/web", kept.as_str())
        .unwrap();
    assert!(
        !client
            .has_blob("artifacts/web", &Digest::of(b"forgotten"))
            .await
            .unwrap()
    );
    assert!(
        client
            .has_blob("artifacts/web", &Digest::of(b"{}"))
            .await
            .unwrap()
    );
}
