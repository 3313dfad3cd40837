//! Requests that wait for approval: one branch each.

use std::collections::BTreeMap;

use foreshore_git::{ObjectId, Repository};
use foreshore_model::config::Request;
use foreshore_model::yaml;

use crate::error::ReadError;
use crate::layout::{REQUESTS_REF, branch_of};

/// Where a request's description is on its branch.
pub(crate) const REQUEST_FILE: &str = "request.yaml";

/// Returns the open requests; a branch that cannot be read is an error of its own.
pub fn requests(
    repository: &Repository,
) -> Result<BTreeMap<String, Result<Request, ReadError>>, ReadError> {
    let branches = repository.refs(REQUESTS_REF)?;
    Ok(branches
        .into_iter()
        .filter_map(|(name, tip)| {
            let id = name
                .strip_prefix(REQUESTS_REF)?
                .trim_start_matches('/')
                .to_owned();
            let request = read_request(repository, &id, &tip);
            Some((id, request))
        })
        .collect())
}

pub(crate) fn read_request(
    repository: &Repository,
    id: &str,
    tip: &ObjectId,
) -> Result<Request, ReadError> {
    let path = format!("{REQUEST_FILE} of {}", branch_of(id));
    let bytes = repository.read_path(tip, REQUEST_FILE)?;
    let bytes = bytes.ok_or_else(|| ReadError::MissingFile { path: path.clone() })?;
    let text = String::from_utf8(bytes).map_err(|_| ReadError::NotText { path: path.clone() })?;
    let request: Request = yaml::read(&path, &text)?;
    if request.id == id {
        return Ok(request);
    }
    Err(ReadError::Misplaced {
        path,
        found: format!("request `{}`", request.id),
    })
}
