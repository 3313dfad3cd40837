//! A disk that is full: the push is refused in the protocol's words, and what was acknowledged stays.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use foreshore_image::{ClientError, ClientOptions, RegistryClient, Store, media_type};
use foreshore_model::Digest;
use foreshore_registry::{Options, Registry};

use crate::fixture::{Everyone, image, not_run};

/// Set where this program runs a second time, beside a small disk.
const SMALL_DISK: &str = "FORESHORE_TEST_SMALL_DISK";

#[tokio::test]
async fn a_full_disk_refuses_a_push_and_loses_nothing() {
    if let Some(folder) = small_disk() {
        on_a_small_disk(Path::new(&folder)).await;
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=4m none \"$1\" || exit 77; shift; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", mount, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "full::a_full_disk_refuses_a_push_and_loses_nothing",
            "--nocapture",
        ])
        .env(SMALL_DISK, folder.path())
        .output();
    let said = |output: &std::process::Output| {
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) if said(&output).contains("panicked") => panic!("{}", said(&output)),
        other => not_run(
            "a_full_disk_refuses_a_push_and_loses_nothing",
            &format!(
                "no small disk here: {:?}",
                other.map(|output| said(&output))
            ),
        ),
    }
}

fn small_disk() -> Option<std::ffi::OsString> {
    std::env::var_os(SMALL_DISK)
}

async fn on_a_small_disk(folder: &Path) {
    let registry = Registry::open(&folder.join("registry"), Options::default()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = registry.router(Arc::new(Everyone));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = RegistryClient::new(&address, ClientOptions::default()).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let store = Store::open(&elsewhere.path().join("store")).unwrap();
    let packed = image(&store, elsewhere.path(), b"small");
    store
        .push(&packed, &client, "web", Some("v1"))
        .await
        .unwrap();

    let large = vec![7; 8 << 20];
    let digest = store.blobs().put(&large).unwrap();
    let error = client
        .push_blob("web", &digest, store.blobs())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Answered { status: 507, .. } | ClientError::Unreachable { .. }
        ),
        "{error:?}"
    );
    assert!(!client.has_blob("web", &digest).await.unwrap());
    assert_eq!(client.resolve("web", "v1").await.unwrap(), packed.digest);
    let unfinished = std::fs::read_dir(folder.join("registry/incoming"))
        .unwrap()
        .count();
    assert_eq!(unfinished, 0, "what did not fit is removed");
    // There is room again: the same registry goes on.
    client.push_content("web", b"fits").await.unwrap();
    let manifest = client.manifest("web", "v1").await.unwrap();
    assert_eq!(Digest::of(&manifest.content), packed.digest);
    assert_eq!(manifest.media_type, media_type::MANIFEST);
}
