//! How the real server's language prints and names values, where its words quote them.

use serde_json::Value;

/// A value as `%+v` prints it.
pub(crate) fn print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(print).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(fields) => {
            let mut fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}:{}", print(value)))
                .collect();
            fields.sort();
            format!("map[{}]", fields.join(" "))
        }
    }
}

/// What the JSON decoder calls a value.
pub(crate) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The words of the converter for what the decoder would have said.
pub(crate) fn conversion(decoder: &str) -> Option<String> {
    let rest = decoder.strip_prefix("json: cannot unmarshal ")?;
    let (given, rest) = rest.split_once(" into Go ")?;
    let (_, wanted) = rest.rsplit_once(" of type ")?;
    let kind = match given.split(' ').next()? {
        "object" => "map",
        "array" => "slice",
        "number" => "int64",
        other => other,
    };
    let scalar = ["string", "int", "uint", "bool", "float"];
    Some(if wanted.starts_with("[]") {
        format!("cannot restore slice from {kind}")
    } else if wanted.starts_with("map[") {
        format!("cannot restore map from {kind}")
    } else if scalar.iter().any(|name| wanted.starts_with(name)) {
        let kind = match kind {
            "map" => "map[string]interface {}",
            "slice" => "[]interface {}",
            kind => kind,
        };
        format!("cannot convert {kind} to {wanted}")
    } else {
        format!("cannot restore struct from: {kind}")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_printed_and_misfits_named_as_go_does() {
        assert_eq!(
            print(&json!({"data": {"color": 1, "a": ["x", null]}})),
            "map[data:map[a:[x <nil>] color:1]]"
        );
        let decoder =
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string";
        assert_eq!(
            conversion(decoder).unwrap(),
            "cannot convert int64 to string"
        );
        let decoder = "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container";
        assert_eq!(
            conversion(decoder).unwrap(),
            "cannot restore slice from string"
        );
    }
}
