//! Following a repository elsewhere, and refusing what is not its future.

use foreshore_config_repo::{Mirror, MirrorError};
use foreshore_git::{
    Change, CommitKey, Credential, Expected, FetchError, RefUpdate, Remote, Repository,
};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

use crate::fixture::{MAIN, by_hand, repository};

fn mirror(folder: &tempfile::TempDir, repository: &Repository) -> Mirror {
    let remote = Remote::new(repository.path().to_str().unwrap(), Credential::None);
    Mirror::open(&folder.path().join("mirror.git"), remote).unwrap()
}

fn point_main_at(repository: &Repository, to: Option<&foreshore_git::ObjectId>) {
    let tip = repository.resolve(MAIN).unwrap();
    let update = RefUpdate {
        name: MAIN.to_owned(),
        new: to.cloned(),
        expected: Expected::of(tip.as_ref()),
    };
    repository.update_refs(&[update]).unwrap();
}

#[test]
fn a_mirror_follows_and_works_on_without_the_other_side() {
    let (folder, repository) = repository();
    let mirror = mirror(&folder, &repository);
    assert_eq!(mirror.tip().unwrap(), None);
    let first = mirror.fetch().unwrap();
    let second = by_hand(&repository, vec![Change::write("a", "1")]);
    assert_eq!(mirror.fetch().unwrap(), second);
    std::fs::rename(repository.path(), folder.path().join("gone.git")).unwrap();
    let error = mirror.fetch().unwrap_err();
    assert!(
        matches!(error, MirrorError::Fetch(FetchError::NoRepository { .. })),
        "{error}"
    );
    assert_eq!(mirror.tip().unwrap(), Some(second.clone()));
    let snapshot = mirror.snapshot(&second, None).unwrap();
    assert_eq!(snapshot.environment_names().count(), 2);
    assert_ne!(first, second);
}

#[test]
fn a_rewritten_put_back_or_vanished_branch_freezes_the_mirror() {
    let (folder, repository) = repository();
    let first = repository.resolve(MAIN).unwrap().unwrap();
    let second = by_hand(&repository, vec![Change::write("a", "1")]);
    let mirror = mirror(&folder, &repository);
    mirror.fetch().unwrap();
    let frozen = || {
        let error = mirror.fetch().unwrap_err();
        assert!(matches!(error, MirrorError::Frozen { .. }), "{error}");
        assert_eq!(mirror.tip().unwrap().as_ref(), Some(&second));
    };
    point_main_at(&repository, Some(&first));
    frozen();
    let other = by_hand(&repository, vec![Change::write("b", "1")]);
    frozen();
    point_main_at(&repository, None);
    frozen();
    point_main_at(&repository, Some(&second));
    assert_eq!(mirror.fetch().unwrap(), second);
    point_main_at(&repository, Some(&other));
    frozen();
    mirror.accept(&other).unwrap();
    assert_eq!(mirror.fetch().unwrap(), other);
}

#[test]
fn an_emptied_or_replaced_repository_is_not_everything_deleted() {
    let (folder, repository) = repository();
    let mirror = mirror(&folder, &repository);
    let good = mirror.fetch().unwrap();
    by_hand(&repository, vec![Change::remove("environments")]);
    let error = mirror.fetch().unwrap_err();
    assert!(matches!(error, MirrorError::Frozen { .. }), "{error}");
    let path = repository.path().to_owned();
    drop(repository);
    std::fs::remove_dir_all(&path).unwrap();
    Repository::init_bare(&path).unwrap();
    let error = mirror.fetch().unwrap_err();
    assert!(
        matches!(error, MirrorError::Frozen { found: None, .. }),
        "{error}"
    );
    assert_eq!(mirror.tip().unwrap(), Some(good));
}

#[test]
fn a_dead_fetchs_lock_does_not_need_a_hand() {
    let (folder, repository) = repository();
    let mirror = mirror(&folder, &repository);
    mirror.fetch().unwrap();
    let tip = by_hand(&repository, vec![Change::write("a", "1")]);
    std::fs::write(
        mirror
            .repository()
            .path()
            .join("refs/foreshore/incoming.lock"),
        "",
    )
    .unwrap();
    assert_eq!(mirror.fetch().unwrap(), tip);
}

fn key() -> std::sync::Arc<CommitKey> {
    let kept = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    std::sync::Arc::new(CommitKey::from_pkcs8(kept.as_ref()).unwrap())
}

#[test]
fn a_commit_that_nobody_trusted_has_signed_freezes_a_mirror_that_asks_for_signatures() {
    let (folder, repository) = repository();
    let key = key();
    let ours = repository.clone().signing(key.clone());
    let good = by_hand(&ours, vec![Change::write("a", "1")]);
    let mirror = mirror(&folder, &repository).trusting(vec![key.signer()]);
    // What was before the first look is vouched for by the tip.
    assert_eq!(mirror.fetch().unwrap(), good);
    let better = by_hand(&ours, vec![Change::write("a", "2")]);
    assert_eq!(mirror.fetch().unwrap(), better);

    by_hand(&repository, vec![Change::write("a", "3")]);
    // A good signature on top does not hide what is below it.
    by_hand(&ours, vec![Change::write("a", "4")]);
    let error = mirror.fetch().unwrap_err();
    assert!(matches!(error, MirrorError::Frozen { .. }), "{error}");
    let said = error.to_string();
    assert!(
        said.contains("by bo <bo@example.org> is not trusted: it is not signed"),
        "{said}"
    );
    assert_eq!(mirror.tip().unwrap(), Some(better));
}

#[test]
fn a_strangers_signature_counts_for_nothing_at_the_first_look_too() {
    let (folder, repository) = repository();
    by_hand(
        &repository.clone().signing(key()),
        vec![Change::write("a", "1")],
    );
    let mirror = mirror(&folder, &repository).trusting(vec![key().signer()]);
    let error = mirror.fetch().unwrap_err();
    assert!(matches!(error, MirrorError::Untrusted { .. }), "{error}");
    assert!(
        error.to_string().contains("its key is not trusted"),
        "{error}"
    );
    assert_eq!(mirror.tip().unwrap(), None);
}
