//! Uploads: started, continued, finished or given up.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_RANGE, LOCATION, RANGE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use foreshore_image::{BlobWriter, ReceiveError, check_repository};
use foreshore_model::Digest;
use futures::{Stream, StreamExt};

use super::query;
use crate::problem::Problem;
use crate::registry::{Registry, RegistryError, blocking};
use crate::upload::Writing;

/// Why a client's content stopped.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("the connection broke")]
    Broken(#[source] axum::Error),
    #[error("nothing came for {} s", waited.as_secs())]
    Silent { waited: Duration },
}

fn chunks(
    body: Body,
    idle_timeout: Duration,
) -> impl Stream<Item = Result<Bytes, Stopped>> + Unpin {
    Box::pin(futures::stream::try_unfold(
        body.into_data_stream(),
        move |mut body| async move {
            match tokio::time::timeout(idle_timeout, body.next()).await {
                Ok(None) => Ok(None),
                Ok(Some(Ok(chunk))) => Ok(Some((chunk, body))),
                Ok(Some(Err(cause))) => Err(Stopped::Broken(cause)),
                Err(_) => Err(Stopped::Silent {
                    waited: idle_timeout,
                }),
            }
        },
    ))
}

async fn pour(
    registry: &Registry,
    writer: BlobWriter,
    body: Body,
) -> (BlobWriter, Result<(), RegistryError>) {
    let options = &registry.inner.options;
    let (writer, poured) = writer
        .pour(chunks(body, options.idle_timeout), options.blob_bytes_max)
        .await;
    let poured = poured.map_err(|error| match error {
        ReceiveError::Blob(error) => error.into(),
        ReceiveError::Stream(stopped) => {
            tracing::debug!(
                error = &stopped as &dyn std::error::Error,
                "upload broke off"
            );
            RegistryError::Interrupted
        }
    });
    (writer, poured)
}

fn digest_of(parts: &Parts) -> Result<Option<Digest>, Problem> {
    let Some(text) = query(parts, "digest") else {
        return Ok(None);
    };
    let wrong = |error: foreshore_model::digest::DigestError| {
        Problem::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", error.to_string())
    };
    text.parse().map(Some).map_err(wrong)
}

fn created(repository: &str, digest: &Digest) -> Response {
    let location = format!("/v2/{repository}/blobs/{digest}");
    let headers = [
        (LOCATION.as_str(), location),
        ("docker-content-digest", digest.to_string()),
    ];
    (StatusCode::CREATED, headers).into_response()
}

/// Tells where the upload goes on; an empty upload is told as `0-0`, as the protocol has no other words.
fn progress(status: StatusCode, repository: &str, id: &str, length: u64) -> Response {
    let headers = [
        (
            LOCATION.as_str(),
            format!("/v2/{repository}/blobs/uploads/{id}"),
        ),
        (RANGE.as_str(), format!("0-{}", length.saturating_sub(1))),
        ("docker-upload-uuid", id.to_owned()),
    ];
    (status, headers).into_response()
}

/// Begins an upload; finishes it at once when the request carries all, or when another repository has it.
pub(super) async fn start(
    registry: &Registry,
    repository: &str,
    parts: &Parts,
    body: Body,
    may_read: impl Fn(&str) -> bool,
) -> Result<Response, Problem> {
    if let (Some(mount), Some(from)) = (query(parts, "mount"), query(parts, "from"))
        && let Ok(digest) = mount.parse::<Digest>()
        && check_repository(&from).is_ok()
        && may_read(&from)
        && registry.holds_blob(&from, &digest)
    {
        link(registry, repository, &digest).await?;
        return Ok(created(repository, &digest));
    }
    let blobs = &registry.inner.blobs;
    if let Some(digest) = digest_of(parts)? {
        let writer = blobs.writer().map_err(RegistryError::from)?;
        let (writer, poured) = pour(registry, writer, body).await;
        poured?;
        return store(registry, repository, writer, digest).await;
    }
    let id = registry.inner.uploads.start(repository, blobs)?;
    Ok(progress(StatusCode::ACCEPTED, repository, &id, 0))
}

