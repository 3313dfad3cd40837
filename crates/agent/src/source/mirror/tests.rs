//! A real repository, fetched and read.

use foreshore_git::{Change, NewCommit, Repository};
use foreshore_model::{Actor, yaml};

use super::*;
use crate::fixture;

const MAIN: &str = "refs/heads/main";
const ENVIRONMENT: &str = "name: dev\nnamespace: shop-dev\n";

fn commit(changes: &[(&str, &str)]) -> NewCommit {
    let actor = Actor::new("ada", "ada@example.org");
    NewCommit {
        changes: changes
            .iter()
            .map(|(path, text)| Change::write(*path, (*text).to_owned()))
            .collect(),
        message: "test".to_owned(),
        author: actor.clone(),
        committer: actor,
        at: "2026-11-20T12:00:00Z".parse().unwrap(),
    }
}

/// Fault 19: what nobody trusted has signed is not deployed, and the commit is named.
#[tokio::test]
async fn an_unsigned_commit_is_not_taken_by_an_agent_that_trusts_signers() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("config.git");
    let repository = Repository::init_bare(&origin).unwrap();
    let made = repository
        .commit(MAIN, None, vec![commit(&[("a", "b")])])
        .unwrap();
    let url = origin.to_str().unwrap();
    let open =
        |name: &str| MirrorSource::open(&folder.path().join(name), url, Credential::None).unwrap();
    let anybody = open("open").trusting(Vec::new());
    assert_eq!(anybody.fetch().await.unwrap(), made[0].to_string());
    let signer = nobodys_key().parse().unwrap();
    let source = open("strict").trusting(vec![signer]);
    let error = source.fetch().await.unwrap_err();
    let SourceError::Frozen { why } = &error else {
        panic!("{error}")
    };
    assert!(why.contains("not signed"), "{why}");
    assert_eq!(source.tip().await.unwrap(), None);
}

/// A public key whose secret half nobody has.
fn nobodys_key() -> String {
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    format!("ed25519:{key}")
}

#[tokio::test]
async fn releases_are_read_from_git_and_rewritten_history_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("config.git");
    let repository = Repository::init_bare(&origin).unwrap();
    let release = yaml::write(&fixture::release(1)).unwrap();
    let files = [
        ("environments/dev/environment.yaml", ENVIRONMENT),
        ("environments/dev/web/release.yaml", release.as_str()),
        (
            "environments/dev/web/manifests/configmap-web.yaml",
            "kind: ConfigMap\n",
        ),
    ];
    repository.commit(MAIN, None, vec![commit(&files)]).unwrap();

    let url = origin.to_str().unwrap();
    let source = MirrorSource::open(&folder.path().join("mirror"), url, Credential::None).unwrap();
    assert_eq!(source.tip().await.unwrap(), None);
    let first = source.fetch().await.unwrap();
    assert_eq!(source.tip().await.unwrap().as_deref(), Some(first.as_str()));
    let environment = source.environment(&first, &fixture::dev()).await.unwrap();
    assert_eq!(environment.environment.namespace, "shop-dev");
    let web = source
        .service(&first, &fixture::dev(), &fixture::web())
        .await
        .unwrap();
    assert_eq!(environment.services[&fixture::web()], web.tree);
    assert_eq!(
        (web.release, web.manifests[0].text.as_str()),
        (fixture::release(1), "kind: ConfigMap\n")
    );
    let absent = source.environment(&first, &"prod".parse().unwrap()).await;
    assert!(
        matches!(absent, Err(SourceError::Unreadable { .. })),
        "absent is an error, not empty"
    );

    let other = repository
        .commit("refs/heads/other", None, vec![commit(&[("a", "b")])])
        .unwrap();
    std::fs::write(origin.join(MAIN), format!("{}\n", other[0])).unwrap();
    assert!(matches!(
        source.fetch().await,
        Err(SourceError::Frozen { .. })
    ));
    assert_eq!(
        source.tip().await.unwrap(),
        Some(first),
        "it stays where it was"
    );
    std::fs::remove_dir_all(&origin).unwrap();
    assert!(matches!(
        source.fetch().await,
        Err(SourceError::Unreachable { .. })
    ));
}
