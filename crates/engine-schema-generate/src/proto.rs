//! The table of protobuf messages: field numbers of everything a client may
//! send, spelled so that the decoder can write the JSON form directly.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::go::{Declaration, GoField, GoType, Packages, Resolved};
use crate::types::{Types, special};

/// Renders the messages, one line each.
pub(crate) fn collect(go: &Packages, types: &Types) -> Result<String> {
    let mut messages = Messages {
        go,
        found: BTreeMap::new(),
    };
    let roots: BTreeSet<&String> = types.kinds.values().collect();
    for root in roots {
        messages.add(root)?;
    }
    let mut text = String::from("{\n");
    let lines: Vec<String> = messages
        .found
        .iter()
        .map(|(name, body)| Ok(format!("\"{name}\":{}", serde_json::to_string(body)?)))
        .collect::<Result<_>>()?;
    text.push_str(&lines.join(",\n"));
    writeln!(text, "\n}}")?;
    Ok(text)
}

struct Messages<'a> {
    go: &'a Packages,
    found: BTreeMap<String, Value>,
}

impl Messages<'_> {
    fn add(&mut self, name: &str) -> Result<()> {
        if self.found.contains_key(name) || special(name).is_some() {
            return Ok(());
        }
        self.found.insert(name.to_owned(), Value::Null);
        let Some(Declaration::Struct(fields)) = self.go.get(name).cloned() else {
            bail!("`{name}` is not a Go struct")
        };
        let mut body = Map::new();
        for field in &fields {
            let Some((wire, number)) = &field.proto else {
                continue;
            };
            let kind = self
                .kind(field, wire)
                .with_context(|| format!("field {number} of `{name}`"))?;
            body.insert(
                number.to_string(),
                json!([field.json.clone().unwrap_or_default(), kind]),
            );
        }
        self.found.insert(name.to_owned(), Value::Object(body));
        Ok(())
    }

    fn kind(&mut self, field: &GoField, wire: &str) -> Result<String> {
        let mut go_type = &field.go_type;
        while let GoType::Pointer(inner) = go_type {
            go_type = inner;
        }
        let go_type = go_type.clone();
        match self.go.resolve(&go_type) {
            Resolved::Plain(GoType::Map(_, value)) => {
                let value = (**value).clone();
                Ok(format!("{{{}}}", self.single(&value, "bytes")?))
            }
            Resolved::Plain(GoType::List(element))
                if **element != GoType::Builtin("byte".to_owned()) =>
            {
                let element = (**element).clone();
                Ok(format!("[{}]", self.single(&element, wire)?))
            }
            _ => self.single(&go_type, wire),
        }
    }

    /// The spelling of one value: a scalar, a message, or a wrapped list.
    fn single(&mut self, go_type: &GoType, wire: &str) -> Result<String> {
        match self.go.resolve(go_type) {
            Resolved::Struct(name) => {
                let name = name.to_owned();
                if name.ends_with(".Duration") {
                    return Ok("duration".to_owned());
                }
                if let Some(word) = special(&name) {
                    return Ok(word.to_owned());
                }
                self.add(&name)?;
                Ok(format!("#{name}"))
            }
            Resolved::Plain(GoType::Builtin(word)) => Ok(match (word.as_str(), wire) {
                ("string", _) => "string",
                ("bool", _) => "bool",
                ("float64", _) => "double",
                (_, "varint") => "int",
                (word, _) if word.starts_with("int") || word.starts_with("uint") => "int",
                (word, wire) => bail!("no spelling for `{word}` as {wire}"),
            }
            .to_owned()),
            Resolved::Plain(GoType::List(element))
                if **element == GoType::Builtin("byte".to_owned()) =>
            {
                Ok("bytes".to_owned())
            }
            // A list that has a name of its own is a message whose field 1 repeats.
            Resolved::Plain(GoType::List(element)) => {
                let element = (**element).clone();
                Ok(format!("<{}>", self.single(&element, wire)?))
            }
            Resolved::Plain(GoType::Pointer(inner)) => {
                let inner = (**inner).clone();
                self.single(&inner, wire)
            }
            Resolved::Plain(other) => bail!("no spelling for {other:?}"),
            Resolved::Unknown(name) => bail!("`{name}` is not declared in the packages read"),
        }
    }
}
