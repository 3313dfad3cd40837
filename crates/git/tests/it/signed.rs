//! Signed commits, checked by us and by plain git.

use std::io::Write as _;
use std::sync::Arc;

use foreshore_git::{Change, CommitKey, ObjectId, Repository, Signature, Signer};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

use crate::{MAIN, commit, git, repository, write_file};

fn key() -> Arc<CommitKey> {
    let kept = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Arc::new(CommitKey::from_pkcs8(kept.as_ref()).unwrap())
}

/// A chain of commits in one write: the way a batch of releases is made.
fn chain(repository: &Repository) -> Vec<ObjectId> {
    let tip = repository.resolve(MAIN).unwrap();
    let commits = ["one\n\nKey: 1\n", "two", ""].map(|message| {
        let change = Change::write(format!("a/{}", message.len()), message);
        commit(message, vec![change])
    });
    repository
        .commit(MAIN, tip.as_ref(), commits.to_vec())
        .unwrap()
}

fn good(signer: &Signer) -> Signature {
    Signature::Good(signer.clone())
}

#[test]
fn every_commit_of_a_batch_is_signed_and_says_what_it_would_say_unsigned() {
    let (_folder, plain) = repository();
    let (_other, ours) = repository();
    let key = key();
    let ours = ours.signing(key.clone());
    let (plain_ids, signed_ids) = (chain(&plain), chain(&ours));
    let signer = key.signer();
    let trusted = std::slice::from_ref(&signer);
    assert_eq!(
        ours.signatures(&signed_ids, trusted).unwrap(),
        [good(&signer), good(&signer), good(&signer)]
    );
    assert_eq!(
        plain.signatures(&plain_ids, trusted).unwrap(),
        [
            Signature::Unsigned,
            Signature::Unsigned,
            Signature::Unsigned
        ]
    );
    let show = "--format=%T%n%an <%ae> %at%n%cn <%ce> %ct%n%B";
    for (one, two) in plain_ids.iter().zip(&signed_ids) {
        assert_ne!(one, two);
        assert_eq!(
            git(plain.path(), &["log", "-1", show, one.as_str()]),
            git(ours.path(), &["log", "-1", show, two.as_str()])
        );
    }
    ours.check().unwrap();
    // What is written on top by somebody else is not.
    let by_hand = write_file(&Repository::open(ours.path()).unwrap(), "b", "1");
    assert_eq!(
        ours.signatures(&[by_hand], trusted).unwrap(),
        [Signature::Unsigned]
    );
}

#[test]
fn plain_git_verifies_what_we_sign_and_refuses_a_stranger() {
    if std::process::Command::new("ssh-keygen")
        .arg("-?")
        .output()
        .is_err()
    {
        writeln!(
            std::io::stderr(),
            "not run: git verify-commit, there is no ssh-keygen"
        )
        .unwrap();
        return;
    }
    let (folder, repository) = repository();
    let (key, stranger) = (key(), key());
    let repository = repository.signing(key.clone());
    let first = chain(&repository).remove(0);
    let allowed = folder.path().join("allowed_signers");
    std::fs::write(
        &allowed,
        key.signer().allowed_line("foreshore@foreshore.local") + "\n",
    )
    .unwrap();
    let file = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
    let verify = ["-c", "gpg.format=ssh", "-c", &file, "verify-commit"];
    git(
        repository.path(),
        &[&verify[..], &[first.as_str()]].concat(),
    );

    let forged = chain(&repository.signing(stranger)).remove(0);
    let (path, forged) = (folder.path().join("config.git"), forged.to_string());
    let refused = std::process::Command::new("git")
        .args(["-c", "safe.directory=*"])
        .args(verify)
        .arg(forged)
        .current_dir(path)
        .output()
        .unwrap();
    assert!(!refused.status.success());
}
