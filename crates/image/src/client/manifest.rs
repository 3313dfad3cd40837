//! Manifests, tags and referrers of a repository.

use foreshore_model::Digest;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LINK};
use serde::Deserialize;
use url::Url;

use super::auth::Scope;
use super::{ClientError, RegistryClient};
use crate::manifest::{Descriptor, Index, media_type};
use crate::store::DOCUMENT_BYTES_MAX;

/// Pages of a listing that are followed; at 1000 entries each a million.
const PAGES_MAX: usize = 1000;

/// A manifest as the registry sent it, its digest checked.
#[derive(Debug, Clone)]
pub struct Fetched {
    pub media_type: String,
    pub digest: Digest,
    pub content: Vec<u8>,
}

fn media_type_of(headers: &HeaderMap) -> String {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_owned()
}

impl RegistryClient {
    /// Returns the digest that a tag stands for right now.
    pub async fn resolve(&self, repository: &str, tag: &str) -> Result<Digest, ClientError> {
        let url = self.url(repository, &format!("manifests/{tag}"));
        let accept = media_type::MANIFESTS.join(", ");
        let request = || self.http.head(url.clone()).header(ACCEPT, &accept);
        let response = self.send(&Scope::pull(repository), request).await?;
        let response = self
            .expect(response, &format!("`{repository}:{tag}`"))
            .await?;
        let digest = response
            .headers()
            .get("docker-content-digest")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        match digest {
            Some(digest) => Ok(digest),
            // The header is optional; the content always tells.
            None => Ok(self.manifest(repository, tag).await?.digest),
        }
    }

    /// Returns the manifest under a tag or digest.
    pub async fn manifest(&self, repository: &str, target: &str) -> Result<Fetched, ClientError> {
        let url = self.url(repository, &format!("manifests/{target}"));
        let accept = media_type::MANIFESTS.join(", ");
        let request = || self.http.get(url.clone()).header(ACCEPT, &accept);
        let response = self.send(&Scope::pull(repository), request).await?;
        let separator = if target.contains(':') { '@' } else { ':' };
        let response = self
            .expect(response, &format!("`{repository}{separator}{target}`"))
            .await?;
        let media_type = media_type_of(response.headers());
        let content = self.body(response, DOCUMENT_BYTES_MAX).await?;
        let found = Digest::of(&content);
        match target.parse::<Digest>() {
            Ok(expected) if expected != found => Err(ClientError::Mismatch {
                registry: self.registry.clone(),
                expected,
                found,
            }),
            _ => Ok(Fetched {
                media_type,
                digest: found,
                content,
            }),
        }
    }

    /// Stores a manifest under a tag, or under its own digest.
    pub async fn push_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        content: &[u8],
    ) -> Result<Digest, ClientError> {
        let digest = Digest::of(content);
        let target = tag.unwrap_or(digest.as_str());
        let url = self.url(repository, &format!("manifests/{target}"));
        let request = || {
            self.http
                .put(url.clone())
                .header(CONTENT_TYPE, media_type)
                .body(content.to_vec())
        };
        let response = self.send(&Scope::push(repository), request).await?;
        self.expect(response, &format!("the push of `{repository}:{target}`"))
            .await?;
        Ok(digest)
    }

    /// Removes a tag, or a manifest by its digest.
    pub async fn delete_manifest(&self, repository: &str, target: &str) -> Result<(), ClientError> {
        let url = self.url(repository, &format!("manifests/{target}"));
        let response = self
            .send(&Scope::push(repository), || self.http.delete(url.clone()))
            .await?;
        self.expect(response, &format!("`{repository}:{target}`"))
            .await
            .map(drop)
    }

    /// Returns every tag of the repository, in the registry's order.
    pub async fn list_tags(&self, repository: &str) -> Result<Vec<String>, ClientError> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut next = Some(self.url(repository, "tags/list?n=1000"));
        for _ in 0..PAGES_MAX {
            let Some(url) = next else {
                return Ok(tags);
            };
            let response = self
                .send(&Scope::pull(repository), || self.http.get(url.clone()))
                .await?;
            let response = self
                .expect(response, &format!("repository `{repository}`"))
                .await?;
            next = self.next_page(response.url(), response.headers());
            let body = self.body(response, DOCUMENT_BYTES_MAX).await?;
            let page: Page = self.parse(&body, "list of tags")?;
            tags.extend(page.tags.unwrap_or_default());
        }
        Err(ClientError::Malformed {
            registry: self.registry.clone(),
            what: "endless list of tags".to_owned(),
        })
    }

    /// Returns the manifests that say they are about `subject`.
    pub async fn referrers(
        &self,
        repository: &str,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ClientError> {
        let wanted = |descriptor: &Descriptor| {
            artifact_type.is_none_or(|wanted| descriptor.artifact_type.as_deref() == Some(wanted))
        };
        let mut found = Vec::new();
        let mut next = Some(self.url(repository, &format!("referrers/{subject}")));
        for _ in 0..PAGES_MAX {
            let Some(url) = next else {
                found.retain(wanted);
                return Ok(found);
            };
            let response = self
                .send(&Scope::pull(repository), || self.http.get(url.clone()))
                .await?;
            let response = match self.expect(response, "referrers").await {
                // Registries before version 1.1 keep the list under a tag made of the digest.
                Err(ClientError::NotFound { .. }) => {
                    let mut found = self.referrers_by_tag(repository, subject).await?;
                    found.retain(wanted);
                    return Ok(found);
                }
                other => other?,
            };
            next = self.next_page(response.url(), response.headers());
            let body = self.body(response, DOCUMENT_BYTES_MAX).await?;
            found.extend(self.parse::<Index>(&body, "list of referrers")?.manifests);
        }
        Err(ClientError::Malformed {
            registry: self.registry.clone(),
            what: "endless list of referrers".to_owned(),
        })
    }

    async fn referrers_by_tag(
        &self,
        repository: &str,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, ClientError> {
        match self
            .manifest(repository, &format!("sha256-{}", subject.hex()))
            .await
        {
            Ok(fetched) => Ok(self
                .parse::<Index>(&fetched.content, "list of referrers")?
                .manifests),
            Err(ClientError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn parse<'a, T: Deserialize<'a>>(&self, body: &'a [u8], what: &str) -> Result<T, ClientError> {
        serde_json::from_slice(body).map_err(|cause| ClientError::Malformed {
            registry: self.registry.clone(),
            what: format!("{what}: {cause}"),
        })
    }

    /// Reads `Link: <…>; rel="next"`; a page elsewhere is not followed.
    fn next_page(&self, current: &Url, headers: &HeaderMap) -> Option<Url> {
        let link = headers.get(LINK)?.to_str().ok()?;
        let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
        let url = current.join(target).ok()?;
        let is_next = parameters.replace(' ', "").contains("rel=\"next\"");
        (is_next && url.origin() == self.base.origin()).then_some(url)
    }
}
