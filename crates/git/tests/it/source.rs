//! Facts about a checkout.

use foreshore_git::{SourceError, SourceFacts};

use crate::{git, tempdir};

#[test]
fn facts_name_commit_branch_tag_and_changes() {
    let folder = tempdir();
    let path = folder.path();
    assert!(matches!(
        SourceFacts::of(path),
        Err(SourceError::NotARepository { .. })
    ));
    git(path, &["init", "--quiet", "--initial-branch=feature/cart"]);
    assert!(matches!(
        SourceFacts::of(path),
        Err(SourceError::NoCommit { .. })
    ));
    std::fs::create_dir(path.join("web")).unwrap();
    std::fs::write(path.join("web/main.rs"), "fn main() {}\n").unwrap();
    git(path, &["add", "."]);
    git(path, &["commit", "--quiet", "-m", "add the cart\n\nmore"]);
    let facts = SourceFacts::of(&path.join("web")).unwrap();
    assert_eq!(facts.commit, git(path, &["rev-parse", "HEAD"]).trim());
    assert_eq!(facts.branch.as_deref(), Some("feature/cart"));
    assert_eq!(
        (facts.author.as_str(), facts.message.as_str()),
        ("Bo <bo@example.com>", "add the cart")
    );
    assert_eq!((facts.tag, facts.modified), (None, false));

    std::fs::write(path.join("elsewhere"), "x").unwrap();
    assert!(
        !SourceFacts::of(&path.join("web")).unwrap().modified,
        "another service of the same repository"
    );
    std::fs::write(path.join("web/new.rs"), "x").unwrap();
    git(path, &["tag", "v1.2.3"]);
    git(path, &["checkout", "--quiet", "--detach"]);
    let facts = SourceFacts::of(&path.join("web")).unwrap();
    assert_eq!(
        (facts.branch, facts.tag.as_deref(), facts.modified),
        (None, Some("v1.2.3"), true)
    );
}
