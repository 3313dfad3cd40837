//! What a service sets for its plan, checked against the plan's types.

use std::collections::BTreeMap;

use foreshore_model::plan::{Variable, VariableKind};
use foreshore_model::{PlanFile, nearest};
use serde_json::Value;

use crate::error::RenderError;

/// Returns every variable of the plan: set by the environment, by the service, or by default.
pub(crate) fn variables(
    plan: &PlanFile,
    service: &BTreeMap<String, Value>,
    environment: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, RenderError> {
    for name in service.keys().chain(environment.keys()) {
        if !plan.variables.contains_key(name) {
            let near = nearest(name, plan.variables.keys().map(String::as_str)).map(str::to_owned);
            return Err(RenderError::UnknownVariable {
                plan: plan.name.clone(),
                variable: name.clone(),
                near,
            });
        }
    }
    plan.variables
        .iter()
        .map(|(name, variable)| {
            let value = environment
                .get(name)
                .or_else(|| service.get(name))
                .or(variable.default.as_ref());
            let value = value.ok_or_else(|| RenderError::MissingVariable {
                plan: plan.name.clone(),
                variable: name.clone(),
                description: variable.description.clone(),
            })?;
            check(name, variable, value)?;
            Ok((name.clone(), value.clone()))
        })
        .collect()
}

fn check(name: &str, variable: &Variable, value: &Value) -> Result<(), RenderError> {
    let fits = match variable.kind {
        VariableKind::String => value.is_string(),
        VariableKind::Int => value.is_i64() || value.is_u64(),
        VariableKind::Bool => value.is_boolean(),
        VariableKind::Enum => value
            .as_str()
            .is_some_and(|text| variable.values.iter().any(|known| known == text)),
    };
    if fits {
        return Ok(());
    }
    let wanted = match variable.kind {
        VariableKind::Enum => format!("one of {}", variable.values.join(", ")),
        kind => kind.word().to_owned(),
    };
    Err(RenderError::WrongType {
        variable: name.to_owned(),
        wanted,
        found: format!("`{value}`"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> PlanFile {
        serde_json::from_value(json!({
            "name": "p", "description": "d",
            "variables": {
                "size": {"type": "int", "description": "how big", "default": 3},
                "tier": {"type": "enum", "description": "which", "values": ["gold", "tin"]},
            }
        }))
        .unwrap()
    }

    #[track_caller]
    fn check(service: Value, environment: Value, expected: Result<Value, &str>) {
        let map = |value: Value| serde_json::from_value(value).unwrap();
        let found = variables(&plan(), &map(service), &map(environment));
        match expected {
            Ok(value) => assert_eq!(json!(found.unwrap()), value),
            Err(message) => assert_eq!(found.unwrap_err().to_string(), message),
        }
    }

    #[test]
    fn the_environment_wins_over_the_service_and_the_service_over_the_default() {
        check(
            json!({"tier": "tin"}),
            json!({}),
            Ok(json!({"size": 3, "tier": "tin"})),
        );
        check(
            json!({"tier": "tin", "size": 4}),
            json!({"size": 5}),
            Ok(json!({"size": 5, "tier": "tin"})),
        );
    }

    #[test]
    fn mistakes_are_named() {
        check(
            json!({}),
            json!({}),
            Err("plan `p` needs the variable `tier`: which"),
        );
        check(
            json!({"tear": "tin"}),
            json!({}),
            Err("plan `p` has no variable `tear`; did you mean `tier`?"),
        );
        check(
            json!({"tier": "wood"}),
            json!({}),
            Err("variable `tier` must be one of gold, tin, not `\"wood\"`"),
        );
        check(
            json!({"tier": "tin"}),
            json!({"size": "3"}),
            Err("variable `size` must be a whole number, not `\"3\"`"),
        );
    }
}
