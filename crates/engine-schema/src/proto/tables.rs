//! The generated field numbers. A field's spelling is `string`, `int` … for
//! scalars, `#name` for a message, `<T>` for a list that is a message of its own,
//! `[T]` for a repeated field and `{T}` for a map.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use super::wire::WireValue;

const TABLES: &str = include_str!("../../data/proto.json");

/// One message.
#[derive(Debug)]
pub(super) struct Message {
    /// JSON name (empty for an inlined message) and kind, by number.
    pub(super) fields: HashMap<u32, (String, Kind)>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Single(Single),
    List(Single),
    Map(Single),
}

/// One value on the wire.
#[derive(Debug)]
pub(super) enum Single {
    Text,
    Bool,
    Int,
    Double,
    Bytes,
    Message(String),
    Wrapped(Box<Self>),
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    Duration,
    /// JSON text inside a message.
    Raw,
}

impl Single {
    /// What stands for a value that is not on the wire.
    pub(super) fn empty(&self) -> WireValue<'static> {
        match self {
            Self::Bool | Self::Int => WireValue::Varint(0),
            Self::Double => WireValue::Fixed64(0),
            _ => WireValue::Bytes(&[]),
        }
    }
}

static MESSAGES: LazyLock<HashMap<String, Message>> =
    LazyLock::new(|| load().expect("the table was generated and is tested"));

/// All messages by the full name of their type.
pub(super) fn messages() -> &'static HashMap<String, Message> {
    &MESSAGES
}

fn load() -> Option<HashMap<String, Message>> {
    let raw: BTreeMap<String, BTreeMap<u32, (String, String)>> =
        serde_json::from_str(TABLES).ok()?;
    raw.into_iter()
        .map(|(name, fields)| {
            let fields = fields
                .into_iter()
                .map(|(number, (json, spelling))| Some((number, (json, kind(&spelling)?))))
                .collect::<Option<_>>()?;
            Some((name, Message { fields }))
        })
        .collect()
}

fn kind(spelling: &str) -> Option<Kind> {
    let inner = |open: char, close: char| {
        spelling
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
    };
    if let Some(inner) = inner('[', ']') {
        return single(inner).map(Kind::List);
    }
    if let Some(inner) = inner('{', '}') {
        return single(inner).map(Kind::Map);
    }
    single(spelling).map(Kind::Single)
}

fn single(spelling: &str) -> Option<Single> {
    if let Some(name) = spelling.strip_prefix('#') {
        return Some(Single::Message(name.to_owned()));
    }
    if let Some(inner) = spelling
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
    {
        return single(inner).map(|inner| Single::Wrapped(Box::new(inner)));
    }
    Some(match spelling {
        "string" => Single::Text,
        "bool" => Single::Bool,
        "int" => Single::Int,
        "double" => Single::Double,
        "bytes" => Single::Bytes,
        "quantity" => Single::Quantity,
        "int-or-string" => Single::IntOrString,
        "time" => Single::Time,
        "microtime" => Single::MicroTime,
        "duration" => Single::Duration,
        "any" => Single::Raw,
        _ => return None,
    })
}
