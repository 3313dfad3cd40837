//! What a service sets for its plan, checked against the plan's types.

use std::collections::BTreeMap;

use foreshore_model::plan::{Variable, VariableKind};
use foreshore_model::{EnvironmentName, PlanFile, ServiceFile, nearest};
use regex::Regex;
use serde_json::Value;

use crate::error::RenderError;
use crate::secrets::looks_secret;

/// Returns every variable of the plan: set by the environment, by the service, or by default.
pub fn variables(
    plan: &PlanFile,
    service: &ServiceFile,
    environment: Option<&EnvironmentName>,
) -> Result<BTreeMap<String, Value>, RenderError> {
    let none = BTreeMap::new();
    let own = environment
        .and_then(|environment| service.environments.get(environment))
        .map_or(&none, |own| &own.variables);
    let path = |name: &str, is_own: bool| {
        let mut path = vec!["variables".to_owned(), name.to_owned()];
        if let Some(environment) = environment.filter(|_| is_own) {
            path.splice(0..0, ["environments".to_owned(), environment.to_string()]);
        }
        path
    };
    let given = service.variables.keys().map(|name| (name, false));
    for (name, is_own) in given.chain(own.keys().map(|name| (name, true))) {
        if !plan.variables.contains_key(name) {
            let near = nearest(name, plan.variables.keys().map(String::as_str)).map(str::to_owned);
            return Err(RenderError::UnknownVariable {
                plan: plan.name.clone(),
                variable: name.clone(),
                near,
                path: path(name, is_own),
            });
        }
    }
    plan.variables
        .iter()
        .map(|(name, variable)| {
            let value = own
                .get(name)
                .or_else(|| service.variables.get(name))
                .or(variable.default.as_ref());
            let value = value.ok_or_else(|| RenderError::MissingVariable {
                plan: plan.name.clone(),
                variable: name.clone(),
                description: variable.description.clone(),
            })?;
            let path = path(name, own.contains_key(name));
            check(name, variable, value, &path)?;
            Ok((name.clone(), value.clone()))
        })
        .collect()
}

/// Returns the variables that a service sets though the plan advises against it, each with the advice.
pub fn deprecated(plan: &PlanFile, service: &ServiceFile) -> Vec<(String, String)> {
    let everywhere = service.variables.keys();
    let somewhere = service
        .environments
        .values()
        .flat_map(|own| own.variables.keys());
    let mut names: Vec<&String> = everywhere.chain(somewhere).collect();
    names.sort();
    names.dedup();
    let advice =
        |name: &String| Some((name.clone(), plan.variables.get(name)?.deprecated.clone()?));
    names.into_iter().filter_map(advice).collect()
}

fn check(
    name: &str,
    variable: &Variable,
    value: &Value,
    path: &[String],
) -> Result<(), RenderError> {
    let wrong = |wanted: String| RenderError::WrongType {
        variable: name.to_owned(),
        wanted,
        found: format!("`{}`", shortened(value)),
        path: path.to_owned(),
    };
    let fits = match variable.kind {
        VariableKind::String => value.is_string(),
        VariableKind::Int => value.is_i64() || value.is_u64(),
        VariableKind::Bool => value.is_boolean(),
        VariableKind::Enum => value
            .as_str()
            .is_some_and(|text| variable.values.iter().any(|known| known == text)),
        VariableKind::List => value
            .as_array()
            .is_some_and(|list| list.iter().all(Value::is_string)),
        VariableKind::Map => value
            .as_object()
            .is_some_and(|map| map.values().all(Value::is_string)),
    };
    if !fits {
        return Err(wrong(match variable.kind {
            VariableKind::Enum => format!("one of {}", variable.values.join(", ")),
            kind => kind.word().to_owned(),
        }));
    }
    if let Some(number) = value.as_i64() {
        let (min, max) = (
            variable.min.unwrap_or(i64::MIN),
            variable.max.unwrap_or(i64::MAX),
        );
        if number < min || number > max {
            return Err(wrong(match (variable.min, variable.max) {
                (Some(min), Some(max)) => format!("from {min} to {max}"),
                (Some(min), None) => format!("{min} or more"),
                _ => format!("{max} or less"),
            }));
        }
    }
    for (key, text) in texts(name, value) {
        if let Some(why) = looks_secret(key, text) {
            return Err(RenderError::Secret {
                name: key.to_owned(),
                why,
                path: path.to_owned(),
            });
        }
        if let Some(pattern) = &variable.pattern
            && !whole(name, pattern)?.is_match(text)
        {
            return Err(wrong(format!("a text like `{pattern}`")));
        }
    }
    Ok(())
}

