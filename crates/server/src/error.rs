//! Why the server could not start or go on.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use foreshore_config_repo::WriteError;
use foreshore_git::GitError;
use foreshore_identity::IdentityError;
use foreshore_image::ClientError;
use foreshore_registry::RegistryError;
use tokio::task::JoinError;

use crate::credentials::CredentialError;

/// Why the server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen")]
    Listen(#[source] io::Error),
    #[error(
        "{address} can be reached by other machines, and this door has neither login nor TLS; it stays on loopback"
    )]
    NotLoopback { address: SocketAddr },
    #[error("nobody could log in: there is no user yet")]
    NobodyCanLogIn,
    #[error(transparent)]
    Users(#[from] crate::login::UserError),
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    #[error("cannot make the directory `{path}`")]
    Directory {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("the server's own credential was not written")]
    NoCredential,
    #[error("cannot open the config repository")]
    Git(#[from] GitError),
    #[error("cannot read or write the config repository")]
    ConfigRepository(#[from] WriteError),
    #[error("cannot open the registry")]
    Registry(#[from] RegistryError),
    #[error("`{path}` is no key to sign artifacts with")]
    SigningKey {
        path: PathBuf,
        #[source]
        cause: foreshore_artifact::SigningKeyError,
    },
    #[error("cannot have the key that secrets are sealed for")]
    SecretKey(#[from] foreshore_secret::KeyError),
    #[error("cannot speak to the registry")]
    Client(#[from] ClientError),
    #[error("cannot read the builds of pushed source")]
    Builds(#[from] crate::source::BuildsError),
    #[error("cannot speak to a webhook")]
    Webhook(#[source] reqwest::Error),
    #[error("the server stopped answering")]
    Serve(#[source] io::Error),
    #[error("a part of the server ended unexpectedly")]
    Task(#[source] JoinError),
    #[error("cannot serve the pages")]
    Pages(#[from] foreshore_dashboard::AuditError),
}
