//! Paths into an object, as field ownership names them: by field, by the keys
//! of an associative list's element, by a set's value, or by position.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

/// A scalar that identifies a list element.
#[derive(Debug, Clone)]
pub struct Atom(Value);

impl Atom {
    /// Wraps a scalar; lists and objects identify nothing.
    pub fn new(value: &Value) -> Option<Self> {
        match value {
            Value::Array(_) | Value::Object(_) => None,
            scalar => Some(Self(scalar.clone())),
        }
    }

    pub fn value(&self) -> &Value {
        &self.0
    }

    fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            _ => 3,
        }
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
                (Some(left), Some(right)) => left.cmp(&right),
                _ => left
                    .as_f64()
                    .unwrap_or_default()
                    .total_cmp(&right.as_f64().unwrap_or_default()),
            },
            (Value::String(left), Value::String(right)) => left.cmp(right),
            (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Atom {}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathElement {
    Field(String),
    /// Key fields and their values, sorted by name.
    Key(Vec<(String, Atom)>),
    Value(Atom),
    Index(i64),
}

impl PathElement {
    /// Reads the spelling of `fieldsV1`: `f:name`, `k:{…}`, `v:…`, `i:n`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            "v" => Atom::new(&serde_json::from_str(rest).ok()?).map(Self::Value),
            "k" => {
                let fields: Map<String, Value> = serde_json::from_str(rest).ok()?;
                let mut keys = fields
                    .into_iter()
                    .map(|(name, value)| Some((name, Atom::new(&value)?)))
                    .collect::<Option<Vec<_>>>()?;
                keys.sort();
                Some(Self::Key(keys))
            }
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }

    /// The spelling of `fieldsV1`.
    pub(crate) fn spell(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let fields: Map<String, Value> = keys
                    .iter()
                    .map(|(name, atom)| (name.clone(), atom.0.clone()))
                    .collect();
                format!("k:{}", Value::Object(fields))
            }
            Self::Value(atom) => format!("v:{}", atom.0),
            Self::Index(index) => format!("i:{index}"),
        }
    }
}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                let keys: Vec<String> = keys
                    .iter()
                    .map(|(name, atom)| format!("{name}={}", atom.0))
                    .collect();
                write!(f, "[{}]", keys.join(","))
            }
            Self::Value(atom) => write!(f, "[={}]", atom.0),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A path from the object's root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Path(pub Vec<PathElement>);

impl Path {
    /// A path of fields only.
    pub fn fields(names: &[&str]) -> Self {
        Self(
            names
                .iter()
                .map(|name| PathElement::Field((*name).to_owned()))
                .collect(),
        )
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| element.fmt(f))
    }
}
