//! What one replica may use, and why it is that much.

use std::collections::BTreeMap;

use foreshore_engine_schema::Quantity;
use foreshore_model::service::{EnvironmentOverride, ServiceFile};
use foreshore_model::{EnvironmentName, PlanFile};
use serde::Serialize;

use crate::error::RenderError;

/// Enough for a small service; too little to hide a leak.
pub const CPU_DEFAULT: &str = "50m";
pub const MEMORY_DEFAULT: &str = "64Mi";

/// One chosen value, where it came from, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    pub name: &'static str,
    pub value: String,
    pub origin: String,
    pub meaning: &'static str,
}

/// Says what one replica may use in an environment, and why.
pub fn resources(
    service: &ServiceFile,
    plan: &PlanFile,
    environment: &EnvironmentName,
) -> Result<Vec<Choice>, RenderError> {
    let none = EnvironmentOverride::default();
    let own = service.environments.get(environment).unwrap_or(&none);
    let pick = |name: &'static str,
                default: &'static str,
                of: fn(&foreshore_model::service::Resources) -> Option<&String>| {
        if let Some(value) = own.resources.as_ref().and_then(of) {
            return (
                value.clone(),
                format!("environments.{environment}.resources.{name}"),
            );
        }
        // What an environment says about resources stands for all of them.
        match of(&service.resources) {
            Some(value) if own.resources.is_none() => (value.clone(), format!("resources.{name}")),
            _ => (
                default.to_owned(),
                format!("the default; set resources.{name} to change it"),
            ),
        }
    };
    let (cpu, cpu_origin) = pick("cpu", CPU_DEFAULT, |resources| resources.cpu.as_ref());
    let (memory, memory_origin) = pick("memory", MEMORY_DEFAULT, |resources| {
        resources.memory.as_ref()
    });
    check(environment, own, "cpu", &cpu, "250m")?;
    check(environment, own, "memory", &memory, "128Mi")?;
    let mut choices = vec![
        Choice {
            name: "cpu request",
            value: cpu,
            origin: cpu_origin,
            meaning: "always there for a replica; the scheduler finds a node with so much left",
        },
        Choice {
            name: "cpu limit",
            value: "none".to_owned(),
            origin: "on purpose".to_owned(),
            meaning: "idle processor time may be used; a limit would slow requests down for nothing",
        },
        Choice {
            name: "memory request",
            value: memory.clone(),
            origin: memory_origin.clone(),
            meaning: "always there for a replica",
        },
        Choice {
            name: "memory limit",
            value: memory,
            origin: memory_origin,
            meaning: "a replica that takes more is ended (OOMKilled) before it harms its neighbours",
        },
    ];
    if plan.variables.contains_key("autoscale-max") {
        choices.push(replicas(service, own, plan, environment)?);
    }
    Ok(choices)
}

fn replicas(
    service: &ServiceFile,
    own: &EnvironmentOverride,
    plan: &PlanFile,
    environment: &EnvironmentName,
) -> Result<Choice, RenderError> {
    let variables: BTreeMap<String, serde_json::Value> =
        crate::variables(plan, service, Some(environment))?;
    let number = |name: &str| {
        variables
            .get(name)
            .and_then(serde_json::Value::as_i64)
            .unwrap_or(0)
    };
    let origin = ["autoscale-max", "autoscale-min"]
        .iter()
        .find_map(|name| {
            if own.variables.contains_key(*name) {
                return Some(format!("environments.{environment}.variables.{name}"));
            }
            service
                .variables
                .contains_key(*name)
                .then(|| format!("variables.{name}"))
        })
        .unwrap_or_else(|| {
            "the plan's default; set variables.autoscale-max to change it".to_owned()
        });
    let max = number("autoscale-max");
    Ok(Choice {
        name: "replicas",
        value: if max > 0 {
            format!("{} to {max}, by load", number("autoscale-min"))
        } else {
            "as `foreshore scale` says".to_owned()
        },
        origin,
        meaning: "never part of the artifact, so that a release does not change the capacity",
    })
}

fn check(
    environment: &EnvironmentName,
    own: &EnvironmentOverride,
    name: &'static str,
    value: &str,
    example: &'static str,
) -> Result<(), RenderError> {
    if Quantity::parse(value).is_ok() && !value.starts_with('-') {
        return Ok(());
    }
    let mut path = vec!["resources".to_owned(), name.to_owned()];
    if own.resources.is_some() {
        path.splice(0..0, ["environments".to_owned(), environment.to_string()]);
    }
    Err(RenderError::Quantity {
        name,
        value: value.to_owned(),
        example,
        path,
    })
}

#[cfg(test)]
mod tests {
    use foreshore_model::yaml;

    use super::*;

    fn plan() -> PlanFile {
        yaml::read(
            "plan.yaml",
            "name: p\ndescription: d\nvariables:\n  autoscale-max: {type: int, description: d, default: 0}\n  autoscale-min: {type: int, description: d, default: 2}\n",
        )
        .unwrap()
    }

    fn chosen(text: &str, environment: &str) -> Result<Vec<(String, String)>, String> {
        let service: ServiceFile =
            yaml::read("f", &format!("name: a\nowner: o\nplan: p\n{text}")).unwrap();
        resources(&service, &plan(), &environment.parse().unwrap())
            .map(|choices| {
                choices
                    .into_iter()
                    .map(|choice| (choice.value, choice.origin))
                    .collect()
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_value_says_where_it_came_from() {
        let text = "resources: {cpu: 250m}\nenvironments:\n  dev: {}\n  prod:\n    resources: {memory: 1Gi}\n    variables: {autoscale-max: 5}\n";
        let dev = chosen(text, "dev").unwrap();
        assert_eq!(dev[0], ("250m".into(), "resources.cpu".into()));
        assert_eq!(dev[3].0, MEMORY_DEFAULT);
        assert!(dev[4].0.contains("foreshore scale"));
        let prod = chosen(text, "prod").unwrap();
        assert_eq!(
            prod[3],
            ("1Gi".into(), "environments.prod.resources.memory".into())
        );
        assert_eq!(
            prod[4],
            (
                "2 to 5, by load".into(),
                "environments.prod.variables.autoscale-max".into()
            )
        );
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for value in ["1G1", "lots", "-5m", "1e"] {
            let error = chosen(
                &format!("resources: {{cpu: {value}}}\nenvironments: {{dev: {{}}}}\n"),
                "dev",
            )
            .unwrap_err();
            assert!(error.contains("no quantity such as `250m`"), "{error}");
        }
    }
}
