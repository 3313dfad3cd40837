//! Images pushed and pulled with our own client.

use std::fs;
use std::time::Duration;

use foreshore_image::{Policy, PullOptions, PushError, PushedBlob, Reference};
use foreshore_model::Digest;
use foreshore_registry::Options;

use crate::fixture::{Running, image};

#[tokio::test]
async fn an_image_arrives_on_another_machine_as_it_was_packed() {
    let running = Running::start(Options::default()).await;
    let here = running.store("here");
    let packed = image(&here, &running.path(""), &vec![7; 300_000]);
    let client = running.anyone();
    assert_eq!(
        here.push(&packed, &client, "team/web", Some("v1"))
            .await
            .unwrap(),
        PushedBlob::Uploaded
    );
    assert_eq!(
        here.push(&packed, &client, "team/web", Some("v1"))
            .await
            .unwrap(),
        PushedBlob::AlreadyThere
    );
    assert_eq!(
        client.resolve("team/web", "v1").await.unwrap(),
        packed.digest
    );
    assert_eq!(client.list_tags("team/web").await.unwrap(), ["v1"]);

    let there = running.store("there");
    for name in [
        format!("{}/team/web:v1", running.address),
        format!("{}/team/web@{}", running.address, packed.digest),
    ] {
        let reference: Reference = name.parse().unwrap();
        let pulled = there
            .pull(&reference, &PullOptions::default())
            .await
            .unwrap();
        assert_eq!(pulled.digest, packed.digest);
        assert_eq!(pulled.configuration, packed.configuration);
        let root = there.unpacked(&pulled).await.unwrap();
        assert_eq!(fs::read(root.join("app/web")).unwrap(), vec![7; 300_000]);
    }
}

#[tokio::test]
async fn a_present_image_needs_no_registry_and_a_missing_one_says_why() {
    let running = Running::start(Options::default()).await;
    let here = running.store("here");
    let packed = image(&here, &running.path(""), b"program");
    here.push(&packed, &running.anyone(), "web", Some("v1"))
        .await
        .unwrap();
    let there = running.store("there");
    let reference = |name: &str| {
        format!("{}/{name}", running.address)
            .parse::<Reference>()
            .unwrap()
    };
    let with = |policy| PullOptions {
        policy,
        ..PullOptions::default()
    };
    let pull = async |name: &str, policy| there.pull(&reference(name), &with(policy)).await;
    assert_eq!(
        pull("web:v1", Policy::Never).await.unwrap_err().reason(),
        "ErrImageNeverPull"
    );
    pull("web:v1", Policy::IfNotPresent).await.unwrap();
    pull("web:v1", Policy::Never).await.unwrap();
    let error = pull("web:v2", Policy::IfNotPresent).await.unwrap_err();
    assert!(error.to_string().ends_with("web:v2` not found"), "{error}");
    let gone: Reference = "127.0.0.1:1/web:v1".parse().unwrap();
    let error = there
        .pull(&gone, &PullOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "RegistryUnavailable", "{error}");
}

#[tokio::test]
async fn a_moved_tag_is_followed_only_when_the_policy_says_so() {
    let running = Running::start(Options::default()).await;
    let (here, there) = (running.store("here"), running.store("there"));
    let client = running.anyone();
    let reference: Reference = format!("{}/web:latest", running.address).parse().unwrap();
    let pull = async |policy| {
        there
            .pull(
                &reference,
                &PullOptions {
                    policy,
                    ..PullOptions::default()
                },
            )
            .await
            .unwrap()
    };
    let first = image(&here, &running.path(""), b"one");
    here.push(&first, &client, "web", Some("latest"))
        .await
        .unwrap();
    assert_eq!(pull(Policy::IfNotPresent).await.digest, first.digest);
    let second = image(&here, &running.path(""), b"two");
    here.push(&second, &client, "web", Some("latest"))
        .await
        .unwrap();
    assert_eq!(pull(Policy::IfNotPresent).await.digest, first.digest);
    assert_eq!(pull(Policy::Always).await.digest, second.digest);
    assert_eq!(pull(Policy::IfNotPresent).await.digest, second.digest);
}

