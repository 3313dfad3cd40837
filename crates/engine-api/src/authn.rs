//! Finds out who is asking: client certificate, bearer token, or nobody.

mod impersonation;

use http::{HeaderMap, header};
use serde_json::Value;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::core::Core;
use crate::object;
use crate::rbac::Attributes;
use crate::status::{Answer, Failure};
use crate::token::{Claims, ISSUER};
use crate::user::{AUTHENTICATED, UserInfo};

/// Reads the user out of a client certificate that the TLS layer has verified.
pub(crate) fn user_of_certificate(der: &[u8]) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject
        .iter_organization()
        .filter_map(|group| group.as_str().ok());
    let mut groups: Vec<String> = groups.map(str::to_owned).collect();
    groups.push(AUTHENTICATED.to_owned());
    Some(UserInfo {
        name,
        groups,
        ..UserInfo::default()
    })
}

/// The user of a request; wrong credentials are an error, none are `system:anonymous`.
pub(crate) fn authenticate(
    core: &Core,
    peer: Option<&UserInfo>,
    headers: &HeaderMap,
) -> Answer<UserInfo> {
    let user = match (peer, headers.get(header::AUTHORIZATION)) {
        (Some(user), _) => user.clone(),
        (None, None) => UserInfo::anonymous(),
        (None, Some(value)) => {
            let value = value.to_str().map_err(|_| Failure::unauthorized())?;
            let (scheme, token) = value.split_once(' ').ok_or_else(Failure::unauthorized)?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(Failure::unauthorized());
            }
            user_of_token(core, token.trim(), &[ISSUER.to_owned()])
                .map(|(user, _)| user)
                .ok_or_else(Failure::unauthorized)?
        }
    };
    impersonation::apply(core, user, headers)
}

/// Whose token it is, and for which of the audiences; `None` for anything not valid now.
pub(crate) fn user_of_token(
    core: &Core,
    token: &str,
    audiences: &[String],
) -> Option<(UserInfo, Vec<String>)> {
    if let Some(user) = core.tokens.get(&token_digest(token)) {
        return Some((user.clone(), audiences.to_vec()));
    }
    let claims = core.signer.verify(token, audiences, core.now()).ok()?;
    let user = bound_user(core, &claims)?;
    let audiences = claims
        .aud
        .into_iter()
        .filter(|held| audiences.contains(held))
        .collect();
    Some((user, audiences))
}

/// Fixed tokens are kept and compared by digest, so that the time it takes tells nothing.
pub(crate) fn token_digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The service account of a token, if that and what the token is bound to still exist.
fn bound_user(core: &Core, claims: &Claims) -> Option<UserInfo> {
    let bound = &claims.kubernetes;
    let namespace = bound.namespace.as_str();
    let lives = |plural: &str, namespace: &str, name: &str, uid: &str| {
        let stored = core.peek("", plural, namespace, name)?;
        let value: Value = serde_json::from_slice(&stored.bytes).ok()?;
        (object::uid(&value) == uid).then_some(())
    };
    let account = &bound.serviceaccount;
    lives("serviceaccounts", namespace, &account.name, &account.uid)?;
    let mut user = UserInfo::service_account(namespace, &account.name, &account.uid);
    let mut tell = |key: &str, value: &str| {
        let key = format!("authentication.kubernetes.io/{key}");
        user.extra.insert(key, vec![value.to_owned()]);
    };
    tell("credential-id", &format!("JTI={}", claims.jti));
    if let Some(pod) = &bound.pod {
        lives("pods", namespace, &pod.name, &pod.uid)?;
        tell("pod-name", &pod.name);
        tell("pod-uid", &pod.uid);
    }
    if let Some(secret) = &bound.secret {
        lives("secrets", namespace, &secret.name, &secret.uid)?;
    }
    if let Some(node) = &bound.node {
        tell("node-name", &node.name);
        tell("node-uid", &node.uid);
    }
    Some(user)
}

/// Why somebody may not do something, in the real server's words.
pub(crate) fn forbidden(user: &UserInfo, wanted: &Attributes) -> String {
    let resource = match wanted.subresource.as_str() {
        "" => wanted.resource.clone(),
        subresource => format!("{}/{subresource}", wanted.resource),
    };
    let place = match wanted.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    format!(
        "User \"{}\" cannot {} resource \"{resource}\" in API group \"{}\" {place}",
        user.name, wanted.verb, wanted.group
    )
}
