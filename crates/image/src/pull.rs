//! Brings an image from a registry onto this machine.

use foreshore_model::Digest;
use futures::{StreamExt, TryStreamExt};

use crate::client::{ClientError, ClientOptions, Fetched, RegistryClient};
use crate::manifest::{Document, Manifest, ManifestError, Platform};
use crate::reference::Reference;
use crate::store::{DOCUMENT_BYTES_MAX, Image, Store, StoreError};

/// Layers of one image that come at the same time.
const LAYERS_AT_ONCE: usize = 3;
/// Largest layer that is pulled.
const LAYER_BYTES_MAX: u64 = 10 << 30;

/// When a registry is asked, in Kubernetes' words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    Always,
    #[default]
    IfNotPresent,
    Never,
}

/// How an image is pulled.
#[derive(Debug, Clone)]
pub struct PullOptions {
    pub policy: Policy,
    pub client: ClientOptions,
    pub platform: Platform,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            client: ClientOptions::default(),
            platform: Platform::host(),
        }
    }
}

/// Why an image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("image `{image}` is not on this machine, and its pull policy is `Never`")]
    NeverPulled { image: String },
    #[error("image `{image}` not found")]
    NotFound {
        image: String,
        #[source]
        cause: ClientError,
    },
    #[error("no access to image `{image}`")]
    Unauthorized {
        image: String,
        #[source]
        cause: ClientError,
    },
    #[error("cannot reach the registry of image `{image}`")]
    Unreachable {
        image: String,
        #[source]
        cause: ClientError,
    },
    #[error("image `{image}` is not what its digest says")]
    Mismatch {
        image: String,
        #[source]
        cause: ClientError,
    },
    #[error("no space left for image `{image}`")]
    NoSpace {
        image: String,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot use the manifest of image `{image}`")]
    Manifest {
        image: String,
        #[source]
        cause: ManifestError,
    },
    #[error("cannot store image `{image}`")]
    Store {
        image: String,
        #[source]
        cause: StoreError,
    },
    #[error(
        "layer `{layer}` of image `{image}` has {size} bytes, at most {LAYER_BYTES_MAX} are pulled"
    )]
    TooLarge {
        image: String,
        layer: Digest,
        size: u64,
    },
    #[error("the registry of image `{image}` refused")]
    Refused {
        image: String,
        #[source]
        cause: ClientError,
    },
}

impl PullError {
    /// Returns the reason that kubelet gives a waiting container.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NeverPulled { .. } => "ErrImageNeverPull",
            Self::Unreachable { .. } => "RegistryUnavailable",
            _ => "ErrImagePull",
        }
    }

    fn from_client(image: &str, cause: ClientError) -> Self {
        let image = image.to_owned();
        match cause {
            ClientError::NotFound { .. } => Self::NotFound { image, cause },
            ClientError::Unauthorized { .. } | ClientError::Forbidden { .. } => {
                Self::Unauthorized { image, cause }
            }
            ClientError::Mismatch { .. } => Self::Mismatch { image, cause },
            ClientError::Blob(error) if error.is_full_disk() => Self::NoSpace {
                image,
                cause: error.into(),
            },
            ClientError::Blob(error) => Self::Store {
                image,
                cause: error.into(),
            },
            cause if cause.is_unreachable() => Self::Unreachable { image, cause },
            cause => Self::Refused { image, cause },
        }
    }

    fn from_store(image: &str, cause: StoreError) -> Self {
        let image = image.to_owned();
        match cause {
            StoreError::Blob(error) if error.is_full_disk() => Self::NoSpace {
                image,
                cause: error.into(),
            },
            StoreError::Manifest(cause) => Self::Manifest { image, cause },
            cause => Self::Store { image, cause },
        }
    }
}

impl Store {
    /// Returns the image, and brings what is missing of it first as far as the policy says.
    pub async fn pull(
        &self,
        reference: &Reference,
        options: &PullOptions,
    ) -> Result<Image, PullError> {
        let name = reference.to_string();
        let _flight = self.flight(&format!("pull {name}")).await;
        let local = || {
            self.find(reference, &options.platform)
                .map_err(|error| PullError::from_store(&name, error))
        };
        if options.policy != Policy::Always
            && let Some(image) = local()?
        {
            return Ok(image);
        }
        if options.policy == Policy::Never {
            return Err(PullError::NeverPulled { image: name });
        }
        let transfer = Transfer {
            store: self,
            reference,
            name: &name,
            platform: &options.platform,
        };
        transfer.run(options.client.clone()).await?;
        // The index entry is there now; what was pulled is read the way every later caller reads it.
        local()?.ok_or_else(|| PullError::Store {
            image: name.clone(),
            cause: StoreError::Vanished {
                image: name.clone(),
            },
        })
    }
}

