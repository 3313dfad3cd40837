//! What templates compute with: Go's values as they come out of YAML.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;

/// A value. Maps are shared, because `set` changes them in place.
#[derive(Debug, Clone)]
pub enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<Vec<Self>>),
    Map(Rc<Table>),
}

/// A map, and what a missing key means.
#[derive(Debug)]
pub struct Table {
    pub(crate) entries: RefCell<BTreeMap<String, Value>>,
    pub(crate) kind: TableKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableKind {
    /// A missing key is nil.
    Any,
    /// A map from text to text: `get` of a missing key is an empty text.
    Texts,
    /// Fields of a Go struct: a missing one is a mistake.
    Struct,
}

impl Value {
    pub fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub fn list(values: Vec<Self>) -> Self {
        Self::List(Rc::new(values))
    }

    pub fn map(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        Self::table(entries, TableKind::Any)
    }

    /// A map from text to text.
    pub fn texts(entries: impl IntoIterator<Item = (String, String)>) -> Self {
        let entries = entries
            .into_iter()
            .map(|(key, text)| (key, Self::text(text)));
        Self::table(entries, TableKind::Texts)
    }

    /// Fields by name, of which no other is there.
    pub fn fields(entries: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        let entries = entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        Self::table(entries, TableKind::Struct)
    }

    fn table(entries: impl IntoIterator<Item = (String, Self)>, kind: TableKind) -> Self {
        Self::Map(Rc::new(Table {
            entries: RefCell::new(entries.into_iter().collect()),
            kind,
        }))
    }

    /// Whether `if` takes it for true.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(table) => {
                table.kind == TableKind::Struct || !table.entries.borrow().is_empty()
            }
        }
    }

    /// Go's word for the kind of value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
        }
    }

    /// Go's name of the type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::List(_) => "[]interface {}",
            Self::Map(table) if table.kind == TableKind::Texts => "map[string]string",
            Self::Map(_) => "map[string]interface {}",
            other => other.kind(),
        }
    }

    /// Whether two values are the same all the way down.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            #[expect(clippy::float_cmp, reason = "Go compares floats exactly")]
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                Rc::ptr_eq(a, b) || {
                    let (a, b) = (a.entries.borrow(), b.entries.borrow());
                    a.len() == b.len()
                        && a.iter()
                            .all(|(key, value)| b.get(key).is_some_and(|other| value.equals(other)))
                }
            }
            _ => false,
        }
    }

    /// A copy that shares no map with this one.
    pub(crate) fn deep_copy(&self) -> Self {
        match self {
            Self::List(list) => Self::list(list.iter().map(Self::deep_copy).collect()),
            Self::Map(table) => Self::map(
                table
                    .entries
                    .borrow()
                    .iter()
                    .map(|(key, value)| (key.clone(), value.deep_copy()))
                    .collect::<Vec<_>>(),
            ),
            other => other.clone(),
        }
    }

    /// The same as JSON, without what only templates know.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Nil => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::Float(value) => Json::from(*value),
            Self::Text(text) => Json::from(text.as_ref()),
            Self::List(list) => list.iter().map(Self::to_json).collect(),
            Self::Map(table) => Json::Object(
                table
                    .entries
                    .borrow()
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => number
                .as_i64()
                .map_or_else(|| Self::Float(number.as_f64().unwrap_or(0.0)), Self::Int),
            Json::String(text) => Self::text(text.as_str()),
            Json::Array(list) => Self::list(list.iter().map(Self::from).collect()),
            Json::Object(map) => Self::map(
                map.iter()
                    .map(|(key, value)| (key.clone(), Self::from(value))),
            ),
        }
    }
}
