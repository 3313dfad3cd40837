//! Manifests, tags, referrers.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LINK, LOCATION};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use foreshore_image::{Descriptor, Index, media_type};
use foreshore_model::Digest;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::json;

use super::query;
use crate::problem::Problem;
use crate::registry::{Registry, RegistryError, blocking};

/// Tags on one page unless the client asks for fewer.
const TAGS_PER_PAGE_MAX: usize = 1000;
const DIGEST: &str = "docker-content-digest";

pub(super) async fn get(
    registry: &Registry,
    repository: &str,
    target: &str,
    method: &Method,
) -> Result<Response, Problem> {
    let (registry, repository, target) =
        (registry.clone(), repository.to_owned(), target.to_owned());
    let stored = blocking(move || registry.manifest(&repository, &target)).await?;
    let headers = [
        (CONTENT_TYPE.as_str(), stored.media_type),
        (CONTENT_LENGTH.as_str(), stored.content.len().to_string()),
        (DIGEST, stored.digest.to_string()),
    ];
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from(stored.content)
    };
    Ok((StatusCode::OK, headers, body).into_response())
}

pub(super) async fn put(
    registry: &Registry,
    repository: &str,
    target: &str,
    parts: &Parts,
    body: Body,
) -> Result<Response, Problem> {
    let media_type = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let content = read(registry, body).await?;
    let location = |digest: &Digest| format!("/v2/{repository}/manifests/{digest}");
    let (pushed, name, target) = (registry.clone(), repository.to_owned(), target.to_owned());
    let (digest, subject) =
        blocking(move || pushed.put_manifest(&name, &target, &media_type, &content)).await?;
    let headers = [
        (LOCATION.as_str(), location(&digest)),
        (DIGEST, digest.to_string()),
    ];
    let mut response = (StatusCode::CREATED, headers).into_response();
    if let Some(subject) = subject {
        let value = subject
            .as_str()
            .parse()
            .expect("a digest is a header value");
        response.headers_mut().insert("oci-subject", value);
    }
    Ok(response)
}

async fn read(registry: &Registry, body: Body) -> Result<Vec<u8>, Problem> {
    let options = &registry.inner.options;
    let limit = options.manifest_bytes_max;
    let mut chunks = body.into_data_stream();
    let mut content = Vec::new();
    loop {
        let chunk = tokio::time::timeout(options.idle_timeout, chunks.next()).await;
        match chunk {
            Ok(None) => return Ok(content),
            Ok(Some(Ok(chunk))) => content.extend_from_slice(&chunk),
            Ok(Some(Err(_))) | Err(_) => return Err(RegistryError::Interrupted.into()),
        }
        if content.len() as u64 > limit {
            return Err(RegistryError::TooLarge { limit }.into());
        }
    }
}

pub(super) async fn delete(
    registry: &Registry,
    repository: &str,
    target: &str,
) -> Result<Response, Problem> {
    let (registry, repository, target) =
        (registry.clone(), repository.to_owned(), target.to_owned());
    blocking(move || registry.remove_manifest(&repository, &target)).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

pub(super) fn tags(
    registry: &Registry,
    repository: &str,
    parts: &Parts,
) -> Result<Response, Problem> {
    let count = match query(parts, "n") {
        None => TAGS_PER_PAGE_MAX,
        Some(text) => text
            .parse::<usize>()
            .map(|count| count.min(TAGS_PER_PAGE_MAX))
            .map_err(|_| {
                let message = format!("`n={text}` is not a number");
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "PAGINATION_NUMBER_INVALID",
                    message,
                )
            })?,
    };
    let all = registry.tags(repository)?;
    let start = query(parts, "last").map_or(0, |last| all.partition_point(|tag| *tag <= last));
    let page: Vec<&String> = all[start..].iter().take(count).collect();
    let more = start + page.len() < all.len();
    let next = page
        .last()
        .filter(|_| more)
        .map(|last| format!("</v2/{repository}/tags/list?n={count}&last={last}>; rel=\"next\""));
    let body = Json(json!({ "name": repository, "tags": page }));
    Ok(match next {
        Some(next) => ([(LINK, next)], body).into_response(),
        None => body.into_response(),
    })
}

pub(super) async fn referrers(
    registry: &Registry,
    repository: &str,
    subject: &Digest,
    parts: &Parts,
) -> Result<Response, Problem> {
    let wanted = query(parts, "artifactType");
    let found: Vec<_> = {
        let state = registry.state();
        let manifests = state
            .repository(repository)
            .into_iter()
            .flat_map(|found| found.manifests.values());
        manifests
            .filter(|manifest| manifest.subject.as_ref() == Some(subject))
            .filter(|manifest| wanted.is_none() || manifest.artifact_type == wanted)
            .cloned()
            .collect()
    };
    let (registry, name) = (registry.clone(), repository.to_owned());
    let described = blocking(move || {
        let describe = |manifest: crate::journal::Manifest| {
            let content = registry.manifest(&name, manifest.digest.as_str())?.content;
            let mut descriptor =
                Descriptor::new(&manifest.media_type, manifest.digest, manifest.size);
            descriptor.artifact_type = manifest.artifact_type;
            descriptor.annotations = annotations(&content);
            Ok(descriptor)
        };
        found
            .into_iter()
            .map(describe)
            .collect::<Result<Vec<_>, RegistryError>>()
    });
    let index = Index {
        schema_version: 2,
        media_type: Some(media_type::INDEX.to_owned()),
        artifact_type: None,
        manifests: described.await?,
        subject: None,
        annotations: BTreeMap::new(),
    };
    let body = serde_json::to_vec(&index).expect("strings and numbers are JSON");
    let mut response = ([(CONTENT_TYPE, media_type::INDEX)], body).into_response();
    if wanted.is_some() {
        let value = axum::http::HeaderValue::from_static("artifactType");
        response.headers_mut().insert("oci-filters-applied", value);
    }
    Ok(response)
}

fn annotations(content: &[u8]) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Annotated {
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    // The manifest was read when it was pushed; without annotations there are none to tell.
    serde_json::from_slice::<Annotated>(content)
        .map_or_else(|_| BTreeMap::new(), |read| read.annotations)
}
