//! What tokens allow at the two doors that are not the API: registry and config repository.

use foreshore_git::smart_http;
use foreshore_identity::{Principal, Right};
use foreshore_model::ServiceName;
use foreshore_registry as registry;
use secrecy::ExposeSecret as _;

use crate::access::Access;

/// Lets nobody in who is not known; people and the agent read, CI pushes its own service.
#[derive(Debug, Clone)]
pub(crate) struct Doors {
    access: Access,
    /// Whether images may be pulled without a login.
    open: bool,
}

impl Doors {
    /// The doors on this machine's loopback.
    pub(crate) fn new(access: Access) -> Self {
        Self { access, open: true }
    }

    /// The doors that other machines reach: nothing is had there without a token.
    pub(crate) fn beyond_loopback(access: Access) -> Self {
        Self {
            access,
            open: false,
        }
    }

    fn recognise(&self, token: &str) -> Option<Principal> {
        match self.access.recognise(token) {
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

/// Where artifacts are kept, beside the images.
const ARTIFACTS: &str = "artifacts/";

/// The service whose images or artifacts a repository holds.
fn service_of(repository: &str) -> Option<ServiceName> {
    repository
        .strip_prefix(ARTIFACTS)
        .unwrap_or(repository)
        .parse()
        .ok()
}

fn may(principal: &Principal, action: registry::Action, repository: &str) -> bool {
    let pushes = service_of(repository).is_some_and(|service| principal.may_push(&service));
    match action {
        registry::Action::Ping => true,
        // Who pushes looks first what is there already.
        registry::Action::Pull => principal.may(&Right::Read) || pushes,
        registry::Action::Push => pushes,
        registry::Action::Delete => principal.may(&Right::Administer),
    }
}

impl registry::Authorizer for Doors {
    fn authorize(
        &self,
        credentials: Option<&registry::Credentials>,
        action: registry::Action,
        repository: &str,
    ) -> registry::Decision {
        let token = match credentials {
            // Nodes pull images without a login, as they do from a company's
            // open registry; this holds on loopback only.
            None if self.open
                && action == registry::Action::Pull
                && !repository.starts_with(ARTIFACTS) =>
            {
                return registry::Decision::Allowed;
            }
            None => return registry::Decision::Unauthenticated,
            Some(registry::Credentials::Basic { password, .. }) => password,
            Some(registry::Credentials::Bearer(token)) => token,
        };
        match self.recognise(token) {
            None => registry::Decision::Unauthenticated,
            Some(principal) if may(&principal, action, repository) => registry::Decision::Allowed,
            Some(_) => registry::Decision::Forbidden,
        }
    }
}

#[async_trait::async_trait]
impl smart_http::Authorizer for Doors {
    async fn authorize(
        &self,
        credentials: Option<smart_http::Credentials>,
        access: smart_http::Access,
    ) -> smart_http::Permission {
        let token = match credentials {
            None => return smart_http::Permission::LoginNeeded,
            Some(smart_http::Credentials::Basic { password, .. }) => password,
            Some(smart_http::Credentials::Bearer(token)) => token,
        };
        let Some(principal) = self.recognise(token.expose_secret()) else {
            return smart_http::Permission::LoginNeeded;
        };
        let right = match access {
            smart_http::Access::Read => Right::Read,
            smart_http::Access::Write => Right::Administer,
        };
        if principal.may(&right) {
            return smart_http::Permission::Granted;
        }
        let verb = if access == smart_http::Access::Read {
            "read"
        } else {
            "write"
        };
        smart_http::Permission::Denied {
            reason: format!(
                "`{}` may not {verb} the config repository",
                principal.actor.name
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use foreshore_model::Actor;

    use super::*;

    #[test]
    fn a_ci_token_reaches_its_own_repositories_only() {
        let ci = Principal {
            actor: Actor::new("ci", "ci@foreshore.local"),
            rights: vec![Right::Push("web".parse().unwrap())],
        };
        for (action, repository, expected) in [
            (registry::Action::Push, "web", true),
            (registry::Action::Push, "artifacts/web", true),
            (registry::Action::Pull, "artifacts/web", true),
            (registry::Action::Push, "api", false),
            (registry::Action::Pull, "artifacts/api", false),
            (registry::Action::Push, "artifacts/web/../api", false),
            (registry::Action::Push, "web/extra", false),
            (registry::Action::Delete, "web", false),
        ] {
            assert_eq!(
                may(&ci, action, repository),
                expected,
                "{action:?} {repository}"
            );
        }
    }
}