/// The texts inside a value, each with its name.
fn texts<'a>(name: &'a str, value: &'a Value) -> Vec<(&'a str, &'a str)> {
    match value {
        Value::String(text) => vec![(name, text)],
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .map(|text| (name, text))
            .collect(),
        Value::Object(map) => map
            .iter()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect(),
        _ => Vec::new(),
    }
}

/// An expression that the whole text must match.
pub(crate) fn whole(name: &str, pattern: &str) -> Result<Regex, RenderError> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|cause| RenderError::Pattern {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
            cause,
        })
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 {
        return text;
    }
    let start: String = text.chars().take(77).collect();
    format!("{start}...")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> PlanFile {
        serde_json::from_value(json!({
            "name": "p", "description": "d",
            "variables": {
                "size": {"type": "int", "description": "how big", "default": 3, "min": 1, "max": 9},
                "tier": {"type": "enum", "description": "which", "values": ["gold", "tin"]},
                "code": {"type": "string", "description": "d", "default": "ab", "pattern": "[a-z]+", "deprecated": "use tier"},
                "hosts": {"type": "list", "description": "d", "default": []},
            }
        }))
        .unwrap()
    }

    fn service(everywhere: &Value, dev: &Value) -> ServiceFile {
        serde_json::from_value(json!({
            "name": "a", "owner": "o", "plan": "p", "variables": everywhere,
            "environments": {"dev": {"variables": dev}},
        }))
        .unwrap()
    }

    #[track_caller]
    fn check(everywhere: Value, dev: Value, expected: Result<Value, &str>) {
        let dev_name = "dev".parse().unwrap();
        let found = variables(&plan(), &service(&everywhere, &dev), Some(&dev_name));
        match expected {
            Ok(value) => assert_eq!(json!(found.unwrap()), value),
            Err(message) => assert_eq!(found.unwrap_err().to_string(), message),
        }
        drop((everywhere, dev));
    }

    #[test]
    fn the_environment_wins_over_the_service_and_the_service_over_the_default() {
        check(
            json!({"tier": "tin"}),
            json!({}),
            Ok(json!({"size": 3, "tier": "tin", "code": "ab", "hosts": []})),
        );
        check(
            json!({"tier": "tin", "size": 4}),
            json!({"size": 5, "hosts": ["x"]}),
            Ok(json!({"size": 5, "tier": "tin", "code": "ab", "hosts": ["x"]})),
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (everywhere, dev, message) in [
            (
                json!({}),
                json!({}),
                "plan `p` needs the variable `tier`: which",
            ),
            (
                json!({"tear": "tin"}),
                json!({}),
                "plan `p` has no variable `tear`; did you mean `tier`?",
            ),
            (
                json!({"tier": "wood"}),
                json!({}),
                "variable `tier` must be one of gold, tin, not `\"wood\"`",
            ),
            (
                json!({"tier": "tin"}),
                json!({"size": "3"}),
                "variable `size` must be a whole number, not `\"3\"`",
            ),
            (
                json!({"tier": "tin", "size": 10}),
                json!({}),
                "variable `size` must be from 1 to 9, not `10`",
            ),
            (
                json!({"tier": "tin", "code": "A1"}),
                json!({}),
                "variable `code` must be a text like `[a-z]+`, not `\"A1\"`",
            ),
            (
                json!({"tier": "tin", "hosts": "x"}),
                json!({}),
                "variable `hosts` must be a list of strings, not `\"x\"`",
            ),
            (
                json!({"tier": "tin", "hosts": ["ghp_abc"]}),
                json!({}),
                "`hosts` looks like a secret: its value starts like a key or a token",
            ),
        ] {
            check(everywhere, dev, Err(message));
        }
    }

    #[test]
    fn a_mistake_knows_its_place_in_the_file() {
        let dev = "dev".parse().unwrap();
        let wrong = service(&json!({"tier": "tin"}), &json!({"size": 0}));
        let error = variables(&plan(), &wrong, Some(&dev)).unwrap_err();
        assert_eq!(
            error.path().unwrap(),
            ["environments", "dev", "variables", "size"]
        );
    }

    #[test]
    fn advice_is_given_for_what_is_set() {
        let service = service(&json!({"tier": "tin"}), &json!({"code": "x"}));
        assert_eq!(
            deprecated(&plan(), &service),
            [("code".to_owned(), "use tier".to_owned())]
        );
    }
}
