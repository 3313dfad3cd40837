//! How server-side apply sees a value: as one leaf, a map, or a list. Where the
//! schema says nothing (`any`), maps are granular and lists are atomic.

use foreshore_engine_schema::{ListKey, ListKind, Scalar, Shape, TypeRef};
use serde_json::{Map, Value};

use crate::path::{Atom, PathElement};

/// A type, or what stands for it where the schema ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TypeView<'a> {
    Typed(TypeRef<'a>),
    /// Any JSON.
    Deduced,
    /// Nothing may be here.
    Unknown,
}

/// How one value is to be walked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Node<'a> {
    Leaf,
    Map { atomic: bool },
    List(&'a ListKind),
}

impl<'a> TypeView<'a> {
    /// Decides by the type, or by the value where the type is any.
    pub(crate) fn node(self, value: Option<&Value>) -> Node<'a> {
        let Self::Typed(type_ref) = self else {
            return deduce(value);
        };
        match type_ref.shape() {
            Shape::Scalar(Scalar::Any) => deduce(value),
            Shape::Scalar(_) => Node::Leaf,
            Shape::Struct { atomic, .. } | Shape::Map { atomic, .. } => Node::Map { atomic },
            Shape::List { kind, .. } => Node::List(kind),
        }
    }

    /// What a leaf of this type expects, if `value` is something else.
    pub(crate) fn misfit(self, value: &Value) -> Option<&'static str> {
        let Self::Typed(type_ref) = self else {
            return None;
        };
        let Shape::Scalar(scalar) = type_ref.shape() else {
            return None;
        };
        let (expected, fits) = match scalar {
            Scalar::String | Scalar::Bytes | Scalar::Time | Scalar::MicroTime => {
                ("string", value.is_string())
            }
            Scalar::Bool => ("boolean", value.is_boolean()),
            Scalar::Int32 | Scalar::Int64 | Scalar::Number => {
                ("numeric (int or float)", value.is_number())
            }
            Scalar::IntOrString | Scalar::Quantity => {
                ("scalar", value.is_string() || value.is_number())
            }
            Scalar::Any => return None,
        };
        (!fits).then_some(expected)
    }

    /// Whether `name` is a declared field (not merely a key of a map).
    pub(crate) fn declares(self, name: &str) -> bool {
        matches!(self, Self::Typed(type_ref) if type_ref.field(name).is_some())
    }

    /// The type under `name`.
    pub(crate) fn child(self, name: &str) -> Self {
        match self {
            Self::Typed(type_ref) => match type_ref.shape() {
                Shape::Scalar(Scalar::Any) => Self::Deduced,
                _ => type_ref.child(name).map_or(Self::Unknown, Self::Typed),
            },
            other => other,
        }
    }

    /// The type of a list's elements.
    pub(crate) fn element(self) -> Self {
        match self {
            Self::Typed(type_ref) => type_ref.element().map_or(Self::Unknown, Self::Typed),
            other => other,
        }
    }
}

fn deduce<'a>(value: Option<&Value>) -> Node<'a> {
    match value {
        Some(Value::Object(_)) => Node::Map { atomic: false },
        Some(Value::Array(_)) => Node::List(&ListKind::Atomic),
        _ => Node::Leaf,
    }
}

/// The entries of a map; null and absent have none.
pub(crate) fn entries(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// The items of a list; null and absent have none.
pub(crate) fn items(value: Option<&Value>) -> Option<&Vec<Value>> {
    value.and_then(Value::as_array)
}

/// The path element by which a list of this kind knows `item`; `None` if the
/// item cannot be identified.
pub(crate) fn identify(kind: &ListKind, item: &Value) -> Option<PathElement> {
    match kind {
        ListKind::Atomic => None,
        ListKind::Set => Atom::new(item)
            .filter(|atom| !atom.value().is_null())
            .map(PathElement::Value),
        ListKind::Map(keys) => {
            let fields = item.as_object()?;
            let mut found: Vec<(String, Atom)> =
                keys.iter().filter_map(|key| key_of(fields, key)).collect();
            found.sort();
            (!found.is_empty()).then_some(PathElement::Key(found))
        }
    }
}

fn key_of(fields: &Map<String, Value>, key: &ListKey) -> Option<(String, Atom)> {
    let value = fields.get(&key.name).or(key.default.as_ref())?;
    Some((key.name.clone(), Atom::new(value)?))
}

/// Equality as the real server sees it: `1` equals `1.0`.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}
