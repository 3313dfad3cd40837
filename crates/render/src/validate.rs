//! Whether Kubernetes would take an object, by the tables of its own schema.

use foreshore_engine_schema::{Schema, apply_defaults, check_fields, check_required, conform};
use serde_json::Value;

/// Groups of common extensions; their objects are passed on as they are.
const EXTENSIONS: [&str; 2] = ["monitoring.coreos.com", "external-secrets.io"];

/// Returns what is wrong with an object, or nothing.
pub fn validate(object: &Value) -> Result<(), String> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    if EXTENSIONS.contains(&group) {
        return Ok(());
    }
    let schema = Schema::builtin();
    let Some(resource) = schema.resource_of_kind(group, version, kind) else {
        let known = schema
            .resources()
            .iter()
            .filter(|resource| resource.kind == kind)
            .map(|resource| format!("`{}`", resource.api_version()))
            .collect::<Vec<_>>();
        return Err(if known.is_empty() {
            format!("there is no kind `{kind}` in `{}`", text("apiVersion"))
        } else {
            format!(
                "`{kind}` is in {}, not in `{}`",
                known.join(" and "),
                text("apiVersion")
            )
        });
    };
    let type_ref = schema.type_of(resource);
    let report = check_fields(type_ref, object);
    if let Some(mismatch) = &report.mismatch {
        return Err(mismatch.to_string());
    }
    if let Some(message) = report.unknown_messages().next() {
        return Err(message);
    }
    let mut complete = object.clone();
    conform(type_ref, &mut complete);
    apply_defaults(resource, &mut complete);
    match check_required(type_ref, &complete).first() {
        Some(violation) => Err(violation.to_string()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(object: &Value, part: &str) {
        let what = validate(object).unwrap_err();
        assert!(what.contains(part), "{what}");
    }

    #[test]
    fn what_kubernetes_would_refuse_is_told() {
        let deployment = |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec});
        check(&deployment(json!({"replcas": 1})), "spec.replcas");
        check(&deployment(json!({"replicas": "one"})), "replicas");
        check(
            &deployment(json!({"template": {"spec": {"containers": []}}})),
            "selector",
        );
        check(
            &json!({"apiVersion": "apps/v1beta1", "kind": "Deployment"}),
            "`Deployment` is in `apps/v1`",
        );
        check(
            &json!({"apiVersion": "v1", "kind": "Pdo"}),
            "there is no kind `Pdo`",
        );
    }

    #[test]
    fn extensions_are_passed_on() {
        validate(&json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret"}))
            .unwrap();
    }
}
