//! Follows a repository elsewhere, forward only.

use foreshore_git::{
    Expected, FetchError, GitError, LogQuery, ObjectId, RefUpdate, Remote, Repository, Signature,
    Signer,
};

use crate::error::MirrorError;

/// Where the other side's branch lands before it is trusted.
const INCOMING: &str = "refs/foreshore/incoming";

/// Fetches `main` of the other side and moves `trusted` to it, if it only grew.
///
/// `more` are further refspecs to fetch as they are.
///
/// With `signers`, every commit that is new must be signed by one of them.
pub(crate) fn follow(
    repository: &Repository,
    remote: &Remote,
    trusted: &str,
    more: &[&str],
    signers: &[Signer],
) -> Result<ObjectId, MirrorError> {
    let verified = repository.resolve(trusted)?;
    let main = format!("+refs/heads/main:{INCOMING}");
    let refspecs: Vec<&str> = std::iter::once(main.as_str())
        .chain(more.iter().copied())
        .collect();
    if let Err(error) = repository.fetch(remote, &refspecs) {
        let FetchError::NoRef { url, .. } = &error else {
            return Err(error.into());
        };
        return Err(match verified {
            Some(verified) => {
                let why = format!("`{url}` has no branch `main` any more");
                MirrorError::Frozen {
                    verified,
                    found: None,
                    why,
                }
            }
            None => MirrorError::NoBranch { url: url.clone() },
        });
    }
    let found = repository
        .resolve(INCOMING)?
        .ok_or_else(|| GitError::MissingObject {
            id: INCOMING.to_owned(),
            repository: repository.path().to_owned(),
        })?;
    let Some(verified) = verified else {
        if let Some(why) = unsigned(repository, None, &found, signers)? {
            return Err(MirrorError::Untrusted { found, why });
        }
        move_to(repository, trusted, None, &found)?;
        return Ok(found);
    };
    if found == verified {
        return Ok(found);
    }
    let frozen = |why: &str| MirrorError::Frozen {
        verified: verified.clone(),
        found: Some(found.clone()),
        why: why.to_owned(),
    };
    if !repository.is_ancestor(&verified, &found)? {
        return Err(frozen(
            "the branch was rewritten or put back; its new tip does not follow from this commit",
        ));
    }
    let has_environments = |commit: &ObjectId| {
        repository
            .tree_id(commit, "environments")
            .map(|tree| tree.is_some())
    };
    if has_environments(&verified)? && !has_environments(&found)? {
        return Err(frozen("the new tip has no environments at all"));
    }
    if let Some(why) = unsigned(repository, Some(&verified), &found, signers)? {
        return Err(frozen(&why));
    }
    move_to(repository, trusted, Some(&verified), &found)?;
    Ok(found)
}

/// Most new commits whose signatures are looked at; more at once are refused.
const UNSEEN_MAX: usize = 10_000;

/// Names the first new commit that no trusted signer has signed; at the first sight the tip speaks for all before it.
fn unsigned(
    repository: &Repository,
    verified: Option<&ObjectId>,
    found: &ObjectId,
    signers: &[Signer],
) -> Result<Option<String>, GitError> {
    if signers.is_empty() {
        return Ok(None);
    }
    let limit = verified.map_or(1, |_| UNSEEN_MAX);
    let commits = repository.log(&LogQuery {
        from: found,
        until: verified,
        path: None,
        limit,
    })?;
    if verified.is_some() && commits.len() == UNSEEN_MAX {
        return Ok(Some(format!("more than {UNSEEN_MAX} commits are new")));
    }
    let ids: Vec<ObjectId> = commits.iter().map(|commit| commit.id.clone()).collect();
    let signatures = repository.signatures(&ids, signers)?;
    let oldest_first = commits.iter().zip(signatures).rev();
    for (commit, signature) in oldest_first {
        let why = match signature {
            Signature::Good(_) => continue,
            Signature::Unsigned => "it is not signed",
            Signature::Bad { why } => why,
        };
        let (id, author) = (&commit.id, &commit.author);
        return Ok(Some(format!(
            "commit `{id}` by {author} is not trusted: {why}"
        )));
    }
    Ok(None)
}

pub(crate) fn move_to(
    repository: &Repository,
    name: &str,
    from: Option<&ObjectId>,
    to: &ObjectId,
) -> Result<(), GitError> {
    repository.update_refs(&[RefUpdate {
        name: name.to_owned(),
        new: Some(to.clone()),
        expected: Expected::of(from),
    }])
}
