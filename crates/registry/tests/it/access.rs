//! Who gets in, and what a stolen token cannot do.

use foreshore_image::{ClientError, Credentials, media_type};
use foreshore_registry::Options;

use crate::fixture::{OnlyWeb, Running, image};

fn ci() -> Credentials {
    Credentials::Basic {
        user: "ci".into(),
        password: "token".into(),
    }
}

#[tokio::test]
async fn nobody_is_asked_to_log_in() {
    let running = Running::start_for(OnlyWeb, Options::default()).await;
    let response = reqwest::get(running.url("")).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(
        response.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Basic realm=")
    );
    assert!(
        response
            .text()
            .await
            .unwrap()
            .contains("\"code\":\"UNAUTHORIZED\"")
    );
    let error = running.anyone().ping().await.unwrap_err();
    assert!(error.to_string().contains("wants a login"), "{error}");
    let wrong = Credentials::Basic {
        user: "ci".into(),
        password: "guess".into(),
    };
    let error = running.client(wrong).ping().await.unwrap_err();
    assert!(
        error.to_string().contains("wants other credentials"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_pushes_to_its_own_repository_and_to_no_other() {
    let running = Running::start_for(OnlyWeb, Options::default()).await;
    let store = running.store("here");
    let packed = image(&store, &running.path(""), b"program");
    for credentials in [ci(), Credentials::Bearer("token".into())] {
        let client = running.client(credentials);
        client.ping().await.unwrap();
        store
            .push(&packed, &client, "web", Some("v1"))
            .await
            .unwrap();
        let error = client.push_content("api", b"x").await.unwrap_err();
        assert!(matches!(error, ClientError::Forbidden { .. }), "{error}");
        let error = client
            .push_manifest("api", Some("v1"), media_type::MANIFEST, b"{}")
            .await
            .unwrap_err();
        assert!(matches!(error, ClientError::Forbidden { .. }), "{error}");
        let error = client.delete_manifest("web", "v1").await.unwrap_err();
        assert!(matches!(error, ClientError::Forbidden { .. }), "{error}");
    }
    assert_eq!(running.registry.repositories(), ["web"]);
}

#[tokio::test]
async fn a_blob_cannot_be_mounted_from_where_one_may_not_read() {
    let running = Running::start_for(OnlyWeb, Options::default()).await;
    let secret = running.registry.clone();
    let digest = foreshore_model::Digest::of(b"secret");
    // The registry's own door: what another service pushed.
    let running_for_all = secret.router(std::sync::Arc::new(crate::fixture::Everyone));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, running_for_all).await });
    let anyone =
        foreshore_image::RegistryClient::new(&open, foreshore_image::ClientOptions::default())
            .unwrap();
    anyone.push_content("api", b"secret").await.unwrap();

    let mount = running.url(&format!("web/blobs/uploads/?mount={digest}&from=api"));
    let client = reqwest::Client::new();
    let response = client
        .post(mount)
        .basic_auth("ci", Some("token"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202, "an upload is offered instead");
    let blob = running.url(&format!("web/blobs/{digest}"));
    let response = client
        .get(blob)
        .basic_auth("ci", Some("token"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.status(),
        404,
        "content of other repositories is not told apart from none"
    );
}
