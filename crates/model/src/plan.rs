//! `plan.yaml`: what a shared plan offers to the services that use it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The file's name, at the top of a plan's directory.
pub const FILE_NAME: &str = "plan.yaml";

/// A plan with everything it holds, however it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub file: PlanFile,
    /// Template name (`deployment.yaml`) to text.
    pub templates: BTreeMap<String, String>,
    /// Hash of the file and all templates.
    pub hash: Digest,
}

/// What a plan declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    pub name: String,
    pub description: String,
    /// What a service may set under `variables`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Variable>,
    /// What `foreshore run` can do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, Action>,
}

/// One variable with its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    #[serde(rename = "type")]
    pub kind: VariableKind,
    pub description: String,
    /// Without a default the service must set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// What an `enum` may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What a variable's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VariableKind {
    String,
    Int,
    Bool,
    Enum,
}

impl VariableKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Int => "a whole number",
            Self::Bool => "true or false",
            Self::Enum => "one of the listed values",
        }
    }
}

/// One thing `foreshore run` does: a program and its arguments, never a shell line.
///
/// Command, environment and output may hold `{{ … }}`, filled in before anything runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    pub description: String,
    pub command: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The program that the action leaves behind, to be packed as the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}
