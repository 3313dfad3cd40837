//! Whether a configuration can be applied at all: declared fields only, and
//! list items that can be told apart.

use std::collections::BTreeSet;
use std::fmt;

use foreshore_engine_schema::{ListKind, TypeRef};
use serde_json::Value;

use crate::path::{Path, PathElement};
use crate::view::{Node, TypeView, entries, identify, items};

/// One reason why a configuration does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undeclared {
    /// For example `.spec.foo`.
    pub path: String,
    /// For example `field not declared in schema`.
    pub message: String,
}

impl fmt::Display for Undeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Lists what is wrong with `config`.
pub(crate) fn problems(type_ref: TypeRef<'_>, config: &Value) -> Vec<Undeclared> {
    let mut found = Vec::new();
    walk(
        TypeView::Typed(type_ref),
        config,
        &mut Vec::new(),
        &mut found,
    );
    found
}

fn walk(
    view: TypeView<'_>,
    value: &Value,
    path: &mut Vec<PathElement>,
    found: &mut Vec<Undeclared>,
) {
    let mut problem = |path: &[PathElement], message: String| {
        found.push(Undeclared {
            path: Path(path.to_vec()).to_string(),
            message,
        });
    };
    if value.is_null() {
        return;
    }
    match view.node(Some(value)) {
        Node::Leaf if view.misfit(value).is_some() => {
            let expected = view.misfit(value).unwrap_or_default();
            problem(path, format!("expected {expected}, got {}", kind_of(value)));
        }
        Node::Leaf => {}
        Node::Map { .. } if !value.is_object() => {
            problem(path, format!("expected map, got {value}"));
        }
        Node::List(_) if !value.is_array() => {
            problem(path, format!("expected list, got {value}"));
        }
        Node::Map { .. } => {
            for (key, entry) in entries(Some(value)).into_iter().flatten() {
                path.push(PathElement::Field(key.clone()));
                match view.child(key) {
                    TypeView::Unknown => found.push(Undeclared {
                        path: Path(path.clone()).to_string(),
                        message: "field not declared in schema".to_owned(),
                    }),
                    inner => walk(inner, entry, path, found),
                }
                path.pop();
            }
        }
        Node::List(kind) => {
            let mut seen = BTreeSet::new();
            for (index, item) in items(Some(value)).into_iter().flatten().enumerate() {
                let element = match identify(kind, item) {
                    None if *kind == ListKind::Atomic => {
                        PathElement::Index(i64::try_from(index).unwrap_or(i64::MAX))
                    }
                    None => {
                        problem_at(found, path, index, kind);
                        continue;
                    }
                    Some(element) => element,
                };
                if *kind != ListKind::Atomic && !seen.insert(element.clone()) {
                    let message = format!("duplicate entries for key {element}");
                    found.push(Undeclared {
                        path: Path(path.clone()).to_string(),
                        message,
                    });
                    continue;
                }
                path.push(element);
                walk(view.element(), item, path, found);
                path.pop();
            }
        }
    }
}

fn problem_at(found: &mut Vec<Undeclared>, path: &[PathElement], index: usize, kind: &ListKind) {
    let message = match kind {
        ListKind::Map(keys) => {
            let keys: Vec<String> = keys.iter().map(|key| format!("{:?}", key.name)).collect();
            format!(
                "element {index}: associative list with keys has an element that omits key field {} (and doesn't have default value)",
                keys.join(" ")
            )
        }
        _ => format!(
            "element {index}: associative list without keys has an element that is no scalar"
        ),
    };
    found.push(Undeclared {
        path: Path(path.to_vec()).to_string(),
        message,
    });
}

/// A value's type, as messages name it.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}
