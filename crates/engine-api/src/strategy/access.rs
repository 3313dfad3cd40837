//! Roles and bindings: their writer must have what they grant.

use serde_json::Value;

use crate::call::Call;
use crate::core::Core;
use crate::object::{self, text};
use crate::rbac::rules_of_object;
use crate::status::{Answer, Cause, Failure};

/// A binding stays with its role; the real server shows it by its own names.
pub(super) fn validate_binding_update(value: &Value, old: &Value) -> Vec<Cause> {
    if value["roleRef"] == old["roleRef"] {
        return vec![];
    }
    let part = |name: &str| text(value, &format!("/roleRef/{name}"));
    let message = format!(
        "Invalid value: {{\"APIGroup\":{:?},\"Kind\":{:?},\"Name\":{:?}}}: cannot change roleRef",
        part("apiGroup"),
        part("kind"),
        part("name"),
    );
    vec![Cause {
        reason: "FieldValueInvalid",
        field: "roleRef".into(),
        message,
    }]
}

/// Refuses a role or binding that gives more than its writer has.
pub(super) fn confirm(core: &Core, call: &Call, value: &Value, old: Option<&Value>) -> Answer<()> {
    let plural = call.entry.resource.plural.as_str();
    let same = |field: &str| old.is_some_and(|old| old[field] == value[field]);
    let namespace = call.path.namespace.as_str();
    let policy = core.policy();
    let refuse = |why: String| {
        Err(Failure::forbidden(
            call.entry.named(),
            object::name(value),
            &why,
        ))
    };
    if matches!(plural, "roles" | "clusterroles") {
        let unchanged = same("rules") && same("aggregationRule");
        let name = object::name(value);
        if unchanged || policy.may(&call.user, "escalate", plural, namespace, name) {
            return Ok(());
        }
        let confirmed = policy.confirm(&call.user, namespace, &rules_of_object(value));
        return confirmed.or_else(refuse);
    }
    if same("roleRef") && same("subjects") {
        return Ok(());
    }
    let (kind, name) = (text(value, "/roleRef/kind"), text(value, "/roleRef/name"));
    let bound = if kind == "ClusterRole" {
        "clusterroles"
    } else {
        "roles"
    };
    if policy.may(&call.user, "bind", bound, namespace, name) {
        return Ok(());
    }
    let Some(rules) = policy.role(kind, namespace, name) else {
        let named = crate::status::Named {
            group: "rbac.authorization.k8s.io",
            plural: bound,
        };
        return Err(Failure::not_found(named, name));
    };
    policy.confirm(&call.user, namespace, rules).or_else(refuse)
}
