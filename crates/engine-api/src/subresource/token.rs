//! `serviceaccounts/token`: issues a token for a service account.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::body;
use crate::call::Call;
use crate::core::{Core, new_uid};
use crate::object::{self, text};
use crate::reply::{Content, Reply};
use crate::status::{Answer, Cause, Failure, Named};
use crate::token::{Bound, Claims, ISSUER, Kubernetes};

const API_VERSION: &str = "authentication.k8s.io/v1";
const KIND: &str = "TokenRequest";
const SECONDS_DEFAULT: i64 = 3600;
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;

pub(super) fn request(core: &Core, call: &Call) -> Answer<Reply> {
    let mut request = body::read_other(call, API_VERSION, KIND)?;
    let seconds = request
        .pointer("/spec/expirationSeconds")
        .and_then(Value::as_i64);
    let seconds = seconds.unwrap_or(SECONDS_DEFAULT);
    let out_of_range = match seconds {
        ..SECONDS_MIN => Some("may not specify a duration less than 10 minutes"),
        SECONDS_MIN..=SECONDS_MAX => None,
        _ => Some("may not specify a duration larger than 2^32 seconds"),
    };
    if let Some(why) = out_of_range {
        let cause = Cause::invalid("spec.expirationSeconds", &seconds.into(), why);
        return Err(Failure::invalid(
            "authentication.k8s.io",
            KIND,
            "",
            vec![cause],
        ));
    }
    let account = find(core, call, "serviceaccounts", &call.path.name)?;
    let mut kubernetes = Kubernetes {
        namespace: call.path.namespace.clone(),
        node: None,
        pod: None,
        secret: None,
        serviceaccount: Bound {
            name: call.path.name.clone(),
            uid: object::uid(&account).to_owned(),
        },
    };
    bind(core, call, &request, &mut kubernetes)?;
    let audiences = request.pointer("/spec/audiences").and_then(Value::as_array);
    let mut audiences: Vec<String> = audiences
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    let expiry = call
        .now
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(call.now);
    let claims = Claims {
        aud: audiences.clone(),
        exp: expiry.as_second(),
        iat: call.now.as_second(),
        iss: ISSUER.to_owned(),
        jti: new_uid(),
        kubernetes,
        nbf: call.now.as_second(),
        sub: format!(
            "system:serviceaccount:{}:{}",
            call.path.namespace, call.path.name
        ),
    };
    let token = core
        .signer
        .sign(&claims)
        .map_err(|_| Failure::internal("cannot sign a token"))?;
    let metadata = object::metadata_mut(&mut request);
    metadata.insert("name".into(), call.path.name.clone().into());
    metadata.insert("namespace".into(), call.path.namespace.clone().into());
    metadata.insert("creationTimestamp".into(), object::time(call.now));
    let spec = object::map_mut(&mut request, "spec");
    spec.insert("audiences".into(), json!(audiences));
    spec.insert("expirationSeconds".into(), seconds.into());
    request["status"] = json!({"expirationTimestamp": object::time(expiry), "token": token});
    Ok(Reply::created(Content::Other(request)))
}

fn find(core: &Core, call: &Call, plural: &'static str, name: &str) -> Answer<Value> {
    let missing = || Failure::not_found(Named { group: "", plural }, name);
    let stored = core
        .peek("", plural, &call.path.namespace, name)
        .ok_or_else(missing)?;
    object::decode(&stored)
}

/// Binds the token to a pod or secret, so that it ends with it.
fn bind(core: &Core, call: &Call, request: &Value, claims: &mut Kubernetes) -> Answer<()> {
    let Some(wanted) = request
        .pointer("/spec/boundObjectRef")
        .filter(|bound| !bound.is_null())
    else {
        return Ok(());
    };
    let name = text(wanted, "/name");
    let plural = match text(wanted, "/kind") {
        "Pod" => "pods",
        "Secret" => "secrets",
        other => {
            return Err(Failure::bad_request(format!(
                "cannot bind token for type {other:?}"
            )));
        }
    };
    let found = find(core, call, plural, name)?;
    let uid = object::uid(&found);
    let given = text(wanted, "/uid");
    if !given.is_empty() && given != uid {
        let why = format!(
            "the UID in the bound object reference ({given}) does not match the UID in record. \
             The object might have been deleted and then recreated"
        );
        return Err(Failure::conflict(Named { group: "", plural }, name, &why));
    }
    let bound = Bound {
        name: name.to_owned(),
        uid: uid.to_owned(),
    };
    if plural == "secrets" {
        claims.secret = Some(bound);
        return Ok(());
    }
    let account = text(&found, "/spec/serviceAccountName");
    if account != call.path.name {
        return Err(Failure::bad_request(format!(
            "cannot bind token for serviceaccount {:?} to pod running with different \
             serviceaccount name.",
            call.path.name
        )));
    }
    claims.pod = Some(bound);
    let node = text(&found, "/spec/nodeName");
    if !node.is_empty() {
        let uid = core.peek("", "nodes", "", node);
        let uid = uid.and_then(|stored| object::decode(&stored).ok());
        let uid = uid
            .map(|node| object::uid(&node).to_owned())
            .unwrap_or_default();
        claims.node = Some(Bound {
            name: node.to_owned(),
            uid,
        });
    }
    Ok(())
}
