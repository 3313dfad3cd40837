//! Acting as somebody else, where the roles allow it.

use http::HeaderMap;

use crate::authn::forbidden;
use crate::core::Core;
use crate::rbac::Attributes;
use crate::status::{Answer, Failure, Named};
use crate::user::{AUTHENTICATED, UNAUTHENTICATED, UserInfo};

const EXTRA: &str = "impersonate-extra-";

/// What the headers of a request ask for.
struct Wanted<'a> {
    name: &'a str,
    uid: Option<&'a str>,
    groups: Vec<String>,
    extra: Vec<(&'a str, &'a str)>,
}

fn read(headers: &HeaderMap) -> Answer<Option<Wanted<'_>>> {
    let one = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let groups = headers.get_all("impersonate-group").iter();
    let groups = groups
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect();
    let extra = headers.iter().filter_map(|(header, value)| {
        Some((
            header.as_str().strip_prefix(EXTRA)?,
            value.to_str().unwrap_or_default(),
        ))
    });
    let wanted = Wanted {
        name: one("impersonate-user").unwrap_or_default(),
        uid: one("impersonate-uid"),
        groups,
        extra: extra.collect(),
    };
    let nothing = wanted.groups.is_empty() && wanted.uid.is_none() && wanted.extra.is_empty();
    match (wanted.name, nothing) {
        ("", true) => Ok(None),
        ("", false) => Err(Failure::bad_request(
            "requested impersonation without impersonating a user",
        )),
        _ => Ok(Some(wanted)),
    }
}

/// Returns the user the request is carried out for.
pub(super) fn apply(core: &Core, user: UserInfo, headers: &HeaderMap) -> Answer<UserInfo> {
    let Some(wanted) = read(headers)? else {
        return Ok(user);
    };
    let name = wanted.name;
    let account = name
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'));
    let mut other = if let Some((namespace, account)) = account {
        check(core, &user, ("", "serviceaccounts"), namespace, account)?;
        UserInfo::service_account(namespace, account, "")
    } else {
        check(core, &user, ("", "users"), "", name)?;
        UserInfo {
            name: name.to_owned(),
            ..UserInfo::default()
        }
    };
    for group in &wanted.groups {
        check(core, &user, ("", "groups"), "", group)?;
    }
    if !wanted.groups.is_empty() {
        other.groups = wanted.groups;
    }
    if let Some(uid) = wanted.uid {
        check(core, &user, ("authentication.k8s.io", "uids"), "", uid)?;
        uid.clone_into(&mut other.uid);
    }
    for (key, value) in wanted.extra {
        let resource = format!("userextras/{key}");
        check(core, &user, ("authentication.k8s.io", &resource), "", value)?;
        other
            .extra
            .entry(key.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    let anonymous = other.name == UserInfo::anonymous().name;
    let belongs = if anonymous {
        UNAUTHENTICATED
    } else {
        AUTHENTICATED
    };
    if !other.belongs_to(belongs) {
        other.groups.push(belongs.to_owned());
    }
    Ok(other)
}

fn check(
    core: &Core,
    user: &UserInfo,
    (group, resource): (&str, &str),
    namespace: &str,
    name: &str,
) -> Answer<()> {
    let (plural, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let wanted = Attributes {
        verb: "impersonate".into(),
        group: group.into(),
        resource: plural.into(),
        subresource: subresource.into(),
        namespace: namespace.into(),
        name: name.into(),
        path: String::new(),
    };
    if core.policy().allows(user, &wanted) {
        return Ok(());
    }
    Err(Failure::forbidden(
        Named { group, plural },
        name,
        &forbidden(user, &wanted),
    ))
}