#[tokio::test]
async fn a_damaged_blob_on_this_machine_is_pulled_again() {
    let running = Running::start(Options::default()).await;
    let (here, there) = (running.store("here"), running.store("there"));
    let packed = image(&here, &running.path(""), b"program");
    here.push(&packed, &running.anyone(), "web", Some("v1"))
        .await
        .unwrap();
    let reference: Reference = format!("{}/web:v1", running.address).parse().unwrap();
    let pulled = there
        .pull(&reference, &PullOptions::default())
        .await
        .unwrap();
    let damage = |digest: &Digest| {
        let path = there.blobs().path(digest);
        let mut content = fs::read(&path).unwrap();
        *content.last_mut().unwrap() ^= 1;
        fs::write(&path, content).unwrap();
    };
    damage(&pulled.manifest.config.digest);
    there
        .pull(&reference, &PullOptions::default())
        .await
        .unwrap();
    damage(&pulled.manifest.layers[1].digest);
    assert!(there.unpacked(&pulled).await.is_err());
    let pulled = there
        .pull(&reference, &PullOptions::default())
        .await
        .unwrap();
    there.unpacked(&pulled).await.unwrap();
}

#[tokio::test]
async fn a_damaged_blob_is_not_pushed_and_the_next_build_replaces_it() {
    let running = Running::start(Options::default()).await;
    let here = running.store("here");
    let packed = image(&here, &running.path(""), b"program");
    let path = here.blobs().path(&packed.manifest.layers[1].digest);
    let mut content = fs::read(&path).unwrap();
    content[20] ^= 1;
    fs::write(&path, content).unwrap();
    let error = here
        .push(&packed, &running.anyone(), "web", None)
        .await
        .unwrap_err();
    assert!(matches!(error, PushError::Damaged { .. }), "{error}");
    let again = image(&here, &running.path(""), b"program");
    here.push(&again, &running.anyone(), "web", None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_damaged_blob_in_the_registry_never_reaches_a_machine() {
    let running = Running::start(Options::default()).await;
    let (here, there) = (running.store("here"), running.store("there"));
    let packed = image(&here, &running.path(""), b"program");
    here.push(&packed, &running.anyone(), "web", Some("v1"))
        .await
        .unwrap();
    let layer = &packed.manifest.layers[1].digest;
    let path = running.path("registry/blobs/sha256").join(layer.hex());
    let mut content = fs::read(&path).unwrap();
    content[20] ^= 1;
    fs::write(&path, content).unwrap();
    let reference: Reference = format!("{}/web:v1", running.address).parse().unwrap();
    let error = there
        .pull(&reference, &PullOptions::default())
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("is not what its digest says"),
        "{error}"
    );
    assert!(
        there
            .find(&reference, &foreshore_image::Platform::host())
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn many_pushes_and_pulls_of_one_image_at_once_agree() {
    let running = Running::start(Options::default()).await;
    let here = running.store("here");
    let packed = image(&here, &running.path(""), &vec![3; 100_000]);
    let client = running.anyone();
    let pushes = (0..6).map(|_| here.push(&packed, &client, "web", Some("v1")));
    for pushed in futures::future::join_all(pushes).await {
        pushed.unwrap();
    }
    assert_eq!(running.registry.arrivals(0).len(), 1);
    assert_eq!(running.files(), (4, 0));
    let there = running.store("there");
    let reference: Reference = format!("{}/web:v1", running.address).parse().unwrap();
    let options = PullOptions::default();
    let pulls = (0..6).map(|_| there.pull(&reference, &options));
    for pulled in futures::future::join_all(pulls).await {
        assert_eq!(pulled.unwrap().digest, packed.digest);
    }
}

#[tokio::test]
async fn a_store_keeps_what_is_in_use_and_lets_go_of_the_rest() {
    let running = Running::start(Options::default()).await;
    let store = running.store("here");
    let old = image(&store, &running.path(""), b"old");
    let new = image(&store, &running.path(""), b"new");
    store.unpacked(&old).await.unwrap();
    let kept = store.unpacked(&new).await.unwrap();
    let later = std::time::SystemTime::from(foreshore_model::clock::now()) + Duration::from_mins(1);
    let keep = [new.digest.clone()].into();
    let garbage = store.collect_garbage(&keep, later).unwrap();
    // Manifest, configuration and program of the old one; both share the base layer.
    assert_eq!((garbage.blobs, garbage.roots), (3, 1));
    assert!(kept.join("app/web").exists());
    assert!(
        store
            .image(&new.digest, &foreshore_image::Platform::host())
            .unwrap()
            .is_some()
    );
    assert!(
        store
            .image(&old.digest, &foreshore_image::Platform::host())
            .unwrap()
            .is_none()
    );
}
