//! Every refusal the API gives, as the `Status` object a Kubernetes client expects.
//! The one place where errors become HTTP.

use std::fmt;

use serde_json::{Map, Value, json};

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub reason: &'static str,
    pub field: String,
    pub message: String,
}

impl From<foreshore_engine_schema::Violation> for Cause {
    fn from(violation: foreshore_engine_schema::Violation) -> Self {
        Self {
            reason: violation.reason.as_str(),
            field: violation.path,
            message: violation.message,
        }
    }
}

impl Cause {
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = match detail {
            "" => "Required value".to_owned(),
            detail => format!("Required value: {detail}"),
        };
        Self {
            reason: "FieldValueRequired",
            field: field.into(),
            message,
        }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let message = format!("Invalid value: {value}: {detail}");
        Self {
            reason: "FieldValueInvalid",
            field: field.into(),
            message,
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        let message = format!("Forbidden: {detail}");
        Self {
            reason: "FieldValueForbidden",
            field: field.into(),
            message,
        }
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        let message = format!("Duplicate value: {value}");
        Self {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message,
        }
    }
}

/// What a refusal is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub name: String,
    pub group: String,
    /// Plural or kind, as the real server fills it for this reason.
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_seconds: u32,
}

impl Details {
    fn to_value(&self) -> Value {
        let mut details = Map::new();
        let texts = [
            ("name", &self.name),
            ("group", &self.group),
            ("kind", &self.kind),
            ("uid", &self.uid),
        ];
        for (field, text) in texts {
            if !text.is_empty() {
                details.insert(field.into(), text.as_str().into());
            }
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(|cause| {
                let mut object = json!({"reason": cause.reason, "message": cause.message});
                if !cause.field.is_empty() {
                    object["field"] = cause.field.as_str().into();
                }
                object
            });
            details.insert("causes".into(), causes.collect());
        }
        if self.retry_after_seconds > 0 {
            details.insert("retryAfterSeconds".into(), self.retry_after_seconds.into());
        }
        Value::Object(details)
    }
}

/// A request that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Box<Details>>,
    /// A token with which an expired list can go on, inconsistently.
    pub continues: Option<Box<str>>,
}

/// A resource as messages name it: plural and group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) group: &'a str,
    pub(crate) plural: &'a str,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group {
            "" => formatter.write_str(self.plural),
            group => write!(formatter, "{}.{group}", self.plural),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

