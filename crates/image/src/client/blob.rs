//! Blobs of a repository: straight from disk to disk.

use std::time::Duration;

use bytes::Bytes;
use foreshore_model::Digest;
use futures::Stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, StatusCode};
use tokio_util::io::ReaderStream;

use super::auth::Scope;
use super::{ClientError, RegistryClient};
use crate::blobs::{BlobError, BlobStore, ReceiveError};

/// Slower than this an upload counts as stuck.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 64 * 1024;
const CHUNK_BYTES: usize = 128 * 1024;

/// Whether a push had to transfer anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushedBlob {
    Uploaded,
    AlreadyThere,
}

/// Why a download broke off.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("the connection failed")]
    Http(#[source] reqwest::Error),
    #[error("nothing came for {} s", waited.as_secs())]
    Silent { waited: Duration },
}

/// The answer's content, with an end to every wait.
fn chunks(
    response: reqwest::Response,
    idle_timeout: Duration,
) -> impl Stream<Item = Result<Bytes, StreamError>> + Unpin {
    Box::pin(futures::stream::try_unfold(
        response,
        move |mut response| async move {
            match tokio::time::timeout(idle_timeout, response.chunk()).await {
                Ok(Ok(chunk)) => Ok(chunk.map(|chunk| (chunk, response))),
                Ok(Err(cause)) => Err(StreamError::Http(cause.without_url())),
                Err(_) => Err(StreamError::Silent {
                    waited: idle_timeout,
                }),
            }
        },
    ))
}

impl RegistryClient {
    /// Tells whether the repository has the blob.
    pub async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool, ClientError> {
        self.has_blob_as(&Scope::pull(repository), digest).await
    }

    async fn has_blob_as(&self, scope: &Scope, digest: &Digest) -> Result<bool, ClientError> {
        let url = self.url(&scope.repository, &format!("blobs/{digest}"));
        let response = self.send(scope, || self.http.head(url.clone())).await?;
        match self.expect(response, &format!("blob `{digest}`")).await {
            Ok(_) => Ok(true),
            Err(ClientError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Brings a blob into `store`, checked while it comes; returns its size, of at most `limit` bytes.
    pub async fn pull_blob(
        &self,
        repository: &str,
        digest: &Digest,
        limit: u64,
        store: &BlobStore,
    ) -> Result<u64, ClientError> {
        let url = self.url(repository, &format!("blobs/{digest}"));
        let response = self
            .send(&Scope::pull(repository), || self.http.get(url.clone()))
            .await?;
        let response = self
            .expect(response, &format!("blob `{repository}@{digest}`"))
            .await?;
        let registry = || self.registry.clone();
        let received = store
            .receive(chunks(response, self.options.idle_timeout), digest, limit)
            .await;
        received.map_err(|error| match error {
            ReceiveError::Stream(StreamError::Http(cause)) => ClientError::Unreachable {
                registry: registry(),
                cause,
            },
            ReceiveError::Stream(StreamError::Silent { waited }) => ClientError::Silent {
                registry: registry(),
                waited,
            },
            ReceiveError::Blob(BlobError::Mismatch { expected, found }) => ClientError::Mismatch {
                registry: registry(),
                expected,
                found,
            },
            ReceiveError::Blob(BlobError::TooLarge { limit }) => ClientError::TooLarge {
                registry: registry(),
                limit,
            },
            ReceiveError::Blob(error) => error.into(),
        })
    }

    /// Returns a small blob, checked against its digest.
    pub async fn blob_content(
        &self,
        repository: &str,
        digest: &Digest,
        limit: u64,
    ) -> Result<Vec<u8>, ClientError> {
        let url = self.url(repository, &format!("blobs/{digest}"));
        let response = self
            .send(&Scope::pull(repository), || self.http.get(url.clone()))
            .await?;
        let response = self
            .expect(response, &format!("blob `{repository}@{digest}`"))
            .await?;
        let content = self.body(response, limit).await?;
        let found = Digest::of(&content);
        if found != *digest {
            let registry = self.registry.clone();
            return Err(ClientError::Mismatch {
                registry,
                expected: digest.clone(),
                found,
            });
        }
        Ok(content)
    }

    /// Sends a blob of `store`, unless the repository has it.
    pub async fn push_blob(
        &self,
        repository: &str,
        digest: &Digest,
        store: &BlobStore,
    ) -> Result<PushedBlob, ClientError> {
        let path = store.path(digest);
        let open = |cause| BlobError::disk("open", &path)(cause);
        let size = std::fs::metadata(&path).map_err(open)?.len();
        let open = || {
            let file = std::fs::File::open(&path).map_err(open)?;
            let file = tokio::fs::File::from_std(file);
            Ok(Body::wrap_stream(ReaderStream::with_capacity(
                file,
                CHUNK_BYTES,
            )))
        };
        self.push_body(repository, digest, size, open).await
    }

    /// Sends content from memory, unless the repository has it.
    pub async fn push_content(
        &self,
        repository: &str,
        content: &[u8],
    ) -> Result<PushedBlob, ClientError> {
        let digest = Digest::of(content);
        self.push_body(repository, &digest, content.len() as u64, || {
            Ok(Body::from(content.to_vec()))
        })
        .await
    }

    async fn push_body(
        &self,
        repository: &str,
        digest: &Digest,
        size: u64,
        body: impl FnOnce() -> Result<Body, BlobError>,
    ) -> Result<PushedBlob, ClientError> {
        let scope = Scope::push(repository);
        if self.has_blob_as(&scope, digest).await? {
            return Ok(PushedBlob::AlreadyThere);
        }
        let what = format!("the push of blob `{digest}` to `{repository}`");
        let url = self.url(repository, "blobs/uploads/");
        let response = self
            .send(&scope, || {
                self.http.post(url.clone()).header(CONTENT_LENGTH, 0)
            })
            .await?;
        let response = self.expect(response, &what).await?;
        let (mut upload, ours) = self.location(&response)?;
        upload
            .query_pairs_mut()
            .append_pair("digest", digest.as_str());
        let timeout =
            self.options.idle_timeout + Duration::from_secs(size / UPLOAD_BYTES_PER_SECOND_MIN);
        let request = self
            .http
            .put(upload)
            .header(CONTENT_TYPE, "application/octet-stream");
        let request = request.header(CONTENT_LENGTH, size).body(body()?);
        // A token is at hand since the session was opened; a challenge now means that it is not enough.
        let header = if ours { self.known(&scope) } else { None };
        let response = self.send_once(timeout, request, header.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(ClientError::Forbidden {
                registry: self.registry.clone(),
                what,
            });
        }
        self.expect(response, &what).await?;
        Ok(PushedBlob::Uploaded)
    }
}
