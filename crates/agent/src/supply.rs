//! Where the artifacts of releases are, and what says that they are genuine.
//!
//! Manifests name images of their own artifact in a reserved registry; the
//! objects that are written name the one this agent was told to take artifacts
//! from. Before a release is written, its artifact is fetched from there: it
//! must be signed by a trusted key and hold exactly the bytes that git has.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use foreshore_artifact::{FetchError, PublicKey, SigningKeyError, VerifyError};
use foreshore_image::{ClientError, ClientOptions, Credentials, RegistryClient};
use foreshore_model::own_registry::{first_own, locate};
use foreshore_model::{Check, Digest, EnvironmentName, ServiceName, yaml};
use secrecy::{ExposeSecret as _, SecretString};

use crate::desired::{Desired, DesiredError};
use crate::options::ServerOptions;
use crate::server::{Server, ServerError};

/// Where an agent takes artifacts from, and whom it believes.
#[derive(Debug, Clone)]
pub struct SupplyOptions {
    /// `host[:port]`, as this agent and the nodes of its cluster reach it.
    pub registry: String,
    /// What the registry is shown.
    pub token: SecretString,
    pub trust: Trust,
}

/// Whose signature counts.
#[derive(Debug, Clone)]
pub enum Trust {
    /// These keys and no others.
    Keys(Vec<PublicKey>),
    /// The key that the server names the first time it is asked; kept in this file, and never changed by itself.
    First { server: ServerOptions, pin: PathBuf },
}

/// The registry behind the releases of an agent.
#[derive(Debug)]
pub struct Supply {
    registry: String,
    client: RegistryClient,
    keys: Keys,
    /// What was found to be genuine, for each service: the same is not fetched twice.
    verified: Mutex<BTreeMap<(EnvironmentName, ServiceName), Genuine>>,
}

#[derive(Debug)]
enum Keys {
    Named(Vec<PublicKey>),
    First {
        server: Server,
        pin: PathBuf,
        /// One asks, the others wait.
        asking: tokio::sync::Mutex<()>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Genuine {
    artifact: Digest,
    manifests_tree: String,
    checks: String,
}

/// Why there is no supply.
#[derive(Debug, thiserror::Error)]
pub enum SupplyOptionsError {
    #[error("cannot take artifacts from registry `{registry}`")]
    Registry {
        registry: String,
        #[source]
        cause: ClientError,
    },
    #[error("cannot set up the connection to the server")]
    Http(#[source] reqwest::Error),
}

/// Why the objects of a release are not ready to be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocateError {
    #[error(transparent)]
    Desired(#[from] DesiredError),
    #[error(
        "`{image}` is in the artifact's own registry, and this agent was not told which that is"
    )]
    NoRegistry { image: String },
}

/// Why a release is not taken for genuine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UntrustedError {
    #[error("cannot ask the server which key signs artifacts")]
    Ask(#[source] ServerError),
    #[error("the server names no key that signs artifacts; name one with `--trusted-key`")]
    NoKey,
    #[error("cannot use the trusted key in `{path}`")]
    Pin {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot read the trusted key in `{origin}`")]
    Key {
        origin: String,
        #[source]
        cause: SigningKeyError,
    },
    #[error(transparent)]
    Fetch(Box<FetchError>),
    #[error(transparent)]
    Signature(#[from] VerifyError),
    #[error("{what} in the config repository are not those of artifact `{artifact}`")]
    Replaced {
        what: &'static str,
        artifact: Digest,
    },
}

impl From<FetchError> for UntrustedError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(Box::new(error))
    }
}

impl UntrustedError {
    /// One word for what is wrong.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Ask(_) | Self::NoKey | Self::Pin { .. } | Self::Key { .. } => "NoTrustedKey",
            Self::Signature(VerifyError::Client { .. }) => "RegistryUnavailable",
            Self::Signature(VerifyError::Unsigned { .. }) => "ArtifactUnsigned",
            Self::Signature(VerifyError::OtherKey { .. }) => "ArtifactForged",
            Self::Fetch(error) => match **error {
                FetchError::NotFound { .. } => "ArtifactMissing",
                FetchError::Document { .. } | FetchError::Id { .. } => "ArtifactForged",
                FetchError::Client { .. } | FetchError::List { .. } => "RegistryUnavailable",
            },
            Self::Replaced { .. } => "ArtifactReplaced",
        }
    }

    /// Whether nothing but another artifact, release or key can change it.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self.reason(), "RegistryUnavailable") && !matches!(self, Self::Ask(_))
    }
}

/// Puts the registry into the objects of a release.
pub(crate) fn located(
    supply: Option<&Supply>,
    desired: Result<Desired, DesiredError>,
) -> Result<Desired, LocateError> {
    let mut desired = desired?;
    let jobs = desired.hooks.iter_mut().map(|hook| &mut hook.job);
    for object in desired.objects.iter_mut().chain(jobs) {
        if let Some(supply) = supply {
            locate(object, &supply.registry);
        } else if let Some(image) = first_own(object) {
            return Err(LocateError::NoRegistry {
                image: image.to_owned(),
            });
        }
    }
    Ok(desired)
}

