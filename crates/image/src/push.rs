//! Sends an image from this machine to a registry.

use foreshore_model::Digest;

use crate::client::{ClientError, PushedBlob, RegistryClient};
use crate::manifest::media_type;
use crate::store::{DOCUMENT_BYTES_MAX, Image, Store};

/// Why an image could not be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error("cannot push image `{digest}` to `{repository}`")]
    Client {
        repository: String,
        digest: Digest,
        #[source]
        cause: ClientError,
    },
    #[error("image `{digest}` is not in the store")]
    Missing { digest: Digest },
}

impl Store {
    /// Sends the image: first what it is made of, then its manifest, so that nobody sees half of it.
    ///
    /// Tells whether anything had to be transferred.
    pub async fn push(
        &self,
        image: &Image,
        client: &RegistryClient,
        repository: &str,
        tag: Option<&str>,
    ) -> Result<PushedBlob, PushError> {
        let failed = |cause| PushError::Client {
            repository: repository.to_owned(),
            digest: image.digest.clone(),
            cause,
        };
        if self
            .is_pushed(image, client, repository, tag)
            .await
            .map_err(failed)?
        {
            return Ok(PushedBlob::AlreadyThere);
        }
        let config = std::iter::once(&image.manifest.config);
        for descriptor in image.manifest.layers.iter().chain(config) {
            client
                .push_blob(repository, &descriptor.digest, self.blobs())
                .await
                .map_err(failed)?;
        }
        let content = self
            .blobs()
            .read(&image.digest, DOCUMENT_BYTES_MAX)
            .map_err(|error| failed(error.into()))?;
        let content = content.ok_or_else(|| PushError::Missing {
            digest: image.digest.clone(),
        })?;
        let media_type = image
            .manifest
            .media_type
            .as_deref()
            .unwrap_or(media_type::MANIFEST);
        client
            .push_manifest(repository, tag, media_type, &content)
            .await
            .map_err(failed)?;
        Ok(PushedBlob::Uploaded)
    }

    /// A registry takes a manifest only with all its blobs; so the manifest stands for all.
    async fn is_pushed(
        &self,
        image: &Image,
        client: &RegistryClient,
        repository: &str,
        tag: Option<&str>,
    ) -> Result<bool, ClientError> {
        match client
            .resolve(repository, tag.unwrap_or(image.digest.as_str()))
            .await
        {
            Ok(digest) => Ok(digest == image.digest),
            Err(ClientError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
