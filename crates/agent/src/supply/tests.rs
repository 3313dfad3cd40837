//! What the agent takes for genuine, against a registry that signs and one that does not.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use axum::Json;
use axum::routing::get;
use foreshore_artifact::{SIGNATURE_TYPE, SigningKey};
use foreshore_image::Descriptor;
use foreshore_model::artifact::{ARTIFACT_TYPE, PlanStamp, Source};
use foreshore_model::{ArtifactId, ArtifactRecord, Scenario};
use foreshore_registry::{
    Action, Authorizer, Credentials as Shown, Decision, Options, Registry, Testimony, Witness,
};
use serde_json::json;

use super::*;
use crate::fixture;

/// A Deployment whose image is the artifact's own.
const MANIFEST: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: web, image: 'registry.foreshore.local/web@sha256:00'}]}}}\n";

#[derive(Debug)]
struct Signer(SigningKey);

impl Witness for Signer {
    fn artifact_type(&self) -> &str {
        SIGNATURE_TYPE
    }

    fn testify(&self, repository: &str, arrived: &Descriptor) -> Option<Testimony> {
        (arrived.artifact_type.as_deref() == Some(ARTIFACT_TYPE)).then(|| {
            let signed = self.0.sign(repository, arrived.clone());
            Testimony {
                blobs: signed.blobs,
                manifest: signed.manifest,
            }
        })
    }
}

struct Everyone;

impl Authorizer for Everyone {
    fn authorize(&self, _: Option<&Shown>, _: Action, _: &str) -> Decision {
        Decision::Allowed
    }
}

/// A registry that signs with one key, or with none, and a server that names it.
struct Door {
    folder: tempfile::TempDir,
    address: String,
    key: PublicKey,
}

