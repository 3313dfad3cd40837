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
    #[error("templates produce {kind} `{name}` twice")]
    Twice { kind: String, name: String },
    #[error("the plan produces nothing for environment `{environment}`")]
    Nothing { environment: String },
    #[error("plan `{plan}` has no variable `{variable}`{}", suggestion(near.as_deref()))]
    UnknownVariable {
        plan: String,
        variable: String,
        near: Option<String>,
    },
    #[error("variable `{variable}` must be {wanted}, not {found}")]
    WrongType {
        variable: String,
        wanted: String,
        found: String,
    },
    #[error("plan `{plan}` needs the variable `{variable}`: {description}")]
    MissingVariable {
        plan: String,
        variable: String,
        description: String,
    },
    #[error("the service has no port named `http`, which plan `{plan}` needs")]
    NoHttpPort { plan: String },
    #[error("plan `{plan}` has no action `{action}`{}", suggestion(near.as_deref()))]
    UnknownAction {
        plan: String,
        action: String,
        near: Option<String>,
    },
    #[error(transparent)]
    Write(#[from] WriteError),
}

fn suggestion(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}