struct Transfer<'a> {
    store: &'a Store,
    reference: &'a Reference,
    name: &'a str,
    platform: &'a Platform,
}

impl Transfer<'_> {
    fn client_failed(&self) -> impl FnOnce(ClientError) -> PullError {
        |cause| PullError::from_client(self.name, cause)
    }

    fn store_failed(&self) -> impl FnOnce(StoreError) -> PullError {
        |cause| PullError::from_store(self.name, cause)
    }

    async fn run(&self, options: ClientOptions) -> Result<(), PullError> {
        let client =
            RegistryClient::new(self.reference.address(), options).map_err(self.client_failed())?;
        let top = self.document(&client, self.reference.target()).await?;
        let parsed = self.parse(&top)?;
        let manifest = match parsed {
            Document::Manifest(manifest) => manifest,
            Document::Index(index) => {
                let chosen = index
                    .select(&top.digest, self.platform)
                    .map_err(|e| self.store_failed()(e.into()))?;
                let fetched = self.document(&client, chosen.digest.as_str()).await?;
                match self.parse(&fetched)? {
                    Document::Manifest(manifest) => manifest,
                    Document::Index(_) => {
                        let error = ManifestError::Nested { digest: top.digest };
                        return Err(self.store_failed()(error.into()));
                    }
                }
            }
        };
        self.blobs(&client, &manifest).await?;
        if self.reference.digest().is_none() {
            let size = top.content.len() as u64;
            self.store
                .set_name(self.name, &top.media_type, &top.digest, size)
                .map_err(self.store_failed())?;
        }
        Ok(())
    }

    fn parse(&self, fetched: &Fetched) -> Result<Document, PullError> {
        Document::parse(&fetched.digest, &fetched.content)
            .map_err(|error| self.store_failed()(error.into()))
    }

    /// Fetches a manifest or an index, and keeps it.
    async fn document(&self, client: &RegistryClient, target: &str) -> Result<Fetched, PullError> {
        let fetched = client
            .manifest(self.reference.repository(), target)
            .await
            .map_err(self.client_failed())?;
        self.store
            .blobs()
            .put(&fetched.content)
            .map_err(|error| self.store_failed()(error.into()))?;
        Ok(fetched)
    }

    async fn blobs(&self, client: &RegistryClient, manifest: &Manifest) -> Result<(), PullError> {
        for layer in &manifest.layers {
            if layer.size > LAYER_BYTES_MAX {
                let (layer, size) = (layer.digest.clone(), layer.size);
                return Err(PullError::TooLarge {
                    image: self.name.to_owned(),
                    layer,
                    size,
                });
            }
        }
        let configuration = (
            manifest.config.digest.clone(),
            manifest.config.size.min(DOCUMENT_BYTES_MAX),
        );
        let layers = manifest
            .layers
            .iter()
            .map(|layer| (layer.digest.clone(), layer.size));
        // Owned, because a future over borrowed digests cannot be sent to another thread.
        let wanted: Vec<_> = std::iter::once(configuration).chain(layers).collect();
        futures::stream::iter(wanted)
            .map(|(digest, size)| async move { self.blob(client, &digest, size).await })
            .buffer_unordered(LAYERS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn blob(
        &self,
        client: &RegistryClient,
        digest: &Digest,
        size: u64,
    ) -> Result<(), PullError> {
        let blobs = self.store.blobs();
        if blobs
            .size(digest)
            .map_err(|error| self.store_failed()(error.into()))?
            == Some(size)
        {
            return Ok(());
        }
        let repository = self.reference.repository();
        client
            .pull_blob(repository, digest, size, blobs)
            .await
            .map_err(self.client_failed())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send<T: Send>(_: &T) {}

    #[test]
    fn transfers_may_run_on_any_thread() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let reference: Reference = "127.0.0.1:1/web:v1".parse().unwrap();
        let options = PullOptions::default();
        is_send(&store.pull(&reference, &options));
        let client = RegistryClient::new("127.0.0.1:1", options.client.clone()).unwrap();
        let image = crate::pack::tests::image(&store, directory.path());
        is_send(&store.push(&image, &client, "web", None));
        is_send(&store.unpacked(&image));
    }
}