impl Door {
    async fn open(signs: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::read(&SigningKey::draw().unwrap()).unwrap();
        let public = key.public();
        let options = Options {
            witness: signs.then(|| Arc::new(Signer(key)) as Arc<dyn Witness>),
            ..Options::default()
        };
        let registry = Registry::open(folder.path(), options).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let info = json!({
            "version": "1", "registry": address, "environments": [], "signing_key": public.to_string(),
        });
        let router = registry
            .router(Arc::new(Everyone))
            .route("/api/v1/info", get(move || async move { Json(info) }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            folder,
            address,
            key: public,
        }
    }

    fn supply(&self, trust: Trust) -> Supply {
        Supply::new(SupplyOptions {
            registry: self.address.clone(),
            token: "token".to_owned().into(),
            trust,
        })
        .unwrap()
    }

    fn trusting(&self, key: &PublicKey) -> Supply {
        self.supply(Trust::Keys(vec![key.clone()]))
    }

    /// What an agent gets that was told nothing: the first key that the server at `address` names.
    fn first(&self, address: &str, pin: &Path) -> Supply {
        self.supply(Trust::First {
            server: ServerOptions {
                url: format!("http://{address}").parse().unwrap(),
                token: "token".to_owned().into(),
            },
            pin: pin.to_owned(),
        })
    }

    /// Pushes an artifact and returns the release of it, as an agent reads it from git.
    async fn released(&self) -> Desired {
        let client = RegistryClient::new(&self.address, ClientOptions::default()).unwrap();
        let record = record();
        let pushed = foreshore_artifact::push(&client, &record).await.unwrap();
        let mut files = fixture::files(1, &[MANIFEST]);
        files.release.artifact = pushed.digest().clone();
        files.manifests_tree = tree(&record.manifests[&fixture::dev()]);
        files.checks = vec![check("smoke")];
        let read = crate::desired::desired(
            files,
            &fixture::dev(),
            &fixture::web(),
            "shop-dev",
            "c0ffee",
        );
        read.unwrap()
    }
}

fn check(name: &str) -> Check {
    Check {
        name: name.to_owned(),
        scenario: Scenario::Text("GET /\n".to_owned()),
        environments: Vec::new(),
        gate: true,
        profile: None,
        outside: false,
        files: BTreeMap::new(),
    }
}

fn record() -> ArtifactRecord {
    let plan = Digest::of(b"plan");
    ArtifactRecord {
        id: ArtifactId::from_parts("main", "0123456789abcdef", plan.hex()),
        service: fixture::web(),
        owner: "shop".into(),
        source: Source {
            commit: "0123456789abcdef".into(),
            branch: "main".into(),
            tag: None,
            author: "Ada <ada@example.org>".into(),
            message: "m".into(),
            committed_at: jiff::Timestamp::UNIX_EPOCH,
            modified: false,
        },
        plan: PlanStamp {
            name: "rust-service".into(),
            hash: plan,
            commit: None,
            reference: String::new(),
        },
        tool: "1".into(),
        images: BTreeMap::new(),
        manifests: [(
            fixture::dev(),
            [("deployment-web.yaml".to_owned(), MANIFEST.to_owned())].into(),
        )]
        .into(),
        stages: Vec::new(),
        ci: None,
        checks: vec![check("smoke")],
        definition: String::new(),
    }
}

/// What git calls a folder of these files.
fn tree(files: &BTreeMap<String, String>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let git = |words: &[&str]| {
        let output = Command::new("git")
            .args(words)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {words:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet", "."]);
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    git(&["add", "--all"]);
    git(&["write-tree"])
}

async fn reason(supply: &Supply, desired: &Desired) -> &'static str {
    let error = supply.verify(desired).await.expect_err("is refused");
    assert_eq!(
        error.is_refusal(),
        error.reason() != "RegistryUnavailable",
        "{error}"
    );
    error.reason()
}

#[tokio::test]
async fn a_release_is_genuine_when_a_trusted_door_took_in_exactly_its_bytes() {
    let door = Door::open(true).await;
    let supply = door.trusting(&door.key);
    let released = door.released().await;
    supply.verify(&released).await.unwrap();

    let mut changed = released.clone();
    changed.manifests_tree = tree(&[("deployment-web.yaml".to_owned(), "x".to_owned())].into());
    assert_eq!(reason(&supply, &changed).await, "ArtifactReplaced");
    let mut more = released.clone();
    more.checks.push(check("attack"));
    assert_eq!(reason(&supply, &more).await, "ArtifactReplaced");
    let mut elsewhere = released.clone();
    elsewhere.release.environment = "prod".parse().unwrap();
    assert_eq!(reason(&supply, &elsewhere).await, "ArtifactReplaced");
    let mut lost = released.clone();
    lost.release.artifact = Digest::of(b"lost");
    assert_eq!(reason(&supply, &lost).await, "ArtifactMissing");
    supply.verify(&released).await.unwrap();
}

#[tokio::test]
async fn without_a_signature_of_a_trusted_key_nothing_is_genuine() {
    let door = Door::open(false).await;
    let released = door.released().await;
    assert_eq!(
        reason(&door.trusting(&door.key), &released).await,
        "ArtifactUnsigned"
    );
    let (door, stranger) = (Door::open(true).await, Door::open(true).await);
    let released = door.released().await;
    assert_eq!(
        reason(&door.trusting(&stranger.key), &released).await,
        "ArtifactForged"
    );
    assert_eq!(
        reason(&door.supply(Trust::Keys(Vec::new())), &released).await,
        "NoTrustedKey"
    );
    let both = vec![stranger.key.clone(), door.key.clone()];
    door.supply(Trust::Keys(both))
        .verify(&released)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_first_key_that_the_server_names_is_kept_and_another_is_not_taken() {
    let (door, stranger) = (Door::open(true).await, Door::open(true).await);
    let released = door.released().await;
    let pin = door.folder.path().join("trusted.key");
    door.first(&door.address, &pin)
        .verify(&released)
        .await
        .unwrap();
    assert_eq!(
        std::fs::read_to_string(&pin).unwrap(),
        format!("{}\n", door.key)
    );
    // Another server answers there now, and signs with a key of its own.
    let theirs = stranger.released().await;
    assert_eq!(
        reason(&stranger.first(&stranger.address, &pin), &theirs).await,
        "ArtifactForged"
    );
    std::fs::write(&pin, "x").unwrap();
    assert_eq!(
        reason(&door.first(&door.address, &pin), &released).await,
        "NoTrustedKey"
    );
}

#[tokio::test]
async fn a_registry_that_is_away_is_no_refusal() {
    let door = Door::open(true).await;
    let released = door.released().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let supply = Supply::new(SupplyOptions {
        registry: nobody,
        token: "token".to_owned().into(),
        trust: Trust::Keys(vec![door.key.clone()]),
    });
    assert_eq!(
        reason(&supply.unwrap(), &released).await,
        "RegistryUnavailable"
    );
}

#[tokio::test]
async fn images_of_the_artifact_itself_are_named_where_this_agent_finds_them() {
    let door = Door::open(true).await;
    let released = door.released().await;
    let image = |desired: &Desired| {
        let path = "/spec/template/spec/containers/0/image";
        desired.objects[0].pointer(path).unwrap().clone()
    };
    let supply = door.trusting(&door.key);
    let ready = located(Some(&supply), Ok(released.clone())).unwrap();
    assert_eq!(image(&ready), format!("{}/web@sha256:00", door.address));
    let error = located(None, Ok(released)).unwrap_err();
    assert!(matches!(error, LocateError::NoRegistry { .. }), "{error}");
}
