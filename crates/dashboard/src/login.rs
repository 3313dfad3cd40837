//! What the pages ask of whoever knows people, where a login is needed.
//!
//! Local users stand behind [`Login`] today. A company's identity provider
//! takes the same place: it recognises sessions and says what their holders
//! may do; the pages never see where that was decided.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use foreshore_identity::Principal;
use futures::future::BoxFuture;
use secrecy::SecretString;

/// Knows people and their sessions.
pub trait Login: fmt::Debug + Send + Sync + 'static {
    /// Opens a session for somebody who shows a password.
    fn enter(&self, attempt: Attempt) -> BoxFuture<'_, Result<Ticket, LoginError>>;

    /// Returns whose session this is; nothing if it is over, or nobody's.
    fn recognise(&self, session: &str, sign: Sign) -> Result<Option<Visitor>, LoginError>;

    /// Ends a session for good.
    fn leave(&self, session: &str) -> Result<(), LoginError>;
}

/// Whether somebody is there, or only a page that was left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A person asked for something: the session goes on.
    Person,
    /// A page keeps itself up to date: that keeps no session alive.
    OpenPage,
}

/// Somebody who wants to come in.
#[derive(Debug)]
pub struct Attempt {
    pub name: String,
    pub password: SecretString,
    pub from: IpAddr,
    /// The session this browser had before; it ends when a new one begins.
    pub before: Option<String>,
}

/// A session that has begun; the only moment at which its secret is known.
#[derive(Debug)]
pub struct Ticket {
    pub secret: SecretString,
    /// However busy its holder is, it ends after this time.
    pub lasts: Duration,
}

/// Somebody whose session was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    pub principal: Principal,
}

/// Why somebody does not come in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error("the name or the password is wrong")]
    Wrong,
    #[error("there were too many attempts; the next one counts in {seconds} s")]
    Wait { seconds: u64 },
    #[error("too many people log in at this moment; try again")]
    Busy,
    #[error("it cannot be looked up who this is")]
    Unknown(#[source] Box<dyn Error + Send + Sync>),
}
