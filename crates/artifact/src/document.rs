//! The bytes of an artifact, and back.

use std::collections::BTreeMap;

use foreshore_image::{Descriptor, Manifest, media_type};
use foreshore_model::artifact::ARTIFACT_TYPE;
use foreshore_model::{ArtifactRecord, Digest, ServiceName};

/// Largest record: the manifests of a service in all its environments are far smaller.
pub const RECORD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the specification prescribes as configuration where there is none.
pub(crate) const EMPTY_CONFIGURATION: &[u8] = b"{}";

/// Everything that a registry has to hold for one artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Digest of the manifest: the artifact's name by content.
    pub digest: Digest,
    pub manifest: Vec<u8>,
    pub record: Vec<u8>,
}

/// Why bytes are not an artifact.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("cannot read the manifest of the artifact")]
    Manifest(#[source] serde_json::Error),
    #[error("it is {found}, not an artifact")]
    Type { found: String },
    #[error("an artifact has one record, this one has {count}")]
    Layers { count: usize },
    #[error("the record has {size} bytes, at most {RECORD_BYTES_MAX} are read")]
    TooLarge { size: u64 },
    #[error("the record has digest `{found}`, the manifest says `{expected}`")]
    Digest { expected: Digest, found: Digest },
    #[error("cannot read the record of the artifact")]
    Record(#[source] serde_json::Error),
    #[error("it belongs to service `{found}`, not to `{expected}`")]
    Service {
        expected: ServiceName,
        found: ServiceName,
    },
}

/// Returns where the artifacts of a service are.
pub fn repository(service: &ServiceName) -> String {
    format!("artifacts/{service}")
}

/// Writes a record in its canonical form: sorted keys, no white space, no time of its own.
pub fn document(record: &ArtifactRecord) -> Document {
    let value = serde_json::to_value(record)
        .expect("a record is made of strings, numbers and maps by text");
    let content = serde_json::to_vec(&value).expect("a JSON value is JSON");
    let source = &record.source;
    let annotations = BTreeMap::from([
        (
            "org.opencontainers.image.title".to_owned(),
            record.service.to_string(),
        ),
        (
            "org.opencontainers.image.version".to_owned(),
            record.id.to_string(),
        ),
        (
            "org.opencontainers.image.revision".to_owned(),
            source.commit.clone(),
        ),
        (
            "org.opencontainers.image.created".to_owned(),
            source.committed_at.to_string(),
        ),
        ("foreshore.local/branch".to_owned(), source.branch.clone()),
    ]);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: Some(ARTIFACT_TYPE.to_owned()),
        config: Descriptor::of(media_type::EMPTY, EMPTY_CONFIGURATION),
        layers: vec![Descriptor::of(ARTIFACT_TYPE, &content)],
        subject: None,
        annotations,
    };
    let manifest = serde_json::to_vec(&manifest).expect("strings and numbers are JSON");
    Document {
        digest: Digest::of(&manifest),
        manifest,
        record: content,
    }
}

/// Reads an artifact's manifest; returns where its record is.
pub fn record_descriptor(manifest: &[u8]) -> Result<Descriptor, DocumentError> {
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(DocumentError::Manifest)?;
    if manifest.artifact_type.as_deref() != Some(ARTIFACT_TYPE) {
        let found = manifest.artifact_type.unwrap_or(manifest.config.media_type);
        return Err(DocumentError::Type {
            found: format!("a `{found}`"),
        });
    }
    let count = manifest.layers.len();
    let mut layers = manifest.layers.into_iter();
    let (Some(layer), None) = (layers.next(), layers.next()) else {
        return Err(DocumentError::Layers { count });
    };
    if layer.size > RECORD_BYTES_MAX {
        return Err(DocumentError::TooLarge { size: layer.size });
    }
    Ok(layer)
}

/// Reads a record, and checks that it is the one that the manifest names and belongs to `service`.
pub fn read(
    expected: &Digest,
    record: &[u8],
    service: &ServiceName,
) -> Result<ArtifactRecord, DocumentError> {
    let found = Digest::of(record);
    if found != *expected {
        return Err(DocumentError::Digest {
            expected: expected.clone(),
            found,
        });
    }
    let record: ArtifactRecord = serde_json::from_slice(record).map_err(DocumentError::Record)?;
    if record.service != *service {
        return Err(DocumentError::Service {
            expected: service.clone(),
            found: record.service,
        });
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::push::tests::record;

    proptest! {
        #[test]
        fn a_record_reads_back_and_is_written_one_way_only(message in ".{0,40}", branch in "[a-z/ü]{0,20}", passed: bool) {
            let mut record = record();
            record.source.message = message;
            record.source.branch = branch;
            record.stages = vec![foreshore_model::artifact::Stage { name: "test".into(), passed, summary: String::new(), counts: BTreeMap::new() }];
            let written = document(&record);
            prop_assert_eq!(&document(&record.clone()), &written);
            let descriptor = record_descriptor(&written.manifest).unwrap();
            prop_assert_eq!(read(&descriptor.digest, &written.record, &record.service).unwrap(), record);
        }
    }

    #[test]
    fn the_digest_of_a_known_record_stays() {
        // Another number here means that artifacts pushed by earlier versions get new digests.
        let written = document(&record());
        assert!(
            written.record.starts_with(br#"{"id":"main-0123456789-"#),
            "{}",
            String::from_utf8_lossy(&written.record)
        );
    }

    #[test]
    fn an_image_is_not_an_artifact() {
        let manifest = br#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",
            "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;
        let error = record_descriptor(manifest).unwrap_err().to_string();
        assert_eq!(
            error,
            "it is a `application/vnd.oci.image.config.v1+json`, not an artifact"
        );
    }

    #[test]
    fn a_record_of_another_service_is_refused() {
        let written = document(&record());
        let descriptor = record_descriptor(&written.manifest).unwrap();
        let error = read(&descriptor.digest, &written.record, &"api".parse().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it belongs to service `web`, not to `api`"
        );
    }
}
