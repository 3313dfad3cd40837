//! The same client against ours and against Debian's `docker-registry`, a second implementation of the protocol.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use foreshore_image::{
    ClientError, ClientOptions, Descriptor, Manifest, PullOptions, PushedBlob, Reference,
    RegistryClient, Store, media_type,
};
use foreshore_model::Digest;
use foreshore_registry::Options;

use crate::fixture::{Running, image, not_run};

const PROGRAM: &str = "docker-registry";
const PATIENCE: Duration = Duration::from_mins(1);

/// A process of the other registry; ends with the test.
struct Other {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Other {
    /// Starts it; none where the package is not installed.
    async fn start(test: &str) -> Option<Self> {
        let found = std::env::split_paths(&path()).any(|folder| folder.join(PROGRAM).is_file());
        if !found {
            not_run(test, &format!("no {PROGRAM} (Debian package of that name)"));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            // It takes no socket of ours, so a free port is tried until nobody else was faster.
            let address = {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                listener.local_addr().unwrap().to_string()
            };
            let mut other = Self::spawn(folder.path(), &address);
            if other.answers(deadline).await {
                return Some(Self {
                    process: other.process.take().unwrap(),
                    address,
                    folder,
                });
            }
            assert!(Instant::now() < deadline, "{PROGRAM} does not start");
        }
    }

    fn spawn(folder: &Path, address: &str) -> Starting {
        let configuration = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}/data}}, delete: {{enabled: true}}}}\n\
             http: {{addr: {address}}}\n",
            folder.display()
        );
        let file = folder.join("config.yml");
        std::fs::write(&file, configuration).unwrap();
        let process = Command::new(PROGRAM)
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Starting {
            process: Some(process),
            address: address.to_owned(),
        }
    }
}

/// A process that may not come up.
struct Starting {
    process: Option<Child>,
    address: String,
}

impl Starting {
    async fn answers(&mut self, deadline: Instant) -> bool {
        let client = client(&self.address);
        let process = self.process.as_mut().unwrap();
        while Instant::now() < deadline {
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            if client.ping().await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(process.kill());
        drop(process.wait());
        false
    }
}

fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

fn client(address: &str) -> RegistryClient {
    RegistryClient::new(address, ClientOptions::default()).unwrap()
}

fn about(subject: Descriptor) -> Vec<u8> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: Some("application/vnd.example".to_owned()),
        config: Descriptor::of(media_type::EMPTY, b"{}"),
        layers: vec![Descriptor::of(media_type::EMPTY, b"{}")],
        subject: Some(subject),
        annotations: [].into(),
    };
    serde_json::to_vec(&manifest).unwrap()
}

/// What every registry must do for us; returns how many referrers it told of.
async fn what_we_need(address: &str, folder: &Path) -> usize {
    let client = client(address);
    let here = Store::open(&folder.join("here")).unwrap();
    let packed = image(&here, folder, b"program");
    let push = |tag| here.push(&packed, &client, "team/web", tag);
    assert_eq!(push(Some("v1")).await.unwrap(), PushedBlob::Uploaded);
    assert_eq!(push(Some("v1")).await.unwrap(), PushedBlob::AlreadyThere);
    push(Some("v2")).await.unwrap();
    assert_eq!(client.list_tags("team/web").await.unwrap(), ["v1", "v2"]);
    assert_eq!(
        client.resolve("team/web", "v1").await.unwrap(),
        packed.digest
    );
    let by_digest = client
        .manifest("team/web", packed.digest.as_str())
        .await
        .unwrap();
    assert_eq!(Digest::of(&by_digest.content), packed.digest);

    let there = Store::open(&folder.join("there")).unwrap();
    let reference: Reference = format!("{address}/team/web:v1").parse().unwrap();
    let pulled = there
        .pull(&reference, &PullOptions::default())
        .await
        .unwrap();
    assert_eq!(pulled.digest, packed.digest);
    there.unpacked(&pulled).await.unwrap();

    for missing in ["v9", Digest::of(b"nothing").as_str()] {
        let error = client.manifest("team/web", missing).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
    }
    assert!(
        !client
            .has_blob("team/web", &Digest::of(b"nothing"))
            .await
            .unwrap()
    );
    let incomplete = about(Descriptor::of(media_type::MANIFEST, &by_digest.content));
    let other = client.push_manifest("empty", Some("v1"), media_type::MANIFEST, &incomplete);
    let error = other.await.unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Answered { .. } | ClientError::NotFound { .. }
        ),
        "{error}"
    );
    assert!(
        client
            .manifest("empty", "v1")
            .await
            .unwrap_err()
            .is_not_found()
    );

    client.push_content("team/web", b"{}").await.unwrap();
    let subject = Descriptor::of(media_type::MANIFEST, &by_digest.content);
    client
        .push_manifest("team/web", None, media_type::MANIFEST, &about(subject))
        .await
        .unwrap();
    let referrers = client
        .referrers("team/web", &packed.digest, None)
        .await
        .unwrap();
    client
        .delete_manifest("team/web", packed.digest.as_str())
        .await
        .unwrap();
    assert!(
        client
            .resolve("team/web", "v1")
            .await
            .unwrap_err()
            .is_not_found()
    );
    referrers.len()
}

#[tokio::test]
async fn ours_does_all_we_need() {
    let running = Running::start(Options::default()).await;
    assert_eq!(what_we_need(&running.address, &running.path("")).await, 1);
}

#[tokio::test]
async fn debians_does_all_we_need() {
    let Some(other) = Other::start("debians_does_all_we_need").await else {
        return;
    };
    // Version 2 knows no referrers; it is asked, and has none to tell.
    assert_eq!(what_we_need(&other.address, other.folder.path()).await, 0);
}

#[tokio::test]
async fn skopeo_carries_an_image_from_ours_to_debians_and_back() {
    let Some(other) = Other::start("skopeo_carries_an_image_from_ours_to_debians_and_back").await
    else {
        return;
    };
    let running = Running::start(Options::default()).await;
    let store = running.store("here");
    let packed = image(&store, &running.path(""), b"program");
    store
        .push(&packed, &running.anyone(), "web", Some("v1"))
        .await
        .unwrap();
    let (ours, theirs) = (&running.address, &other.address);
    for (from, to) in [
        (format!("{ours}/web:v1"), format!("{theirs}/web:v1")),
        (format!("{theirs}/web:v1"), format!("{ours}/back:v1")),
    ] {
        let (from, to) = (format!("docker://{from}"), format!("docker://{to}"));
        let plain = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
        crate::skopeo::skopeo(&[&plain[..], &[&from, &to]].concat()).await;
    }
    assert_eq!(
        client(theirs).resolve("web", "v1").await.unwrap(),
        packed.digest
    );
    assert_eq!(
        running.anyone().resolve("back", "v1").await.unwrap(),
        packed.digest
    );
}
