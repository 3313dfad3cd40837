//! What a build leaves behind: images, rendered manifests and where they came from.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::digest::Digest;
use crate::name::{EnvironmentName, ServiceName};

/// Media type of an artifact in a registry (`artifactType` of its OCI manifest).
pub const ARTIFACT_TYPE: &str = "application/vnd.foreshore.artifact.v1+json";

/// Files of one environment: file name to exact bytes.
pub type Manifests = BTreeMap<String, String>;

/// `<branch>-<source commit>-<plan hash>`, readable and unique for one build input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactId(String);

/// Why a text is not an artifact id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an artifact id (`<branch>-<source commit>-<plan hash>`)")]
pub struct ArtifactIdError {
    text: String,
}

impl JsonSchema for ArtifactId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ArtifactId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]*$",
            "maxLength": 128,
        })
    }
}

impl ArtifactId {
    /// Joins the parts; what a tag may not hold becomes `_`, and only the start of each hash is kept.
    pub fn from_parts(branch: &str, commit: &str, plan: &str) -> Self {
        let branch: String = branch
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') {
                    c
                } else {
                    '_'
                }
            })
            .take(60)
            .collect();
        let branch = branch.trim_start_matches(['.', '-']);
        let short = |hash: &str| hash.chars().take(10).collect::<String>();
        Self(format!("{branch}-{}-{}", short(commit), short(plan)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ArtifactId {
    type Err = ArtifactIdError;

    fn from_str(text: &str) -> Result<Self, ArtifactIdError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let starts = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let parts = text.rsplitn(3, '-').filter(|part| !part.is_empty()).count();
        let valid = text.len() <= 128
            && text.chars().all(allowed)
            && text.starts_with(starts)
            && parts == 3;
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(ArtifactIdError {
                text: text.chars().take(140).collect(),
            })
        }
    }
}

impl TryFrom<String> for ArtifactId {
    type Error = ArtifactIdError;

    fn try_from(text: String) -> Result<Self, ArtifactIdError> {
        text.parse()
    }
}

impl From<ArtifactId> for String {
    fn from(id: ArtifactId) -> Self {
        id.0
    }
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One build, complete: everything that a release needs, and the evidence for it.
///
/// The record holds no time of the build itself, so that the same inputs give
/// the same bytes and hence the same digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRecord {
    pub id: ArtifactId,
    pub service: ServiceName,
    pub owner: String,
    pub source: Source,
    pub plan: PlanStamp,
    /// Version of Foreshore that rendered it.
    pub tool: String,
    /// Container name to image.
    pub images: BTreeMap<String, ImageStamp>,
    /// Rendered manifests of each environment.
    pub manifests: BTreeMap<EnvironmentName, Manifests>,
    /// Results of tests and scans that ran before the push.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// The CI run that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<String>,
    /// What is measured after a release, each with its scenario's text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// The service file it was made of, so that an environment that comes later gets the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub definition: String,
}

/// Where the source was when it was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub commit: String,
    pub branch: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    pub author: String,
    pub message: String,
    #[schemars(with = "String")]
    pub committed_at: Timestamp,
    /// The tree held changes that are not in the commit.
    #[serde(default)]
    pub modified: bool,
}

/// The plan that rendered the manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanStamp {
    pub name: String,
    /// Hash of the plan's content.
    pub hash: Digest,
    /// The commit of a plan from git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// How the service names the plan.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reference: String,
}

/// An image by name and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageStamp {
    /// Repository without host, `web`.
    pub repository: String,
    pub digest: Digest,
}

/// One recorded step before the push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    pub name: String,
    pub passed: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// What was counted: tests, failures, vulnerabilities by severity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_made_of_a_wild_branch_name_reads_back() {
        for branch in [
            "main",
            "feature/Über cart",
            "-x",
            "v1.2.3",
            &"long/".repeat(40),
        ] {
            let id = ArtifactId::from_parts(branch, "0123456789abcdef", "fedcba9876543210");
            assert_eq!(id.as_str().parse::<ArtifactId>().unwrap(), id, "{branch}");
            assert!(id.as_str().ends_with("-0123456789-fedcba9876"), "{id}");
        }
    }

    #[test]
    fn a_text_that_cannot_be_a_tag_is_no_id() {
        for text in [
            "",
            "main",
            "main-0123",
            "a b-0-1",
            "../x-0-1",
            &format!("{}-0-1", "m".repeat(140)),
        ] {
            assert!(text.parse::<ArtifactId>().is_err(), "{text}");
        }
    }
}
