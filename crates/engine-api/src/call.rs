//! One request for a resource, with everything about it that was worked out at the door.

use std::sync::Arc;

use bytes::Bytes;
use foreshore_engine_schema::Subresource;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalog::Entry;
use crate::negotiate::Form;
use crate::request::{Query, ResourcePath};
use crate::status::{Answer, Cause, Failure};
use crate::user::UserInfo;

/// What to do about fields nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Strict,
    Warn,
    Ignore,
}

#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) user: UserInfo,
    pub(crate) now: Timestamp,
    pub(crate) entry: Arc<Entry>,
    pub(crate) path: ResourcePath,
    pub(crate) query: Query,
    pub(crate) form: Form,
    pub(crate) content_type: String,
    pub(crate) user_agent: String,
    pub(crate) body: Bytes,
}

/// Longest name of a field manager.
const MANAGER_MAX: usize = 128;

impl Call {
    /// A request of the server itself.
    pub(crate) fn internal(
        now: Timestamp,
        entry: &Arc<Entry>,
        namespace: &str,
        name: &str,
    ) -> Self {
        let resource = &entry.resource;
        Self {
            user: UserInfo::component("system:apiserver"),
            now,
            entry: Arc::clone(entry),
            path: ResourcePath {
                group: resource.group.clone(),
                version: resource.version.clone(),
                namespace: namespace.to_owned(),
                resource: resource.plural.clone(),
                name: name.to_owned(),
                ..ResourcePath::default()
            },
            query: Query::default(),
            form: Form::JSON,
            content_type: String::new(),
            user_agent: "kube-apiserver".to_owned(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn subresource(&self) -> Option<&Subresource> {
        self.entry.resource.subresource(&self.path.subresource)
    }

    pub(crate) fn dry_run(&self) -> Answer<bool> {
        let mut all = false;
        for value in self.query.all("dryRun") {
            if value != "All" {
                return Err(self.bad_option("dryRun", value, "supported values: \"All\""));
            }
            all = true;
        }
        Ok(all)
    }

    pub(crate) fn field_validation(&self) -> Answer<FieldValidation> {
        match self.query.get("fieldValidation") {
            None | Some("Warn") => Ok(FieldValidation::Warn),
            Some("Strict") => Ok(FieldValidation::Strict),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some(other) => Err(self.bad_option(
                "fieldValidation",
                other,
                "supported values: \"Ignore\", \"Strict\", \"Warn\"",
            )),
        }
    }

    /// Who owns the fields this request sets.
    pub(crate) fn manager(&self) -> Answer<String> {
        match self.query.get("fieldManager") {
            Some(manager) if manager.len() > MANAGER_MAX => Err(self.bad_option(
                "fieldManager",
                manager,
                "Too long: may not be more than 128 bytes",
            )),
            Some(manager) if manager.chars().any(char::is_control) => Err(self.bad_option(
                "fieldManager",
                manager,
                "should contain only printable characters",
            )),
            Some(manager) => Ok(manager.to_owned()),
            None => {
                let agent = self.user_agent.split('/').next().unwrap_or_default();
                let agent = agent.chars().filter(|character| !character.is_control());
                Ok(agent.take(MANAGER_MAX).collect())
            }
        }
    }

    fn bad_option(&self, option: &str, value: &str, why: &str) -> Failure {
        let cause = Cause {
            reason: "FieldValueNotSupported",
            field: option.to_owned(),
            message: format!("Unsupported value: {}: {why}", Value::from(value)),
        };
        let kind = match self.path.subresource.as_str() {
            "" => "Options",
            _ => "UpdateOptions",
        };
        Failure::invalid("meta.k8s.io", kind, "", vec![cause])
    }
}

/// A list option that contradicts another.
pub(crate) fn bad_list_option(field: &str, why: &str) -> Failure {
    Failure::invalid(
        "meta.k8s.io",
        "ListOptions",
        "",
        vec![Cause::forbidden(field, why)],
    )
}

/// The answer `{"kind": "Status", "status": "Success"}` with details of what was done.
pub(crate) fn success(entry: &Entry, name: &str, uid: &str) -> Value {
    let mut details = json!({"name": name, "kind": entry.resource.plural});
    if !entry.resource.group.is_empty() {
        details["group"] = entry.resource.group.as_str().into();
    }
    if !uid.is_empty() {
        details["uid"] = uid.into();
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    })
}
