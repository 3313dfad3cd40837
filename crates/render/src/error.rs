//! Why something could not be rendered, with its place.

use foreshore_model::yaml::{WriteError, YamlError};

/// Why a plan could not be rendered for a service.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("{template}:{line}: {what}")]
    Template {
        template: String,
        line: usize,
        what: String,
    },
    #[error("template `{template}` does not produce YAML")]
    NotYaml {
        template: String,
        #[source]
        cause: YamlError,
    },
    #[error("template `{template}` produces an object without `{field}`")]
    Incomplete {
        template: String,
        field: &'static str,
    },
    #[error(
        "template `{template}` produces {kind} `{name}`, which Kubernetes would refuse: {what}"
    )]
    Invalid {
        template: String,
        kind: String,
        name: String,
        what: String,
    },
    #[error("template `{template}` sets `replicas` of {kind} `{name}`, which an autoscaler owns")]
    Replicas {
        template: String,
        kind: String,
        name: String,
    },
    #[error("template `{template}` produces more than {limit} bytes")]
    TooLarge { template: String, limit: usize },
    #[error("templates produce {kind} `{name}` twice")]
    Twice { kind: String, name: String },
    #[error("the plan produces nothing for environment `{environment}`")]
    Nothing { environment: String },
    #[error("plan `{plan}` has no variable `{variable}`{}", suggestion(near.as_deref()))]
    UnknownVariable {
        plan: String,
        variable: String,
        near: Option<String>,
        path: Vec<String>,
    },
    #[error("variable `{variable}` must be {wanted}, not {found}")]
    WrongType {
        variable: String,
        wanted: String,
        found: String,
        path: Vec<String>,
    },
    #[error("plan `{plan}` needs the variable `{variable}`: {description}")]
    MissingVariable {
        plan: String,
        variable: String,
        description: String,
    },
    #[error("`{pattern}`, the pattern of `{name}` in the plan, is no regular expression")]
    Pattern {
        name: String,
        pattern: String,
        #[source]
        cause: regex::Error,
    },
    /// The value itself is not repeated.
    #[error("`{name}` looks like a secret: {why}")]
    Secret {
        name: String,
        why: &'static str,
        path: Vec<String>,
    },
    #[error("the service has no port named `{port}`, which plan `{plan}` needs")]
    MissingPort { plan: String, port: String },
    #[error("plan `{plan}` has no action `{action}`{}", suggestion(near.as_deref()))]
    UnknownAction {
        plan: String,
        action: String,
        near: Option<String>,
    },
    #[error("resource `{name}` is `{value}`, which is no quantity such as `{example}`")]
    Quantity {
        name: &'static str,
        value: String,
        example: &'static str,
        path: Vec<String>,
    },
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl RenderError {
    /// Returns where in the service file the mistake is: keys from the top; none if it is elsewhere.
    pub fn path(&self) -> Option<&[String]> {
        match self {
            Self::UnknownVariable { path, .. }
            | Self::WrongType { path, .. }
            | Self::Secret { path, .. }
            | Self::Quantity { path, .. } => Some(path),
            _ => None,
        }
    }
}

pub(crate) fn suggestion(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}
