//! Request bodies: JSON, YAML or protobuf to values, and what is wrong with their fields.

use foreshore_engine_schema::{ParseError, TypeRef, check_fields, parse_json};
use serde_json::{Value, json};

use crate::call::{Call, FieldValidation};
use crate::object;
use crate::status::{Answer, Cause, Failure};

/// Largest body; the real server's limit.
pub(crate) const BODY_MAX: usize = 3 << 20;

const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// A body as it was read, before anybody looked at its fields.
pub(crate) struct Decoded {
    pub(crate) value: Value,
    /// Messages about keys given twice.
    pub(crate) duplicates: Vec<String>,
}

/// Reads a body in any of the accepted formats.
pub(crate) fn decode(content_type: &str, body: &[u8]) -> Answer<Decoded> {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let plain = |value| Decoded {
        value,
        duplicates: vec![],
    };
    let decoded = match media {
        "" | "application/json" => decode_json(body)?,
        "application/yaml" | "application/x-yaml" | "text/yaml" => plain(decode_yaml(body)?),
        "application/vnd.kubernetes.protobuf" => plain(
            foreshore_engine_schema::proto::decode(body)
                .map_err(|error| Failure::bad_request(error.to_string()))?,
        ),
        other => return Err(Failure::unsupported_media(other, ACCEPTED)),
    };
    if decoded.value.is_object() {
        Ok(decoded)
    } else {
        Err(Failure::bad_request(
            "the body of the request is not an object",
        ))
    }
}

pub(crate) fn decode_json(body: &[u8]) -> Answer<Decoded> {
    match parse_json(body) {
        Ok((value, duplicates)) => {
            let duplicates = duplicates.iter().map(ToString::to_string).collect();
            Ok(Decoded { value, duplicates })
        }
        Err(ParseError::TooLarge { bytes_max, .. }) => Err(Failure::too_large(bytes_max)),
        Err(error) => Err(Failure::bad_request(error.to_string())),
    }
}

/// Reads YAML; JSON is YAML, and the faster parser knows duplicates too.
pub(crate) fn decode_yaml(body: &[u8]) -> Answer<Value> {
    if let Ok((value, _)) = parse_json(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| Failure::bad_request("the body of the request is not UTF-8"))?;
    foreshore_model::yaml::read("request body", text)
        .map_err(|error| Failure::bad_request(error.to_string()))
}

/// Puts in the version and kind the path implies, or refuses others.
pub(crate) fn check_kind(value: &mut Value, api_version: &str, kind: &str) -> Answer<()> {
    let given = (
        object::text(value, "/apiVersion"),
        object::text(value, "/kind"),
    );
    if !matches!(given.0, "") && given.0 != api_version {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version \
             ({api_version})",
            given.0
        )));
    }
    if !matches!(given.1, "") && given.1 != kind {
        let version = api_version.rsplit('/').next().unwrap_or_default();
        return Err(Failure::bad_request(format!(
            "{} in version {version:?} cannot be handled as a {kind}",
            given.1
        )));
    }
    let map = value
        .as_object_mut()
        .ok_or_else(|| Failure::bad_request("not an object"))?;
    map.insert("apiVersion".into(), api_version.into());
    map.insert("kind".into(), kind.into());
    Ok(())
}

/// Bytes of a body that a refusal quotes.
const QUOTED: usize = 30;

/// Custom resources must say what they are; the path alone does not.
fn check_custom_kind(call: &Call, value: &Value) -> Answer<()> {
    let kind = &call.entry.resource.kind;
    let given = object::text(value, "/kind");
    if given.is_empty() {
        let body = String::from_utf8_lossy(&call.body);
        let mut summary: String = body.chars().take(QUOTED).collect();
        if body.chars().nth(QUOTED).is_some() {
            summary.push_str(" ...");
        }
        return Err(Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): Object 'Kind' is \
             missing in '{body}' ({summary})"
        )));
    }
    if given == kind {
        return Ok(());
    }
    let cause = Cause::invalid("kind", &given.into(), &format!("must be {kind}"));
    let group = &call.entry.resource.group;
    Err(Failure::invalid(
        group,
        given,
        object::name(value),
        vec![cause],
    ))
}

/// Looks at every field; returns warnings, or refuses by the request's field validation.
pub(crate) fn check(
    call: &Call,
    type_ref: TypeRef<'_>,
    kind: &str,
    version: &str,
    decoded: &Decoded,
) -> Answer<Vec<String>> {
    let validation = call.field_validation()?;
    let custom = call
        .entry
        .custom()
        .filter(|_| call.entry.resource.kind == kind);
    let (report, unknown) = match custom {
        None => (check_fields(type_ref, &decoded.value), vec![]),
        Some(custom) => {
            let metadata = decoded.value.get("metadata").cloned();
            let metadata = metadata.filter(|metadata| !metadata.is_null());
            let head = metadata.map_or_else(|| json!({}), |metadata| json!({"metadata": metadata}));
            let unknown = custom.version.prune(&mut decoded.value.clone());
            (check_fields(type_ref, &head), unknown)
        }
    };
    let refuse = |why: &str| {
        Failure::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
        ))
    };
    if let Some(mismatch) = &report.mismatch {
        let words = mismatch.to_string();
        return Err(refuse(&match custom {
            Some(_) => words.replacen("ObjectMeta.metadata.", "ObjectMeta.", 1),
            None => words,
        }));
    }
    let unknown = unknown.iter().map(|path| format!("unknown field {path:?}"));
    let unknown = report.unknown_messages().chain(unknown);
    let problems: Vec<String> = unknown.chain(decoded.duplicates.iter().cloned()).collect();
    match validation {
        _ if problems.is_empty() => Ok(vec![]),
        FieldValidation::Strict => Err(refuse(&format!(
            "strict decoding error: {}",
            problems.join(", ")
        ))),
        FieldValidation::Warn => Ok(problems),
        FieldValidation::Ignore => Ok(vec![]),
    }
}

/// Reads an object of the call's own kind; the second part are warnings.
pub(crate) fn read_object(call: &Call) -> Answer<(Value, Vec<String>)> {
    let mut decoded = decode(&call.content_type, &call.body)?;
    let resource = &call.entry.resource;
    if call.entry.custom().is_some() {
        check_custom_kind(call, &decoded.value)?;
    }
    check_kind(&mut decoded.value, &call.entry.api_version, &resource.kind)?;
    let warnings = check(
        call,
        call.entry.type_ref(),
        &resource.kind,
        &resource.version,
        &decoded,
    )?;
    Ok((decoded.value, warnings))
}

/// Reads the body of a subresource; `expected` are its version and kind.
pub(crate) fn read_other(call: &Call, api_version: &str, kind: &str) -> Answer<Value> {
    let mut decoded = decode(&call.content_type, &call.body)?;
    check_kind(&mut decoded.value, api_version, kind)?;
    Ok(decoded.value)
}