pub(crate) type Answer<T> = Result<T, Failure>;

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            continues: None,
        }
    }

    pub(crate) fn continuing(mut self, token: String) -> Self {
        self.continues = Some(token.into());
        self
    }

    fn about(mut self, resource: Named<'_>, name: &str) -> Self {
        self.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: resource.group.to_owned(),
            kind: resource.plural.to_owned(),
            ..Details::default()
        }));
        self
    }

    fn because(mut self, cause: Cause) -> Self {
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    pub(crate) fn not_found(resource: Named<'_>, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found")).about(resource, name)
    }

    /// For paths that name nothing this server has.
    pub(crate) fn unknown_path() -> Self {
        let mut failure = Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        failure.details = Some(Box::default());
        failure
    }

    pub(crate) fn already_exists(resource: Named<'_>, name: &str) -> Self {
        let message = format!("{resource} \"{name}\" already exists");
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    pub(crate) fn conflict(resource: Named<'_>, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// A precondition that does not hold; the real server names the kind here.
    pub(crate) fn precondition(group: &str, kind: &str, name: &str, why: &str) -> Self {
        let named = Named {
            group,
            plural: kind,
        };
        Self::conflict(named, name, why)
    }

    pub(crate) fn modified(resource: Named<'_>, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest \
                   version and try again";
        Self::conflict(resource, name, why)
    }

    /// Server-side apply met fields that others own.
    pub(crate) fn apply_conflict(causes: Vec<Cause>, message: String) -> Self {
        let mut failure = Self::new(409, "Conflict", message);
        failure.details = Some(Box::new(Details {
            causes,
            ..Details::default()
        }));
        failure
    }

    pub(crate) fn forbidden(resource: Named<'_>, name: &str, why: &str) -> Self {
        let message = match name {
            "" => format!("{resource} is forbidden: {why}"),
            name => format!("{resource} \"{name}\" is forbidden: {why}"),
        };
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    pub(crate) fn forbidden_path(user: &str, verb: &str, path: &str) -> Self {
        let message = format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\"");
        let mut failure = Self::new(403, "Forbidden", message);
        failure.details = Some(Box::default());
        failure
    }

    /// A create in a namespace that is going away.
    pub(crate) fn terminating(resource: Named<'_>, name: &str, namespace: &str) -> Self {
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        Self::forbidden(resource, name, &why).because(Cause {
            reason: "NamespaceTerminating",
            field: "metadata.namespace".into(),
            message: format!("namespace {namespace} is being terminated"),
        })
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The object breaks rules; `kind` is the kind, not the plural.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let texts: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let wrong = match &texts[..] {
            [only] => only.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let kind_of = match group {
            "" => kind.to_owned(),
            group => format!("{kind}.{group}"),
        };
        let mut failure = Self::new(
            422,
            "Invalid",
            format!("{kind_of} \"{name}\" is invalid: {wrong}"),
        );
        failure.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..Details::default()
        }));
        failure
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn revision_too_large(wanted: u64, current: u64) -> Self {
        let mut failure = Self::new(
            504,
            "Timeout",
            format!("Too large resource version: {wanted}, current: {current}"),
        );
        failure.details = Some(Box::new(Details {
            retry_after_seconds: 1,
            ..Details::default()
        }));
        failure.because(Cause {
            reason: "ResourceVersionTooLarge",
            field: String::new(),
            message: "Too large resource version".into(),
        })
    }

    pub(crate) fn method_not_allowed() -> Self {
        let mut failure = Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        failure.details = Some(Box::default());
        failure
    }

    pub(crate) fn unsupported_media(given: &str, accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: \
             {accepted}"
        );
        let message = match given {
            "" => message,
            given => format!("{message} (got {given})"),
        };
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// What the router of the real server says before anybody looks at the request.
    pub(crate) fn unknown_patch_type() -> Self {
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")
    }

    pub(crate) fn not_acceptable(accepted: &str) -> Self {
        let message = format!("only the following media types are accepted: {accepted}");
        Self::new(406, "NotAcceptable", message)
    }

    pub(crate) fn too_long(message: String) -> Self {
        Self::new(413, "RequestEntityTooLarge", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    pub(crate) fn internal(message: impl fmt::Display) -> Self {
        Self::new(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
    }

    /// The request's object does not fit its type; the real server gives no reason either.
    pub(crate) fn untyped(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// Something Kubernetes has and this server deliberately has not.
    pub(crate) fn not_implemented(what: &str) -> Self {
        Self::new(
            501,
            "NotImplemented",
            format!("{what} is not supported by the embedded engine"),
        )
    }

    /// Try again later; `why` tells what stands in the way.
    pub(crate) fn too_many_requests(
        message: impl Into<String>,
        retry_after_seconds: u32,
        why: String,
    ) -> Self {
        let mut failure = Self::new(429, "TooManyRequests", message);
        failure.details = Some(Box::new(Details {
            retry_after_seconds,
            ..Details::default()
        }));
        failure.because(Cause {
            reason: "DisruptionBudget",
            field: String::new(),
            message: why,
        })
    }

    pub(crate) fn timeout(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let message = format!("Timeout: {}", message.into());
        let mut failure = Self::new(504, "Timeout", message);
        failure.details = Some(Box::new(Details {
            retry_after_seconds,
            ..Details::default()
        }));
        failure
    }

    pub(crate) fn gateway(message: impl Into<String>) -> Self {
        Self::new(502, "BadGateway", message)
    }

    /// The refusal as a `Status` object.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(token) = &self.continues {
            status["metadata"] = json!({"continue": token});
        }
        if let Some(details) = &self.details {
            status["details"] = details.to_value();
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_object_is_named_with_its_group() {
        let named = Named {
            group: "apps",
            plural: "deployments",
        };
        let status = Failure::not_found(named, "web").to_value();
        assert_eq!(status["message"], "deployments.apps \"web\" not found");
        assert_eq!(
            status["details"],
            json!({"name": "web", "group": "apps", "kind": "deployments"})
        );
        assert_eq!(
            (status["code"].as_u64(), status["reason"].as_str()),
            (Some(404), Some("NotFound"))
        );
    }

    #[test]
    fn several_causes_are_listed_in_brackets() {
        let causes = vec![
            Cause::required("spec.a", ""),
            Cause::invalid("spec.b", &json!(3), "too big"),
        ];
        let failure = Failure::invalid("", "Pod", "x", causes);
        assert_eq!(
            failure.message,
            "Pod \"x\" is invalid: [spec.a: Required value, spec.b: Invalid value: 3: too big]"
        );
        assert_eq!(
            failure.to_value()["details"]["causes"][1]["field"],
            "spec.b"
        );
    }
}
