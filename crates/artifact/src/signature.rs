//! What says that an artifact came in through the door of a server of ours.
//!
//! The signature is an OCI manifest about the artifact's (`subject`), written
//! by the server at the moment the artifact arrives; who pushes holds no key.
//! It covers the repository and the digest, and through the digest every byte.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foreshore_image::{ClientError, Descriptor, Manifest, RegistryClient, media_type};
use foreshore_model::{Digest, ServiceName};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::document::{EMPTY_CONFIGURATION, repository};

/// `artifactType` of a signature.
pub const SIGNATURE_TYPE: &str = "application/vnd.foreshore.signature.v1+json";
/// Annotations that hold the signature and the key that made it.
const SIGNATURE: &str = "foreshore.local/signature";
const KEY: &str = "foreshore.local/signed-by";
/// What a public key starts with when it is written down.
const PREFIX: &str = "ed25519:";

/// The server's key; never printed.
pub struct SigningKey(Ed25519KeyPair);

/// The half that everybody may know, `ed25519:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    #[error("it is no Ed25519 key in the form PKCS #8")]
    Damaged,
    #[error("the system gave no random numbers")]
    NoRandomness,
    #[error("`{text}` is no public key (`{PREFIX}…`)")]
    Public { text: String },
}

/// Why an artifact is not taken for what came in through our door.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("artifact `{digest}` of service `{service}` is not signed")]
    Unsigned {
        service: ServiceName,
        digest: Digest,
    },
    #[error("artifact `{digest}` of service `{service}` is signed, but not by `{key}`")]
    OtherKey {
        service: ServiceName,
        digest: Digest,
        key: PublicKey,
    },
    #[error("cannot ask for the signatures of artifact `{digest}`")]
    Client {
        digest: Digest,
        #[source]
        cause: ClientError,
    },
}

/// A signature as it is kept in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureDocument {
    /// What the manifest needs: the empty configuration and what was signed.
    pub blobs: Vec<Vec<u8>>,
    pub manifest: Vec<u8>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = SigningKeyError;

    fn from_str(text: &str) -> Result<Self, SigningKeyError> {
        let bytes = text
            .trim()
            .strip_prefix(PREFIX)
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| SigningKeyError::Public {
            text: text.chars().take(80).collect(),
        })
    }
}

impl SigningKey {
    /// Draws a key and returns it as it is to be kept.
    pub fn draw() -> Result<Vec<u8>, SigningKeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let document = document.map_err(|_| SigningKeyError::NoRandomness)?;
        Ok(document.as_ref().to_vec())
    }

    /// Reads a key as it was kept.
    pub fn read(kept: &[u8]) -> Result<Self, SigningKeyError> {
        Ed25519KeyPair::from_pkcs8(kept)
            .map(Self)
            .map_err(|_| SigningKeyError::Damaged)
    }

    pub fn public(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref().try_into();
        PublicKey(bytes.expect("a public Ed25519 key has 32 bytes"))
    }

    /// Signs what is in `repository` under the digest of `subject`; the same is always signed the same way.
    pub fn sign(&self, repository: &str, subject: Descriptor) -> SignatureDocument {
        let statement = statement(repository, &subject.digest);
        let signature = STANDARD.encode(self.0.sign(&statement));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: Some(SIGNATURE_TYPE.to_owned()),
            config: Descriptor::of(media_type::EMPTY, EMPTY_CONFIGURATION),
            layers: vec![Descriptor::of(SIGNATURE_TYPE, &statement)],
            subject: Some(subject),
            annotations: BTreeMap::from([
                (SIGNATURE.to_owned(), signature),
                (KEY.to_owned(), self.public().to_string()),
            ]),
        };
        SignatureDocument {
            blobs: vec![EMPTY_CONFIGURATION.to_vec(), statement],
            manifest: serde_json::to_vec(&manifest).expect("strings and numbers are JSON"),
        }
    }
}

/// What is signed.
fn statement(repository: &str, digest: &Digest) -> Vec<u8> {
    format!("foreshore artifact v1\n{repository}\n{digest}\n").into_bytes()
}

impl PublicKey {
    /// Whether the annotations of a signature were made with this key for this artifact.
    fn made(
        &self,
        annotations: &BTreeMap<String, String>,
        repository: &str,
        digest: &Digest,
    ) -> bool {
        let Some(signature) = annotations
            .get(SIGNATURE)
            .and_then(|text| STANDARD.decode(text).ok())
        else {
            return false;
        };
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(&statement(repository, digest), &signature)
            .is_ok()
    }
}

/// Looks for a signature of `key` on an artifact in a registry.
pub async fn verify(
    client: &RegistryClient,
    service: &ServiceName,
    digest: &Digest,
    key: &PublicKey,
) -> Result<(), VerifyError> {
    let repository = repository(service);
    let found = client
        .referrers(&repository, digest, Some(SIGNATURE_TYPE))
        .await
        .map_err(|cause| VerifyError::Client {
            digest: digest.clone(),
            cause,
        })?;
    if found.is_empty() {
        return Err(VerifyError::Unsigned {
            service: service.clone(),
            digest: digest.clone(),
        });
    }
    if found
        .iter()
        .any(|descriptor| key.made(&descriptor.annotations, &repository, digest))
    {
        return Ok(());
    }
    Err(VerifyError::OtherKey {
        service: service.clone(),
        digest: digest.clone(),
        key: key.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::read(&SigningKey::draw().unwrap()).unwrap()
    }

    fn annotations(key: &SigningKey, repository: &str, content: &[u8]) -> BTreeMap<String, String> {
        let signed = key.sign(repository, Descriptor::of(media_type::MANIFEST, content));
        serde_json::from_slice::<Manifest>(&signed.manifest)
            .unwrap()
            .annotations
    }

    #[test]
    fn a_signature_is_for_one_artifact_in_one_repository_by_one_key() {
        let (key, other) = (key(), key());
        let made = annotations(&key, "artifacts/web", b"a");
        let check = |by: &SigningKey, repository: &str, content: &[u8]| {
            by.public().made(&made, repository, &Digest::of(content))
        };
        assert!(check(&key, "artifacts/web", b"a"));
        assert!(!check(&key, "artifacts/web", b"b"));
        assert!(!check(&key, "artifacts/api", b"a"));
        assert!(!check(&other, "artifacts/web", b"a"));
        assert!(
            !key.public()
                .made(&BTreeMap::new(), "artifacts/web", &Digest::of(b"a"))
        );
    }

    #[test]
    fn the_same_artifact_is_always_signed_the_same_way() {
        let key = key();
        let sign = || key.sign("artifacts/web", Descriptor::of(media_type::MANIFEST, b"a"));
        assert_eq!(sign(), sign());
    }

    #[test]
    fn a_public_key_reads_back_and_the_private_one_is_not_shown() {
        let kept = SigningKey::draw().unwrap();
        let key = SigningKey::read(&kept).unwrap();
        let public = key.public();
        assert_eq!(public.to_string().parse::<PublicKey>().unwrap(), public);
        assert_eq!(format!("{key:?}"), format!("SigningKey({public})"));
        assert_eq!(
            SigningKey::read(b"x").unwrap_err(),
            SigningKeyError::Damaged
        );
        for text in ["", "ed25519:", "ed25519:AAAA", "rsa:x"] {
            assert!(text.parse::<PublicKey>().is_err(), "{text}");
        }
    }
}
