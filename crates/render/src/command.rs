//! An action with its blanks filled in: the program, its arguments, what it leaves behind.

use std::collections::BTreeMap;

use foreshore_model::{Plan, ServiceFile, nearest};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::RenderError;
use crate::template::render;
use crate::variables::variables;

/// What an action may know of the machine it runs on.
#[derive(Debug, Clone, Serialize)]
pub struct Host {
    /// Target triple to build for.
    pub target: String,
    /// Directory for what is worth keeping between builds.
    pub cache: String,
    /// Directory of the plan's own files; empty for a plan that the program carries.
    pub plan: String,
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub program: String,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// The program that the action leaves behind, if it builds one.
    pub output: Option<String>,
}

/// Fills in the action `name` of a plan; none if it only needs others.
pub fn command(
    plan: &Plan,
    name: &str,
    service: &ServiceFile,
    host: &Host,
    arguments: &BTreeMap<String, Value>,
) -> Result<Option<Command>, RenderError> {
    let action = plan
        .file
        .actions
        .get(name)
        .ok_or_else(|| RenderError::UnknownAction {
            plan: plan.file.name.clone(),
            action: name.to_owned(),
            near: nearest(name, plan.file.actions.keys().map(String::as_str)).map(str::to_owned),
        })?;
    let context = json!({
        "service": { "name": service.name, "owner": service.owner },
        "variables": variables(&plan.file, service, None)?,
        "host": host,
        "arguments": arguments,
    });
    let origin = format!("{}/actions/{name}", plan.file.name);
    let fill = |text: &String| render(&origin, text, &context);
    let mut words = action
        .command
        .iter()
        .map(fill)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    let Some(program) = words.next() else {
        return Ok(None);
    };
    Ok(Some(Command {
        program,
        arguments: words.collect(),
        environment: action
            .environment
            .iter()
            .map(|(key, value)| Ok((key.clone(), fill(value)?)))
            .collect::<Result<_, RenderError>>()?,
        output: action.output.as_ref().map(fill).transpose()?,
    }))
}

#[cfg(test)]
mod tests {
    use foreshore_model::{Digest, yaml};

    use super::*;

    fn plan() -> Plan {
        let file = "name: p\ndescription: d\nvariables:\n  package: {type: string, description: d, default: \"\"}\nactions:\n  build:\n    description: d\n    command: [cargo, build, \"{{ variables.package or service.name }}\"]\n    environment: {DIR: \"{{ host.cache }}/x\"}\n    output: \"{{ host.cache }}/{{ host.target }}/web\"\n";
        Plan {
            file: yaml::read("plan.yaml", file).unwrap(),
            templates: BTreeMap::new(),
            hash: Digest::of(b""),
            commit: None,
        }
    }

    #[test]
    fn blanks_are_filled_and_no_shell_is_involved() {
        let host = Host {
            target: "t".into(),
            cache: "/c; rm -rf".into(),
            plan: String::new(),
        };
        let none = BTreeMap::new();
        let service = yaml::read("f", "name: web\nowner: o\nplan: p\nenvironments: {}\n").unwrap();
        let found = command(&plan(), "build", &service, &host, &none)
            .unwrap()
            .unwrap();
        assert_eq!(found.program, "cargo");
        assert_eq!(found.arguments, ["build", "web"]);
        assert_eq!(found.environment["DIR"], "/c; rm -rf/x");
        assert_eq!(found.output.as_deref(), Some("/c; rm -rf/t/web"));
        let error = command(&plan(), "biuld", &service, &host, &none)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "plan `p` has no action `biuld`; did you mean `build`?"
        );
    }
}
