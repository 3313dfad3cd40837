//! Plans from git repositories and from a real registry, pinned, kept, and refused when they are poisoned.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails the test"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use foreshore_git::Credential;
use foreshore_image::{ClientOptions, RegistryClient};
use foreshore_model::Lock;
use foreshore_plan::{Cache, Content, ResolveError, Resolver, overloaded};
use foreshore_registry::{Action, Authorizer, Credentials, Decision, Options, Registry};

struct Everyone;

impl Authorizer for Everyone {
    fn authorize(&self, _: Option<&Credentials>, _: Action, _: &str) -> Decision {
        Decision::Allowed
    }
}

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    /// A repository with one plan at the top and another in a folder.
    fn new() -> Self {
        let fixture = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fixture.write("plan.yaml", "name: top\ndescription: d\n");
        fixture.write("other/plan.yaml", "name: other\ndescription: d\n");
        fixture.git(&["init", "--quiet", "--initial-branch=main", "."]);
        fixture.commit("first");
        fixture
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("plans.git")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.repository().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=Ada",
                "-c",
                "user.email=ada@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(self.repository())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn plan(&self, head: &str) -> String {
        format!("file://{}{head}", self.repository().display())
    }

    fn resolver(&self) -> Resolver {
        Resolver {
            cache: Cache::new(self.folder.path().join("cache")),
            credential: Credential::None,
            registry: ClientOptions::default(),
            offline: false,
        }
    }

    async fn newest(&self, head: &str, before: Option<&Lock>) -> Result<String, ResolveError> {
        let fetched = self.resolver().newest(&self.plan(head), before).await?;
        Ok(fetched.lock.commit.unwrap())
    }
}

#[tokio::test]
async fn branch_tag_commit_and_folder_lead_to_the_plan() {
    let fixture = Fixture::new();
    let first = fixture.git(&["rev-parse", "HEAD"]);
    fixture.git(&["tag", "v1"]);
    fixture.git(&["tag", "--annotate", "--message", "m", "v1-signed"]);
    fixture.write("plan.yaml", "name: newer\ndescription: d\n");
    let second = fixture.commit("second");
    for (head, expected) in [
        ("", &second),
        ("#main", &second),
        ("#v1", &first),
        ("#v1-signed", &first),
        (format!("#{first}").as_str(), &first),
        ("//other#main", &second),
    ] {
        assert_eq!(
            fixture.newest(head, None).await.unwrap(),
            *expected,
            "{head}"
        );
    }
    let other = fixture
        .resolver()
        .newest(&fixture.plan("//other"), None)
        .await
        .unwrap();
    let plan = foreshore_plan::assemble("x", &other.content).unwrap();
    assert_eq!(plan.file.name, "other");
}

#[tokio::test]
async fn what_is_pinned_needs_no_network_and_survives_a_damaged_cache() {
    let fixture = Fixture::new();
    let fetched = fixture
        .resolver()
        .newest(&fixture.plan("#main"), None)
        .await
        .unwrap();
    let offline = Resolver {
        offline: true,
        ..fixture.resolver()
    };
    assert_eq!(offline.pinned(&fetched.lock).await.unwrap(), fetched);
    assert!(matches!(
        offline.newest(&fetched.lock.plan, None).await,
        Err(ResolveError::Offline { .. })
    ));
    fs::write(fetched.directory.join("plan.yaml"), "changed").unwrap();
    fs::rename(fixture.repository(), fixture.folder.path().join("gone")).unwrap();
    let again = fixture.resolver().pinned(&fetched.lock).await.unwrap();
    assert_eq!(
        again.content, fetched.content,
        "the objects are still in the cache"
    );
}

