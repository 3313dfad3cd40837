//! An artifact on its way into a registry.

use foreshore_image::{ClientError, RegistryClient, media_type};
use foreshore_model::{ArtifactId, ArtifactRecord, Digest, ServiceName};

use crate::document::{EMPTY_CONFIGURATION, document, repository};

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    Uploaded {
        digest: Digest,
    },
    /// The registry had exactly this artifact.
    AlreadyThere {
        digest: Digest,
    },
}

impl Pushed {
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Uploaded { digest } | Self::AlreadyThere { digest } => digest,
        }
    }
}

/// Why an artifact was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(
        "artifact `{id}` of service `{service}` is already pushed with other content \
         (`{there}` there, `{here}` here)"
    )]
    Conflict {
        service: ServiceName,
        id: ArtifactId,
        there: Digest,
        here: Digest,
    },
    #[error(
        "image `{repository}@{digest}` of artifact `{id}` is not in the registry; push it first"
    )]
    Image {
        id: ArtifactId,
        repository: String,
        digest: Digest,
    },
    #[error("cannot push artifact `{id}` of service `{service}`")]
    Client {
        service: ServiceName,
        id: ArtifactId,
        #[source]
        cause: ClientError,
    },
}

/// Pushes a record under its id, after checking that its images are there.
///
/// Nobody sees half of it: the manifest, which makes it visible, comes last. An
/// id never gets other content.
pub async fn push(client: &RegistryClient, record: &ArtifactRecord) -> Result<Pushed, PushError> {
    let repository = repository(&record.service);
    let failed = |cause| PushError::Client {
        service: record.service.clone(),
        id: record.id.clone(),
        cause,
    };
    let document = document(record);
    let conflict = |there| PushError::Conflict {
        service: record.service.clone(),
        id: record.id.clone(),
        there,
        here: document.digest.clone(),
    };
    match client.resolve(&repository, record.id.as_str()).await {
        Ok(there) if there == document.digest => return Ok(Pushed::AlreadyThere { digest: there }),
        Ok(there) => return Err(conflict(there)),
        Err(ClientError::NotFound { .. }) => {}
        Err(error) => return Err(failed(error)),
    }
    for image in record.images.values() {
        match client
            .resolve(&image.repository, image.digest.as_str())
            .await
        {
            Ok(_) => {}
            Err(ClientError::NotFound { .. }) => {
                let (repository, digest) = (image.repository.clone(), image.digest.clone());
                return Err(PushError::Image {
                    id: record.id.clone(),
                    repository,
                    digest,
                });
            }
            Err(error) => return Err(failed(error)),
        }
    }
    // Together, because the registry answers each only when its disk has it.
    let (configuration, content) = futures::join!(
        client.push_content(&repository, EMPTY_CONFIGURATION),
        client.push_content(&repository, &document.record),
    );
    configuration.map_err(failed)?;
    content.map_err(failed)?;
    let tag = Some(record.id.as_str());
    match client
        .push_manifest(&repository, tag, media_type::MANIFEST, &document.manifest)
        .await
    {
        Ok(digest) => Ok(Pushed::Uploaded { digest }),
        // Somebody else was faster with the same id.
        Err(ClientError::Answered { status: 409, .. }) => {
            let there = client
                .resolve(&repository, record.id.as_str())
                .await
                .map_err(failed)?;
            Err(conflict(there))
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use foreshore_model::artifact::{PlanStamp, Source};

    use super::*;

    pub(crate) fn record() -> ArtifactRecord {
        let plan = Digest::of(b"plan");
        ArtifactRecord {
            id: ArtifactId::from_parts("main", "0123456789abcdef", plan.hex()),
            service: "web".parse().unwrap(),
            owner: "shop".into(),
            source: Source {
                commit: "0123456789abcdef".into(),
                branch: "main".into(),
                tag: None,
                author: "Ada <ada@example.com>".into(),
                message: "add a page".into(),
                committed_at: jiff::Timestamp::UNIX_EPOCH,
                modified: false,
            },
            plan: PlanStamp {
                name: "rust-service".into(),
                hash: plan,
                commit: None,
                reference: String::new(),
            },
            tool: "0.1.0".into(),
            images: BTreeMap::new(),
            manifests: BTreeMap::from([(
                "dev".parse().unwrap(),
                BTreeMap::from([("service-web.yaml".to_owned(), "kind: Service\n".to_owned())]),
            )]),
            stages: Vec::new(),
            ci: None,
            checks: Vec::new(),
            definition: String::new(),
        }
    }
}
