//! `plan.yaml`: what a shared plan offers to the services that use it.

mod reference;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::digest::Digest;

pub use reference::{GitHead, GitReference, Reference, ReferenceError};

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
    /// The commit it was taken from, where it came from git.
    pub commit: Option<String>,
}

/// What a plan declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "plan.yaml")]
pub struct PlanFile {
    pub name: String,
    pub description: String,
    /// Address of a page that tells more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation: Option<String>,
    /// What to use instead, once the plan should no longer be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// Ports that a service must name.
    #[serde(
        rename = "required-ports",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub required_ports: Vec<String>,
    /// How the service's image comes to be.
    #[serde(default, skip_serializing_if = "ImageFrom::is_default")]
    pub image: ImageFrom,
    /// What a service may set under `variables`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Variable>,
    /// What `foreshore run` can do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, Action>,
    /// What is measured about every service of this plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// Where the image of a service comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageFrom {
    /// The `output` of action `build`: a static program.
    #[default]
    Program,
    /// The `output` of action `build`: a directory of files, served by the program itself.
    Files,
    /// Variable `image`, or else a Dockerfile that `docker`, `podman` or `buildah` builds.
    Container,
    /// There is none.
    None,
}

impl ImageFrom {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands out references"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One variable with its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// A regular expression that the whole text of a `string`, or each text of a `list`, must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The smallest `int` that is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The largest `int` that is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// What to set instead, once this should no longer be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
}

/// What a variable's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VariableKind {
    String,
    Int,
    Bool,
    Enum,
    /// A list of strings.
    List,
    /// A map from text to text.
    Map,
}

impl VariableKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Int => "a whole number",
            Self::Bool => "true or false",
            Self::Enum => "one of the listed values",
            Self::List => "a list of strings",
            Self::Map => "a map of strings",
        }
    }
}

/// One thing `foreshore run` does: a program and its arguments, never a shell line.
///
/// Command, environment and output may hold `{{ … }}`, filled in before anything runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    pub description: String,
    /// The program and its arguments; none for an action that only needs others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// What can be given on the command line, `--name value`; `{{ arguments.name }}` in the command.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, Argument>,
    /// Actions that have to be done before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Environment variables of the program.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Files the result depends on, `src/**/*.rs`; when none changed the action is not repeated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// Files it leaves behind; when one is missing the action is repeated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// What the action leaves behind to be packed into the image: a program, or a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Where it may write when it is jailed, besides the service's directory and the build cache.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<String>,
    /// How long it may take, `90s`, `10m`; without it nobody ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// What to run instead, once this should no longer be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
}

/// One argument of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    #[serde(rename = "type", default)]
    pub kind: ArgumentKind,
    #[serde(default)]
    pub description: String,
    /// Used when it is not given; without one it must be given, unless it is a `bool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What an `enum` may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// A regular expression that the whole of a `string` must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// What an argument must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ArgumentKind {
    #[default]
    String,
    Bool,
    Int,
    Enum,
    /// A path below the service's directory.
    Path,
    /// `90s`, `5m`, `2h`.
    Duration,
}

impl ArgumentKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Enum => "one of the listed values",
            Self::Path => "a path below the service's directory",
            Self::Duration => "a duration such as 90s, 5m or 2h",
        }
    }
}
