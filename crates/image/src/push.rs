//! Sends an image from this machine to a registry.

use foreshore_model::Digest;
use futures::{StreamExt, TryStreamExt};

use crate::blobs::{BlobError, hash};
use crate::client::{ClientError, PushedBlob, RegistryClient};
use crate::manifest::media_type;
use crate::store::{DOCUMENT_BYTES_MAX, Image, Store};

/// Parts of one image that go at the same time.
const PARTS_AT_ONCE: usize = 3;

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
    #[error("`{digest}` was damaged on this machine and is removed; pack or pull the image again")]
    Damaged { digest: Digest },
    #[error("cannot read `{digest}` of the image")]
    Store {
        digest: Digest,
        #[source]
        cause: BlobError,
    },
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
        let parts: Vec<Digest> = image
            .manifest
            .layers
            .iter()
            .chain(config)
            .map(|part| part.digest.clone())
            .collect();
        // Together, because the registry answers each only when its disk has it.
        futures::stream::iter(parts)
            .map(|part| async move { self.push_part(client, repository, &part).await })
            .buffer_unordered(PARTS_AT_ONCE)
            .try_collect::<()>()
            .await?;
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

    async fn push_part(
        &self,
        client: &RegistryClient,
        repository: &str,
        part: &Digest,
    ) -> Result<(), PushError> {
        let Err(cause) = client.push_blob(repository, part, self.blobs()).await else {
            return Ok(());
        };
        let unreadable = |cause| PushError::Store {
            digest: part.clone(),
            cause,
        };
        let refused = matches!(cause, ClientError::Answered { status: 400, .. });
        if refused && self.remove_damaged(part).map_err(unreadable)? {
            return Err(PushError::Damaged {
                digest: part.clone(),
            });
        }
        Err(PushError::Client {
            repository: repository.to_owned(),
            digest: part.clone(),
            cause,
        })
    }

    /// Removes the blob if its content is not what its name says; tells whether it did.
    fn remove_damaged(&self, digest: &Digest) -> Result<bool, BlobError> {
        let Some(mut file) = self.blobs().file(digest)? else {
            return Ok(false);
        };
        let path = self.blobs().path(digest);
        let (found, _) = hash(&mut file).map_err(BlobError::disk("read", path))?;
        Ok(found != *digest && self.blobs().remove(digest)?)
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
