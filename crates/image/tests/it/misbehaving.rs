//! What a registry can do wrong, and what is said about it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use foreshore_image::{ClientOptions, Index, PullError, PullOptions};
use foreshore_model::chain;

use crate::fixture::{Scripted, descriptor, response};

fn is(request: &Request, part: &str) -> bool {
    request.uri().path().contains(part)
}

fn impatient() -> PullOptions {
    let client = ClientOptions {
        idle_timeout: Duration::from_millis(100),
        ..ClientOptions::default()
    };
    PullOptions {
        client,
        ..PullOptions::default()
    }
}

#[tokio::test]
async fn content_under_a_wrong_digest_is_refused() {
    let scripted =
        Scripted::start(|request| is(request, "/blobs/").then(|| response(200, "something else")))
            .await;
    let error = scripted.pull(&PullOptions::default()).await.unwrap_err();
    assert!(
        matches!(
            error,
            PullError::Mismatch { .. } | PullError::Refused { .. }
        ),
        "{error}"
    );
    scripted.until_nothing_is_unfinished().await;
    let scripted =
        Scripted::start(|request| is(request, "/manifests/sha256").then(|| response(200, "{}")))
            .await;
    let reference = format!("{}/web@{}", scripted.address, scripted.image.digest)
        .parse()
        .unwrap();
    let error = scripted
        .store()
        .pull(&reference, &PullOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, PullError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn a_layer_that_never_ends_is_cut_at_its_announced_size() {
    let scripted = Scripted::start(|request| {
        let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 65536]));
        is(request, "/blobs/").then(|| response(200, Body::from_stream(endless)))
    })
    .await;
    let error = scripted.pull(&PullOptions::default()).await.unwrap_err();
    assert!(
        chain(&error).contains("more than the allowed"),
        "{}",
        chain(&error)
    );
    scripted.until_nothing_is_unfinished().await;
}

#[tokio::test]
async fn a_registry_that_falls_silent_is_given_up() {
    for part in ["/manifests/", "/blobs/"] {
        let scripted = Scripted::start(move |request| {
            let silent = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
            is(request, part).then(|| response(200, Body::from_stream(silent)))
        })
        .await;
        let error = scripted.pull(&impatient()).await.unwrap_err();
        assert!(
            matches!(error, PullError::Unreachable { .. }),
            "{part}: {error}"
        );
        scripted.until_nothing_is_unfinished().await;
    }
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_and_a_broken_one_is_named() {
    let refusals = AtomicUsize::new(2);
    let scripted = Scripted::start(move |request| {
        let refuse = is(request, "/manifests/")
            && refusals
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok();
        refuse.then(|| {
            let mut busy = response(429, "");
            busy.headers_mut()
                .insert("retry-after", "0".parse().unwrap());
            busy
        })
    })
    .await;
    scripted.pull(&PullOptions::default()).await.unwrap();
    assert_eq!(scripted.times_asked("/manifests/v1"), 3);

    let body = r#"{"errors":[{"code":"UNKNOWN","message":"disk on fire"}]}"#;
    let scripted = Scripted::start(move |_| Some(response(500, body))).await;
    let error = scripted.pull(&PullOptions::default()).await.unwrap_err();
    assert!(
        chain(&error).ends_with("answered 500 for `web:v1`: UNKNOWN disk on fire"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn the_image_for_this_machine_is_chosen_from_several() {
    let scripted = Scripted::start(|_| None).await;
    let own = scripted.image.manifest.clone();
    let mut other = own.clone();
    other.annotations.insert("for".into(), "others".into());
    let host = foreshore_image::Platform::host();
    let host = format!("{}/{}", host.os, host.architecture);
    let index = |manifests| Index {
        schema_version: 2,
        media_type: None,
        artifact_type: None,
        manifests,
        subject: None,
        annotations: BTreeMap::new(),
    };
    let serve = |index: Index| {
        let content = serde_json::to_vec(&index).unwrap();
        Scripted::start(move |request| {
            is(request, "/manifests/v1").then(|| response(200, content.clone()))
        })
    };
    let both = serve(index(vec![
        descriptor(&other, "linux/s390x"),
        descriptor(&own, &host),
    ]))
    .await;
    assert_eq!(
        both.pull(&PullOptions::default()).await.unwrap().digest,
        both.image.digest
    );
    let again = PullOptions {
        policy: foreshore_image::Policy::Never,
        ..PullOptions::default()
    };
    assert_eq!(both.pull(&again).await.unwrap().digest, both.image.digest);
    let none = serve(index(vec![descriptor(&other, "linux/s390x")])).await;
    let error = none.pull(&PullOptions::default()).await.unwrap_err();
    assert!(
        chain(&error).ends_with("only linux/s390x"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn nonsense_instead_of_a_manifest_is_told_as_such() {
    for nonsense in ["", "null", "[]", "{\"schemaVersion\":1}", "<html>"] {
        let scripted = Scripted::start(move |request| {
            is(request, "/manifests/").then(|| response(200, nonsense))
        })
        .await;
        let error = scripted.pull(&PullOptions::default()).await.unwrap_err();
        assert!(
            matches!(error, PullError::Manifest { .. }),
            "{nonsense}: {error}"
        );
    }
}