impl Supply {
    pub fn new(options: SupplyOptions) -> Result<Self, SupplyOptionsError> {
        let client = ClientOptions {
            credentials: Credentials::Bearer(options.token.expose_secret().to_owned()),
            ..ClientOptions::default()
        };
        let client = RegistryClient::new(&options.registry, client).map_err(|cause| {
            SupplyOptionsError::Registry {
                registry: options.registry.clone(),
                cause,
            }
        })?;
        let keys = match options.trust {
            Trust::Keys(keys) => Keys::Named(keys),
            Trust::First { server, pin } => Keys::First {
                server: Server::new(server).map_err(SupplyOptionsError::Http)?,
                pin,
                asking: tokio::sync::Mutex::default(),
            },
        };
        Ok(Self {
            registry: options.registry,
            client,
            keys,
            verified: Mutex::default(),
        })
    }

    /// Checks that a release is an artifact that a trusted server took in, byte for byte.
    pub(crate) async fn verify(&self, desired: &Desired) -> Result<(), UntrustedError> {
        let release = &desired.release;
        let place = (release.environment.clone(), release.service.clone());
        let genuine = Genuine {
            artifact: release.artifact.clone(),
            manifests_tree: desired.manifests_tree.clone(),
            checks: written(desired.checks.iter()),
        };
        if self.known().get(&place) == Some(&genuine) {
            return Ok(());
        }
        let keys = self.keys().await?;
        let (service, artifact) = (&release.service, &release.artifact);
        let fetched = foreshore_artifact::fetch(&self.client, service, artifact.as_str()).await?;
        self.signed(service, artifact, &keys).await?;
        let replaced = |what| UntrustedError::Replaced {
            what,
            artifact: artifact.clone(),
        };
        let manifests = fetched.record.manifests.get(&release.environment);
        if !manifests.is_some_and(|manifests| {
            foreshore_artifact::is_tree_of(&genuine.manifests_tree, manifests)
        }) {
            return Err(replaced("the manifests"));
        }
        let checks = fetched.record.checks.iter();
        if written(checks.filter(|check| check.is_for(&release.environment))) != genuine.checks {
            return Err(replaced("the checks"));
        }
        self.known().insert(place, genuine);
        Ok(())
    }

    fn known(
        &self,
    ) -> std::sync::MutexGuard<'_, BTreeMap<(EnvironmentName, ServiceName), Genuine>> {
        // Each entry is put in as a whole, so it is good even after a panic.
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for a signature of any of the keys; tells what was wrong with the first.
    async fn signed(
        &self,
        service: &ServiceName,
        artifact: &Digest,
        keys: &[PublicKey],
    ) -> Result<(), UntrustedError> {
        let mut first = None;
        for key in keys {
            match foreshore_artifact::verify(&self.client, service, artifact, key).await {
                Ok(()) => return Ok(()),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Err(first.map_or(UntrustedError::NoKey, UntrustedError::Signature))
    }

    /// Returns the trusted keys; the server is asked only while none is kept.
    async fn keys(&self) -> Result<Vec<PublicKey>, UntrustedError> {
        let (server, pin, asking) = match &self.keys {
            Keys::Named(keys) => return Ok(keys.clone()),
            Keys::First {
                server,
                pin,
                asking,
            } => (server, pin, asking),
        };
        let failed = |cause| UntrustedError::Pin {
            path: pin.clone(),
            cause,
        };
        let _turn = asking.lock().await;
        match tokio::fs::read_to_string(pin).await {
            Ok(text) => return Ok(vec![key(&text, &pin.display().to_string())?]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(failed(cause)),
        }
        let named = server.signing_key().await.map_err(UntrustedError::Ask)?;
        let text = named.ok_or(UntrustedError::NoKey)?;
        let key = key(&text, "the server's answer")?;
        keep(pin, &format!("{key}\n")).await.map_err(failed)?;
        tracing::info!(%key, "artifacts signed by this key are trusted from now on");
        Ok(vec![key])
    }
}

fn key(text: &str, origin: &str) -> Result<PublicKey, UntrustedError> {
    text.parse().map_err(|cause| UntrustedError::Key {
        origin: origin.to_owned(),
        cause,
    })
}

/// Writes the key as a whole, on disk before it is believed.
async fn keep(path: &std::path::Path, text: &str) -> io::Result<()> {
    use tokio::io::AsyncWriteExt as _;
    let fresh = path.with_extension("new");
    let mut file = tokio::fs::File::create(&fresh).await?;
    file.write_all(text.as_bytes()).await?;
    file.sync_all().await?;
    tokio::fs::rename(&fresh, path).await
}

/// Checks as the config repository writes them, in one order.
fn written<'a>(checks: impl Iterator<Item = &'a Check>) -> String {
    let mut checks: Vec<&Check> = checks.collect();
    checks.sort_by(|a, b| a.name.cmp(&b.name));
    let texts = checks
        .into_iter()
        // What cannot be written cannot have been released.
        .map(|check| yaml::write(check).unwrap_or_else(|error| error.to_string()));
    texts.collect()
}

#[cfg(test)]
mod tests;
