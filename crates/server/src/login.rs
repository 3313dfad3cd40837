//! Local users of the pages: who they are, their sessions, and how often somebody may guess.
//!
//! [`Gatekeeper`] is what the pages ask. Users are kept beside the server's
//! other data, so that `foreshore user` on the server's machine makes the
//! first one before anything listens.

mod password;
mod sessions;
mod throttle;
mod users;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use foreshore_dashboard::{Attempt, Login, LoginError, Sign, Ticket, Visitor};
use foreshore_identity::{Principal, Right};
use foreshore_model::{Actor, clock};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use throttle::Throttle;

pub use password::{PASSWORD_LENGTH_MIN, Password, PasswordError};
pub use sessions::{Session, Terms};
pub use users::{NewUser, Role, User, UserError, Users, directory};

/// Passwords that are checked at once: each takes 19 MiB and a good part of a core.
const CHECKS_MAX: usize = 2;
/// Whoever waits longer for a check is told to come back.
const CHECK_LIMIT: Duration = Duration::from_secs(10);

/// Knows local users; what the pages ask at their door.
pub struct Gatekeeper {
    users: Arc<Users>,
    throttle: Throttle,
    checks: Arc<Semaphore>,
}

impl fmt::Debug for Gatekeeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gatekeeper").finish_non_exhaustive()
    }
}

impl Gatekeeper {
    pub fn new(users: Arc<Users>) -> Self {
        Self {
            users,
            throttle: Throttle::default(),
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
        }
    }

    /// Whether this is the password of that user; takes as long for a name that nobody has.
    async fn is_right(&self, name: &str, password: SecretString) -> Result<bool, LoginError> {
        let kept = self.users.password_of(name).map_err(unknown)?;
        let permit = tokio::time::timeout(CHECK_LIMIT, self.checks.clone().acquire_owned());
        let permit = permit
            .await
            .map_err(|_| LoginError::Busy)?
            .expect("nobody closes the semaphore");
        let checked = tokio::task::spawn_blocking(move || {
            let right = password::matches(password.expose_secret(), kept.as_deref());
            drop(permit);
            right
        });
        checked.await.map_err(unknown)
    }

    async fn admit(&self, attempt: Attempt) -> Result<Ticket, LoginError> {
        let now = clock::now();
        self.throttle
            .attempt(&attempt.name, attempt.from, now)
            .map_err(|wait| LoginError::Wait {
                seconds: wait.as_secs().max(1),
            })?;
        if !self.is_right(&attempt.name, attempt.password).await? {
            tracing::warn!(name = attempt.name, from = %attempt.from, "a login was refused");
            return Err(LoginError::Wrong);
        }
        self.throttle.succeeded(&attempt.name, attempt.from, now);
        if let Some(before) = &attempt.before {
            self.users.end_session(before).map_err(unknown)?;
        }
        let secret = self
            .users
            .begin_session(&attempt.name, clock::now())
            .map_err(unknown)?
            // The user was removed while the password was looked at.
            .ok_or(LoginError::Wrong)?;
        Ok(Ticket {
            secret,
            lasts: self.users.terms().absolute.unsigned_abs(),
        })
    }
}

fn unknown(error: impl std::error::Error + Send + Sync + 'static) -> LoginError {
    LoginError::Unknown(Box::new(error))
}

impl Login for Gatekeeper {
    fn enter(&self, attempt: Attempt) -> BoxFuture<'_, Result<Ticket, LoginError>> {
        self.admit(attempt).boxed()
    }

    fn recognise(&self, session: &str, sign: Sign) -> Result<Option<Visitor>, LoginError> {
        let is_person = sign == Sign::Person;
        let found = self
            .users
            .session(session, is_person, clock::now())
            .map_err(unknown)?;
        Ok(found.map(|session| Visitor {
            principal: principal(&session.user),
        }))
    }

    fn leave(&self, session: &str) -> Result<(), LoginError> {
        self.users.end_session(session).map_err(unknown)
    }
}

/// What a user may do everywhere behind the login.
pub(crate) fn principal(user: &User) -> Principal {
    Principal {
        actor: Actor::new(&user.name, &user.email),
        rights: rights(user.role),
    }
}

/// What each role means; finer rights, by service or environment, would be decided here.
fn rights(role: Role) -> Vec<Right> {
    let all = [
        Right::Read,
        Right::Release,
        Right::Approve,
        Right::PushAny,
        Right::Administer,
    ];
    let count = match role {
        Role::Viewer => 1,
        Role::Operator => 2,
        Role::Approver => 3,
        Role::Admin => all.len(),
    };
    all.into_iter().take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_one_before_may_and_more() {
        let may = |role, right| rights(role).contains(&right);
        assert!(may(Role::Viewer, Right::Read) && !may(Role::Viewer, Right::Release));
        assert!(may(Role::Operator, Right::Release) && !may(Role::Operator, Right::Approve));
        assert!(may(Role::Approver, Right::Approve) && !may(Role::Approver, Right::Administer));
        assert!(may(Role::Admin, Right::Administer));
    }
}
