//! Who may read and push the source of a service.

use foreshore_git::smart_http::{Access as Wish, Authorizer, Credentials, Permission};
use foreshore_identity::{Principal, Right};
use foreshore_model::ServiceName;
use secrecy::ExposeSecret as _;

use crate::access::Access;

/// The door of one service's repository: who may push its artifacts may push what they are made of.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) access: Access,
    pub(super) service: ServiceName,
}

impl Door {
    /// Whose credentials these are.
    pub(super) fn recognise(&self, credentials: &Credentials) -> Option<Principal> {
        let token = match credentials {
            Credentials::Basic { password, .. } => password,
            Credentials::Bearer(token) => token,
        };
        match self.access.recognise(token.expose_secret()) {
            Ok(principal) => principal,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "identities cannot be read; access denied"
                );
                None
            }
        }
    }
}

#[async_trait::async_trait]
impl Authorizer for Door {
    async fn authorize(&self, credentials: Option<Credentials>, wish: Wish) -> Permission {
        let Some(principal) = credentials.and_then(|shown| self.recognise(&shown)) else {
            return Permission::LoginNeeded;
        };
        let pushes = principal.may_push(&self.service);
        let allowed = match wish {
            Wish::Read => pushes || principal.may(&Right::Read),
            Wish::Write => pushes,
        };
        if allowed {
            return Permission::Granted;
        }
        let verb = if wish == Wish::Read { "read" } else { "push" };
        Permission::Denied {
            reason: format!(
                "`{}` may not {verb} the source of `{}`",
                principal.actor.name, self.service
            ),
        }
    }
}
