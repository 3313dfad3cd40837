//! Reviews: questions about identity and permission that are answered and not stored.

use serde_json::{Value, json};

use crate::authn;
use crate::body;
use crate::call::Call;
use crate::core::Core;
use crate::object::text;
use crate::rbac::Attributes;
use crate::reply::{Content, Reply};
use crate::status::{Answer, Cause, Failure};
use crate::token::ISSUER;
use crate::user::UserInfo;

/// Answers a POST to one of the review resources.
pub(crate) fn review(core: &Core, call: &Call) -> Answer<Reply> {
    let (mut value, warnings) = body::read_object(call)?;
    let status = match call.entry.resource.plural.as_str() {
        "selfsubjectaccessreviews" => {
            let wanted = attributes(call, &value)?;
            decision(core, &call.user, &wanted)
        }
        "subjectaccessreviews" => subject_access(core, call, &value)?,
        "localsubjectaccessreviews" => {
            let namespace = text(&value, "/spec/resourceAttributes/namespace");
            if namespace != call.path.namespace {
                return Err(Failure::bad_request(
                    "spec.resourceAttributes.namespace must match metadata.namespace",
                ));
            }
            subject_access(core, call, &value)?
        }
        "selfsubjectrulesreviews" => {
            let namespace = text(&value, "/spec/namespace");
            if namespace.is_empty() {
                return Err(Failure::bad_request("no namespace on request"));
            }
            core.policy().review(&call.user, namespace)
        }
        "tokenreviews" => token_review(core, call, &value)?,
        "selfsubjectreviews" => json!({"userInfo": call.user.to_value()}),
        _ => return Err(Failure::unknown_path()),
    };
    value["status"] = status;
    crate::write::normalize(&call.entry, &mut value);
    Ok(Reply::created(Content::Object(value)).warn(warnings))
}

fn decision(core: &Core, user: &UserInfo, wanted: &Attributes) -> Value {
    let allowed = core.policy().allows(user, wanted);
    let mut status = json!({"allowed": allowed});
    if allowed {
        status["reason"] = "RBAC: allowed by the stored roles and bindings".into();
    }
    status
}

fn attributes(call: &Call, value: &Value) -> Answer<Attributes> {
    let part = |name: &str| {
        value
            .pointer(&format!("/spec/{name}"))
            .filter(|part| !part.is_null())
    };
    match (part("resourceAttributes"), part("nonResourceAttributes")) {
        (Some(resource), None) => Ok(Attributes {
            verb: text(resource, "/verb").to_owned(),
            resource: text(resource, "/resource").to_owned(),
            subresource: text(resource, "/subresource").to_owned(),
            group: text(resource, "/group").to_owned(),
            namespace: text(resource, "/namespace").to_owned(),
            name: text(resource, "/name").to_owned(),
            path: String::new(),
        }),
        (None, Some(path)) => Ok(Attributes {
            verb: text(path, "/verb").to_owned(),
            path: text(path, "/path").to_owned(),
            ..Attributes::default()
        }),
        _ => {
            let cause = Cause::invalid(
                "spec.resourceAttributes",
                &Value::Null,
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            );
            Err(call.entry.invalid("", vec![cause]))
        }
    }
}

fn subject_access(core: &Core, call: &Call, value: &Value) -> Answer<Value> {
    let wanted = attributes(call, value)?;
    let groups = value.pointer("/spec/groups").and_then(Value::as_array);
    let groups = groups
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned);
    let user = UserInfo {
        name: text(value, "/spec/user").to_owned(),
        uid: text(value, "/spec/uid").to_owned(),
        groups: groups.collect(),
        ..UserInfo::default()
    };
    if user.name.is_empty() && user.groups.is_empty() {
        let cause = Cause::invalid(
            "spec.user",
            &"".into(),
            "at least one of user or group must be specified",
        );
        return Err(call.entry.invalid("", vec![cause]));
    }
    Ok(decision(core, &user, &wanted))
}

fn token_review(core: &Core, call: &Call, value: &Value) -> Answer<Value> {
    let token = text(value, "/spec/token");
    if token.is_empty() {
        return Err(Failure::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let audiences = value.pointer("/spec/audiences").and_then(Value::as_array);
    let mut audiences: Vec<String> = audiences
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    debug_assert_eq!(call.entry.resource.plural, "tokenreviews");
    Ok(match authn::user_of_token(core, token, &audiences) {
        Some((user, audiences)) => {
            json!({"authenticated": true, "user": user.to_value(), "audiences": audiences})
        }
        None => json!({"user": {}, "error": "invalid bearer token"}),
    })
}