async fn link(registry: &Registry, repository: &str, digest: &Digest) -> Result<(), RegistryError> {
    let (registry, repository, digest) = (registry.clone(), repository.to_owned(), digest.clone());
    blocking(move || registry.link_blob(&repository, &digest)).await
}

async fn store(
    registry: &Registry,
    repository: &str,
    writer: BlobWriter,
    digest: Digest,
) -> Result<Response, Problem> {
    let stored = registry
        .inner
        .blobs
        .finish_later(writer, Some(digest.clone()))
        .await;
    stored.map_err(RegistryError::from)?;
    link(registry, repository, &digest).await?;
    Ok(created(repository, &digest))
}

fn check_start(parts: &Parts, length: u64) -> Result<(), RegistryError> {
    let range = parts
        .headers
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let start = range.and_then(|range| {
        range
            .trim_start_matches("bytes ")
            .split('-')
            .next()?
            .parse::<u64>()
            .ok()
    });
    match start {
        Some(start) if start != length => Err(RegistryError::Range { length, start }),
        _ => Ok(()),
    }
}

/// Keeps what came so far if the client can go on from there; otherwise it would only take space.
fn stopped(
    registry: &Registry,
    id: &str,
    writing: Writing,
    writer: BlobWriter,
    error: RegistryError,
) -> Problem {
    if matches!(error, RegistryError::Interrupted) {
        writing.put_back(writer);
    } else {
        drop(writing);
        registry.inner.uploads.end(id);
    }
    error.into()
}

pub(super) async fn append(
    registry: &Registry,
    repository: &str,
    id: &str,
    parts: &Parts,
    body: Body,
) -> Result<Response, Problem> {
    let mut writing = registry.inner.uploads.write(repository, id)?;
    let writer = writing.take().ok_or_else(|| RegistryError::NoUpload {
        upload: id.to_owned(),
    })?;
    if let Err(error) = check_start(parts, writer.length()) {
        let response = progress(
            StatusCode::RANGE_NOT_SATISFIABLE,
            repository,
            id,
            writer.length(),
        );
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "upload out of order"
        );
        writing.put_back(writer);
        return Ok(response);
    }
    let (writer, poured) = pour(registry, writer, body).await;
    let length = writer.length();
    if let Err(error) = poured {
        return Err(stopped(registry, id, writing, writer, error));
    }
    writing.put_back(writer);
    Ok(progress(StatusCode::ACCEPTED, repository, id, length))
}

pub(super) async fn finish(
    registry: &Registry,
    repository: &str,
    id: &str,
    parts: &Parts,
    body: Body,
) -> Result<Response, Problem> {
    let digest = digest_of(parts)?.ok_or_else(|| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "DIGEST_INVALID",
            "the request says no `digest`",
        )
    })?;
    let mut writing = registry.inner.uploads.write(repository, id)?;
    let writer = writing.take().ok_or_else(|| RegistryError::NoUpload {
        upload: id.to_owned(),
    })?;
    if let Err(error) = check_start(parts, writer.length()) {
        writing.put_back(writer);
        return Err(error.into());
    }
    let (writer, poured) = pour(registry, writer, body).await;
    if let Err(error) = poured {
        return Err(stopped(registry, id, writing, writer, error));
    }
    drop(writing);
    registry.inner.uploads.end(id);
    store(registry, repository, writer, digest).await
}

pub(super) fn status(registry: &Registry, repository: &str, id: &str) -> Result<Response, Problem> {
    let length = registry.inner.uploads.length(repository, id)?;
    Ok(progress(StatusCode::NO_CONTENT, repository, id, length))
}

pub(super) fn cancel(registry: &Registry, repository: &str, id: &str) -> Result<Response, Problem> {
    let mut writing = registry.inner.uploads.write(repository, id)?;
    drop(writing.take());
    registry.inner.uploads.end(id);
    Ok(StatusCode::NO_CONTENT.into_response())
}
