//! Blobs, whole or a part.

use std::io::SeekFrom;

use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use foreshore_model::Digest;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::problem::Problem;
use crate::registry::{Registry, RegistryError, blocking};

const CHUNK_BYTES: usize = 128 * 1024;

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part { start: u64, length: u64 },
    Impossible,
}

/// Reads a single range; anything else is answered with all, as HTTP allows.
fn wanted(range: Option<&str>, size: u64) -> Wanted {
    let Some((start, end)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    else {
        return Wanted::All;
    };
    let (start, end) = match (start.parse::<u64>(), end.parse::<u64>()) {
        (Ok(start), Ok(end)) => (start, end.min(size.saturating_sub(1))),
        (Ok(start), Err(_)) if end.is_empty() => (start, size.saturating_sub(1)),
        (Err(_), Ok(last)) if start.is_empty() && last > 0 => {
            (size.saturating_sub(last), size.saturating_sub(1))
        }
        _ => return Wanted::All,
    };
    if start > end || start >= size {
        return Wanted::Impossible;
    }
    Wanted::Part {
        start,
        length: end - start + 1,
    }
}

pub(super) async fn get(
    registry: &Registry,
    repository: &str,
    digest: &Digest,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let missing = || RegistryError::NoBlob {
        repository: repository.to_owned(),
        digest: digest.clone(),
    };
    if !registry.holds_blob(repository, digest) {
        return Err(missing().into());
    }
    let file = registry
        .inner
        .blobs
        .file(digest)
        .map_err(RegistryError::from)?;
    let Some(file) = file else {
        // Told as missing, so that a push can bring it back.
        tracing::error!(repository, %digest, "blob is missing on disk");
        return Err(missing().into());
    };
    let unreadable = |_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "UNKNOWN",
            "the blob cannot be read",
        )
    };
    let mut file = tokio::fs::File::from_std(file);
    let size = file.metadata().await.map_err(unreadable)?.len();
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let (status, start, length) = match wanted(range, size) {
        Wanted::All => (StatusCode::OK, 0, size),
        Wanted::Part { start, length } => (StatusCode::PARTIAL_CONTENT, start, length),
        Wanted::Impossible => {
            let headers = [(CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        file.seek(SeekFrom::Start(start))
            .await
            .map_err(unreadable)?;
        Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK_BYTES))
    };
    let headers = [
        (CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()),
        (CONTENT_LENGTH.as_str(), length.to_string()),
        (ACCEPT_RANGES.as_str(), "bytes".to_owned()),
        ("docker-content-digest", digest.to_string()),
    ];
    let mut response = (status, headers, body).into_response();
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{size}", start + length - 1);
        response.headers_mut().insert(
            CONTENT_RANGE,
            range.parse().expect("digits are a header value"),
        );
    }
    Ok(response)
}

pub(super) async fn delete(
    registry: &Registry,
    repository: &str,
    digest: Digest,
) -> Result<Response, Problem> {
    let (registry, repository) = (registry.clone(), repository.to_owned());
    blocking(move || registry.remove_blob(&repository, &digest)).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood_and_everything_else_means_all() {
        let part = |start, length| Wanted::Part { start, length };
        assert_eq!(wanted(None, 10), Wanted::All);
        assert_eq!(wanted(Some("bytes=2-4"), 10), part(2, 3));
        assert_eq!(wanted(Some("bytes=2-"), 10), part(2, 8));
        assert_eq!(wanted(Some("bytes=-3"), 10), part(7, 3));
        assert_eq!(wanted(Some("bytes=2-99"), 10), part(2, 8));
        assert_eq!(wanted(Some("bytes=10-"), 10), Wanted::Impossible);
        assert_eq!(wanted(Some("bytes=0-0"), 0), Wanted::Impossible);
        assert_eq!(wanted(Some("bytes=1-2,4-5"), 10), Wanted::All);
        assert_eq!(wanted(Some("lines=1-2"), 10), Wanted::All);
    }
}
