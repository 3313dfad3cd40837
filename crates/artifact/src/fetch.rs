//! Artifacts out of a registry.

use foreshore_image::{ClientError, RegistryClient};
use foreshore_model::{ArtifactId, ArtifactRecord, Digest, ServiceName};

use crate::document::{self, DocumentError, RECORD_BYTES_MAX};

/// An artifact with its name by content.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    pub digest: Digest,
    pub record: ArtifactRecord,
}

/// Why an artifact could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("service `{service}` has no artifact `{target}`")]
    NotFound {
        service: ServiceName,
        target: String,
        #[source]
        cause: ClientError,
    },
    #[error("artifact `{target}` of service `{service}` cannot be used")]
    Document {
        service: ServiceName,
        target: String,
        #[source]
        cause: DocumentError,
    },
    #[error("artifact `{target}` of service `{service}` calls itself `{found}`")]
    Id {
        service: ServiceName,
        target: String,
        found: ArtifactId,
    },
    #[error("cannot fetch artifact `{target}` of service `{service}`")]
    Client {
        service: ServiceName,
        target: String,
        #[source]
        cause: ClientError,
    },
    #[error("cannot list the artifacts of service `{service}`")]
    List {
        service: ServiceName,
        #[source]
        cause: ClientError,
    },
}

/// Fetches the artifact under an id or a digest; every byte is checked.
pub async fn fetch(
    client: &RegistryClient,
    service: &ServiceName,
    target: &str,
) -> Result<Fetched, FetchError> {
    let repository = document::repository(service);
    let named = || (service.clone(), target.to_owned());
    let failed = |cause: ClientError| {
        let (service, target) = named();
        match cause {
            ClientError::NotFound { .. } => FetchError::NotFound {
                service,
                target,
                cause,
            },
            cause => FetchError::Client {
                service,
                target,
                cause,
            },
        }
    };
    let unusable = |cause| {
        let (service, target) = named();
        FetchError::Document {
            service,
            target,
            cause,
        }
    };
    let manifest = client.manifest(&repository, target).await.map_err(failed)?;
    let descriptor = document::record_descriptor(&manifest.content).map_err(unusable)?;
    let content = client
        .blob_content(&repository, &descriptor.digest, RECORD_BYTES_MAX)
        .await
        .map_err(failed)?;
    let record = document::read(&descriptor.digest, &content, service).map_err(unusable)?;
    let by_id = target.parse::<Digest>().is_err();
    if by_id && record.id.as_str() != target {
        let (service, target) = named();
        return Err(FetchError::Id {
            service,
            target,
            found: record.id,
        });
    }
    Ok(Fetched {
        digest: manifest.digest,
        record,
    })
}

/// Returns the ids of all artifacts of a service, in the order of their text; none if it never had any.
pub async fn list(
    client: &RegistryClient,
    service: &ServiceName,
) -> Result<Vec<ArtifactId>, FetchError> {
    let tags = match client.list_tags(&document::repository(service)).await {
        Ok(tags) => tags,
        // The registry says that the repository does not exist, which is an answer.
        Err(ClientError::NotFound { .. }) => Vec::new(),
        Err(cause) => {
            return Err(FetchError::List {
                service: service.clone(),
                cause,
            });
        }
    };
    // Other tags may have been put there by other tools; they are not artifacts.
    Ok(tags.iter().filter_map(|tag| tag.parse().ok()).collect())
}
