//! Who may do what on each of the server's doors: API, registry, config repository.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use foreshore_identity::{IdentityError, Principal, Right, Store, Token};
use http::header;
use http::request::Parts;

use crate::problem::Problem;
use crate::state::State;

/// Recognises callers by their tokens.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    identities: Arc<Store>,
}

impl Access {
    pub(crate) fn new(identities: Arc<Store>) -> Self {
        Self { identities }
    }

    /// Returns whose token this is.
    pub(crate) fn recognise(&self, token: &str) -> Result<Option<Principal>, IdentityError> {
        self.identities.authenticate(&Token::presented(token))
    }
}

/// A caller whose token was recognised.
#[derive(Debug)]
pub(crate) struct Caller(pub(crate) Principal);

impl Caller {
    /// Refuses a caller without the right; `what` completes the sentence "may not …".
    pub(crate) fn must(&self, right: &Right, what: &str) -> Result<(), Problem> {
        if self.0.may(right) {
            Ok(())
        } else {
            Err(Problem::forbidden(&self.0.actor.name, what))
        }
    }
}

impl FromRequestParts<Arc<State>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Problem> {
        // Our own pages hand their reader over as a value; nothing that comes
        // through a socket can carry one.
        if let Some(principal) = parts.extensions.get::<Principal>() {
            return Ok(Self(principal.clone()));
        }
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(Problem::unknown_caller)?;
        match state.access.recognise(token.trim()) {
            Ok(Some(principal)) => Ok(Self(principal)),
            Ok(None) => Err(Problem::unknown_caller()),
            Err(error) => Err(Problem::internal("cannot read identities", &error)),
        }
    }
}