#[tokio::test]
async fn a_moved_tag_a_lost_commit_and_other_content_are_refused() {
    let fixture = Fixture::new();
    fixture.git(&["tag", "v1"]);
    let before = fixture
        .resolver()
        .newest(&fixture.plan("#v1"), None)
        .await
        .unwrap()
        .lock;
    fixture.write("plan.yaml", "name: newer\ndescription: d\n");
    fixture.commit("second");
    fixture.git(&["tag", "--force", "v1"]);
    let error = fixture.newest("#v1", Some(&before)).await.unwrap_err();
    assert!(matches!(error, ResolveError::MovedTag { .. }), "{error}");

    let mut wrong = before.clone();
    wrong.hash = foreshore_model::Digest::of(b"another");
    let error = fixture.resolver().pinned(&wrong).await.unwrap_err();
    assert!(matches!(error, ResolveError::WrongHash { .. }), "{error}");

    let mut lost = wrong.clone();
    lost.commit = Some("0".repeat(40));
    assert!(fixture.resolver().pinned(&lost).await.is_err());
    for head in ["#nope", &format!("#{}", "0".repeat(40)), "//nope"] {
        assert!(fixture.newest(head, None).await.is_err(), "{head}");
    }
}

#[tokio::test]
async fn a_poisoned_repository_is_refused() {
    let fixture = Fixture::new();
    std::os::unix::fs::symlink("/etc/passwd", fixture.repository().join("templates")).unwrap();
    fixture.commit("a link");
    let error = fixture
        .resolver()
        .newest(&fixture.plan(""), None)
        .await
        .unwrap_err();
    assert!(matches!(error, ResolveError::Git { .. }), "{error}");
    fs::remove_file(fixture.repository().join("templates")).unwrap();
    fixture.write("large", &"x".repeat(5 * 1024 * 1024));
    fixture.commit("a large file");
    let error = fixture
        .resolver()
        .newest(&fixture.plan(""), None)
        .await
        .unwrap_err();
    assert!(matches!(error, ResolveError::Git { .. }), "{error}");
}

#[tokio::test]
async fn an_unpinned_reference_stays_where_it_was_until_it_is_refreshed() {
    let fixture = Fixture::new();
    let plan = fixture.plan("#main");
    let first = fixture.resolver().unpinned(&plan).await.unwrap();
    fixture.write("plan.yaml", "name: newer\ndescription: d\n");
    fixture.commit("second");
    assert_eq!(fixture.resolver().unpinned(&plan).await.unwrap(), first);
    let refreshed = fixture.resolver().refreshed(&plan).await.unwrap();
    assert_ne!(refreshed.lock, first.lock);
    assert_eq!(fixture.resolver().unpinned(&plan).await.unwrap(), refreshed);
}

#[tokio::test]
async fn a_plan_goes_to_a_registry_and_comes_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path(), Options::default()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = registry.router(Arc::new(Everyone));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = RegistryClient::new(&address, ClientOptions::default()).unwrap();

    let fixture = Fixture::new();
    let content = Content::of_directory(&fixture.repository()).unwrap();
    let digest = foreshore_plan::push(&client, "plans/top", "v1", &content)
        .await
        .unwrap();
    let plan = format!("oci://{address}/plans/top:v1");
    let fetched = fixture.resolver().newest(&plan, None).await.unwrap();
    assert_eq!(
        (&fetched.content, fetched.lock.manifest.as_ref()),
        (&content, Some(&digest))
    );

    // The tag may point elsewhere now; what is pinned is taken by its digest.
    let mut other = Content::default();
    let bytes = b"name: x\ndescription: d\n".to_vec();
    other
        .add(
            "plan.yaml",
            foreshore_plan::File {
                bytes,
                executable: false,
            },
        )
        .unwrap();
    foreshore_plan::push(&client, "plans/top", "v1", &other)
        .await
        .unwrap();
    let empty = Resolver {
        cache: Cache::new(fixture.folder.path().join("empty")),
        ..fixture.resolver()
    };
    assert_eq!(empty.pinned(&fetched.lock).await.unwrap().content, content);
    let missing = format!("oci://{address}/plans/nope:v1");
    assert!(matches!(
        fixture.resolver().newest(&missing, None).await,
        Err(ResolveError::Registry { .. })
    ));
}

#[test]
fn an_overload_changes_the_head_or_the_whole_plan() {
    let plan = "https://git.example.org/plan.git#main";
    assert_eq!(
        overloaded(plan, "#v2").unwrap(),
        "https://git.example.org/plan.git#v2"
    );
    assert_eq!(overloaded(plan, "../mine").unwrap(), "../mine");
    assert!(overloaded("../mine", "#v2").is_err());
    assert!(overloaded(plan, "#--x").is_err());
}
