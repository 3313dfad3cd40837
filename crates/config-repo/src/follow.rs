//! Follows a repository elsewhere, forward only.

use foreshore_git::{Expected, FetchError, GitError, ObjectId, RefUpdate, Remote, Repository};

use crate::error::MirrorError;

/// Where the other side's branch lands before it is trusted.
const INCOMING: &str = "refs/foreshore/incoming";

/// Fetches `main` of the other side and moves `trusted` to it, if it only grew.
///
/// `more` are further refspecs to fetch as they are.
pub(crate) fn follow(
    repository: &Repository,
    remote: &Remote,
    trusted: &str,
    more: &[&str],
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
    move_to(repository, trusted, Some(&verified), &found)?;
    Ok(found)
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
