//! `POST` and `DELETE /tokens`: tokens for CI.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extract};
use foreshore_identity::{Principal, Right};
use foreshore_model::api::{RevokeAnswer, TokenAnswer, TokenRequest};
use foreshore_model::{Actor, ExitCode, clock};

use super::body::Body;
use crate::access::Caller;
use crate::problem::Problem;
use crate::source::HOLDER_PREFIX;
use crate::state::State;

/// Names that `up` gives to the platform's own people and machines.
const RESERVED: &[&str] = &["owner", "reviewer", "agent", "foreshore"];

pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Body(request): Body<TokenRequest>,
) -> Result<Json<TokenAnswer>, Problem> {
    caller.must(&Right::Administer, "issue tokens")?;
    let name = request.name;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 63 || !name.chars().all(allowed) {
        return Err(Problem::new(
            ExitCode::Usage,
            "bad-request",
            format!("`{name}` cannot be a holder's name"),
        )
        .hint("use up to 63 letters, digits, `-`, `_` and `.`"));
    }
    if RESERVED.contains(&name.as_str()) || name.starts_with(HOLDER_PREFIX) {
        return Err(Problem::new(
            ExitCode::Conflict,
            "conflict",
            format!("`{name}` is one of the platform's own names"),
        )
        .hint("choose another name"));
    }
    let principal = Principal {
        actor: Actor::new(&name, format!("{name}@foreshore.local")),
        rights: vec![Right::Push(request.push)],
    };
    let failed = |error| Problem::internal("cannot issue a token", &error);
    state.identities.put(&principal).map_err(failed)?;
    let token = state
        .identities
        .issue(&name, clock::now())
        .map_err(failed)?;
    Ok(Json(TokenAnswer {
        name,
        token: token.reveal().to_owned(),
    }))
}

pub(crate) async fn delete(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<RevokeAnswer>, Problem> {
    caller.must(&Right::Administer, "revoke tokens")?;
    let revoked = state
        .identities
        .revoke(&name)
        .map_err(|error| Problem::internal("cannot revoke tokens", &error))?;
    Ok(Json(RevokeAnswer { revoked }))
}
