//! Another implementation of the protocol, from the distribution's package.

use foreshore_image::{PullOptions, Reference};
use foreshore_registry::Options;
use tokio::process::Command;

use crate::fixture::{OnlyWeb, Running, image};

pub(crate) async fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo")
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await;
    let output = output.expect("skopeo is installed; it is a package of the same name");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn skopeo_copies_out_and_in_without_changing_a_byte() {
    let running = Running::start(Options::default()).await;
    let store = running.store("here");
    let packed = image(&store, &running.path(""), b"program");
    store
        .push(&packed, &running.anyone(), "web", Some("v1"))
        .await
        .unwrap();
    let name = |tag: &str| format!("docker://{}/web:{tag}", running.address);
    let layout = format!("oci:{}:v1", running.path("layout").display());
    skopeo(&["copy", "--src-tls-verify=false", &name("v1"), &layout]).await;
    skopeo(&["copy", "--dest-tls-verify=false", &layout, &name("v2")]).await;
    assert_eq!(
        running.anyone().resolve("web", "v2").await.unwrap(),
        packed.digest
    );
    let inspected = skopeo(&["inspect", "--tls-verify=false", &name("v2")]).await;
    assert!(inspected.contains(packed.digest.as_str()), "{inspected}");
    let reference: Reference = format!("{}/web:v2", running.address).parse().unwrap();
    let there = running.store("there");
    let pulled = there
        .pull(&reference, &PullOptions::default())
        .await
        .unwrap();
    there.unpacked(&pulled).await.unwrap();
}

#[tokio::test]
async fn skopeo_copies_between_repositories_and_deletes() {
    let running = Running::start(Options::default()).await;
    let store = running.store("here");
    let packed = image(&store, &running.path(""), b"program");
    store
        .push(&packed, &running.anyone(), "web", Some("v1"))
        .await
        .unwrap();
    let name = |name: &str| format!("docker://{}/{name}", running.address);
    let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo(&[
        "copy",
        plain[0],
        plain[1],
        &name("web:v1"),
        &name("team/copy:v1"),
    ])
    .await;
    assert_eq!(
        running.anyone().resolve("team/copy", "v1").await.unwrap(),
        packed.digest
    );
    assert_eq!(running.files(), (4, 0), "content is stored once");
    let tags = skopeo(&["list-tags", "--tls-verify=false", &name("team/copy")]).await;
    assert!(tags.contains("v1"), "{tags}");
    skopeo(&["delete", "--tls-verify=false", &name("team/copy:v1")]).await;
    assert!(
        running
            .anyone()
            .resolve("team/copy", "v1")
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn skopeo_logs_in_with_a_name_and_a_token() {
    let running = Running::start_for(OnlyWeb, Options::default()).await;
    let store = running.store("here");
    let packed = image(&store, &running.path(""), b"program");
    let layout = format!("oci:{}:v1", running.path("here").display());
    let web = format!("docker://{}/web:v1", running.address);
    let manifest = store.blobs().path(&packed.digest);
    assert!(manifest.exists());
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": foreshore_image::media_type::MANIFEST,
        "digest": packed.digest,
        "size": manifest.metadata().unwrap().len(),
        "annotations": { "org.opencontainers.image.ref.name": "v1" },
    }]});
    std::fs::write(running.path("here/index.json"), index.to_string()).unwrap();
    let login = ["--dest-tls-verify=false", "--dest-creds", "ci:token"];
    skopeo(&["copy", login[0], login[1], login[2], &layout, &web]).await;
    let refused = Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", &web])
        .output()
        .await
        .unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("authentication required") || said.contains("unauthorized"),
        "{said}"
    );
}
