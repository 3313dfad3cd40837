//! The JSON documents of the OCI image specification, and their Docker twins.

use std::collections::BTreeMap;

use foreshore_model::Digest;
use serde::{Deserialize, Deserializer, Serialize};

/// Media types that are spoken here.
pub mod media_type {
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

    /// Everything that may answer a request for a manifest.
    pub const MANIFESTS: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST];
}

/// Points at a blob or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            artifact_type: None,
            annotations: BTreeMap::new(),
            platform: None,
        }
    }

    /// Describes `content`.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Self::new(media_type, Digest::of(content), content.len() as u64)
    }
}

/// What a program was built for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Returns the platform of the machine this program was compiled for.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            architecture: architecture.to_owned(),
            os: std::env::consts::OS.to_owned(),
            variant: None,
        }
    }

    fn runs(&self, image: &Self) -> bool {
        self.architecture == image.architecture && self.os == image.os
    }
}

/// An image or an artifact: a configuration and layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    #[serde(default, deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests, for several platforms or of several artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// The configuration of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    pub architecture: String,
    pub os: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: Runtime,
    pub rootfs: RootFs,
}

/// How to start the image's program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Runtime {
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub user: String,
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub exposed_ports: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    /// `NAME=value` each.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<String>,
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub entrypoint: Vec<String>,
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cmd: Vec<String>,
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub working_dir: String,
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
}

/// The uncompressed layers, first the lowest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    #[serde(rename = "type")]
    pub kind: String,
    pub diff_ids: Vec<Digest>,
}

/// Why a document is not a manifest that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("cannot read {what} `{digest}`")]
    Parse {
        what: &'static str,
        digest: Digest,
        #[source]
        cause: serde_json::Error,
    },
    #[error("manifest `{digest}` has schema version {version}, only 2 is supported")]
    SchemaVersion { digest: Digest, version: u32 },
    #[error("image index `{digest}` has nothing for {os}/{architecture}, only {found}")]
    Platform {
        digest: Digest,
        os: String,
        architecture: String,
        found: String,
    },
    #[error("image index `{digest}` leads to another index")]
    Nested { digest: Digest },
    #[error("configuration `{digest}` lists {diff_ids} layers, the manifest {layers}")]
    Layers {
        digest: Digest,
        diff_ids: usize,
        layers: usize,
    },
}

/// Either of the two documents that a reference can lead to.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

impl Document {
    /// Reads a document whose digest has been checked already.
    pub(crate) fn parse(digest: &Digest, content: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            schema_version: u32,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let parse = |cause| ManifestError::Parse {
            what: "manifest",
            digest: digest.clone(),
            cause,
        };
        let shape: Shape = serde_json::from_slice(content).map_err(parse)?;
        if shape.schema_version != 2 {
            return Err(ManifestError::SchemaVersion {
                digest: digest.clone(),
                version: shape.schema_version,
            });
        }
        if shape.manifests.is_some() {
            serde_json::from_slice(content)
                .map(Self::Index)
                .map_err(parse)
        } else {
            serde_json::from_slice(content)
                .map(Self::Manifest)
                .map_err(parse)
        }
    }
}

impl Index {
    /// Returns the manifest for `platform`.
    pub(crate) fn select(
        &self,
        digest: &Digest,
        platform: &Platform,
    ) -> Result<&Descriptor, ManifestError> {
        let fits = |descriptor: &&Descriptor| {
            descriptor
                .platform
                .as_ref()
                .is_some_and(|image| platform.runs(image))
        };
        self.manifests.iter().find(fits).ok_or_else(|| {
            let found: Vec<String> = self
                .manifests
                .iter()
                .filter_map(|descriptor| descriptor.platform.as_ref())
                .map(|platform| format!("{}/{}", platform.os, platform.architecture))
                .collect();
            ManifestError::Platform {
                digest: digest.clone(),
                os: platform.os.clone(),
                architecture: platform.architecture.clone(),
                found: if found.is_empty() {
                    "entries without a platform".to_owned()
                } else {
                    found.join(", ")
                },
            }
        })
    }
}

/// Older tools write `null` where they mean "none".
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_of_older_tools_are_read_as_nothing() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":["sh"],"Labels":null},
            "rootfs":{"type":"layers","diff_ids":[]}}"#;
        let configuration: Configuration = serde_json::from_str(text).unwrap();
        assert_eq!(configuration.config.cmd, ["sh"]);
        assert!(configuration.config.env.is_empty());
    }

    #[test]
    fn an_index_is_searched_by_platform_and_says_what_it_has() {
        let mut descriptor = Descriptor::of(media_type::MANIFEST, b"m");
        descriptor.platform = Some(Platform {
            architecture: "s390x".into(),
            os: "linux".into(),
            variant: None,
        });
        let index = Index {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            manifests: vec![descriptor.clone()],
            subject: None,
            annotations: BTreeMap::new(),
        };
        let digest = Digest::of(b"index");
        let amd64 = Platform {
            architecture: "amd64".into(),
            os: "linux".into(),
            variant: None,
        };
        assert!(
            index
                .select(&digest, &amd64)
                .unwrap_err()
                .to_string()
                .ends_with("only linux/s390x")
        );
        assert_eq!(
            index
                .select(&digest, descriptor.platform.as_ref().unwrap())
                .unwrap(),
            &descriptor
        );
    }
}
