//! Protobuf request bodies to JSON values: the `k8s\0` envelope, then the
//! message of the kind it names, by the generated field numbers. Nothing is
//! encoded; answers are JSON.

mod tables;
mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use self::tables::{Kind, Message, Single, messages};
use self::wire::{Reader, WireError, WireValue};
use crate::schema::Schema;

const MAGIC: &[u8] = b"k8s\0";

/// Deeper messages than this are refused.
const DEPTH_MAX: usize = 100;

/// The real server's request limit.
const BYTES_MAX: usize = 3 * 1024 * 1024;

/// Why a body cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("provided data does not appear to be a protobuf message, expected prefix {MAGIC:?}")]
    NoEnvelope,
    #[error("body of {bytes} bytes is larger than the limit of {BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("message is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    #[error("message names no kind")]
    NoKind,
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind { api_version: String, kind: String },
    #[error("field {number} of `{message}` cannot be read")]
    Field {
        message: String,
        number: u32,
        #[source]
        cause: WireError,
    },
    #[error("envelope cannot be read")]
    Envelope(#[source] WireError),
    #[error("field `{field}` does not hold JSON")]
    Raw { field: String },
}

/// Decodes a body into the JSON form of the object, with `apiVersion` and
/// `kind` set. The caller conforms it, as it does with JSON.
pub fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    if body.len() > BYTES_MAX {
        return Err(DecodeError::TooLarge { bytes: body.len() });
    }
    let envelope = body.strip_prefix(MAGIC).ok_or(DecodeError::NoEnvelope)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Reader::new(envelope) {
        match field.map_err(DecodeError::Envelope)? {
            (1, WireValue::Bytes(type_meta)) => {
                for field in Reader::new(type_meta) {
                    match field.map_err(DecodeError::Envelope)? {
                        (1, value) => api_version = value.text().map_err(DecodeError::Envelope)?,
                        (2, value) => kind = value.text().map_err(DecodeError::Envelope)?,
                        _ => {}
                    }
                }
            }
            (2, WireValue::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    if kind.is_empty() {
        return Err(DecodeError::NoKind);
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let unknown = || DecodeError::UnknownKind {
        api_version: api_version.clone(),
        kind: kind.clone(),
    };
    let type_ref = Schema::builtin()
        .kind(group, version, &kind)
        .ok_or_else(unknown)?;
    let name = &type_ref.as_struct().ok_or_else(unknown)?.name;
    let mut fields = Map::new();
    message(name, raw, 0, &mut fields)?;
    fields.insert("apiVersion".to_owned(), json!(api_version));
    fields.insert("kind".to_owned(), json!(kind));
    Ok(Value::Object(fields))
}

/// Decodes one message into `fields`; an inlined message adds to its owner's.
fn message(
    name: &str,
    bytes: &[u8],
    depth: usize,
    fields: &mut Map<String, Value>,
) -> Result<(), DecodeError> {
    if depth > DEPTH_MAX {
        return Err(DecodeError::TooDeep);
    }
    let Some(table) = messages().get(name) else {
        return Ok(());
    };
    for field in Reader::new(bytes) {
        let (number, value) = field.map_err(|cause| failed(name, 0, cause))?;
        let Some((json_name, kind)) = table.field(number) else {
            continue;
        };
        let wrong = |cause: WireError| failed(name, number, cause);
        match kind {
            Kind::Single(Single::Message(inner)) if json_name.is_empty() => {
                message(inner, value.bytes().map_err(wrong)?, depth + 1, fields)?;
            }
            Kind::Single(kind) => {
                let value = Decoder {
                    owner: name,
                    number,
                    depth,
                }
                .single(kind, &value)?;
                fields.insert(json_name.to_owned(), value);
            }
            Kind::List(kind) => {
                let item = Decoder {
                    owner: name,
                    number,
                    depth,
                }
                .items(kind, &value)?;
                if let Value::Array(items) = fields.entry(json_name).or_insert_with(|| json!([])) {
                    items.extend(item);
                }
            }
            Kind::Map(kind) => {
                let (key, value) = Decoder {
                    owner: name,
                    number,
                    depth,
                }
                .entry(kind, value.bytes().map_err(wrong)?)?;
                if let Value::Object(entries) = fields.entry(json_name).or_insert_with(|| json!({}))
                {
                    entries.insert(key, value);
                }
            }
        }
    }
    Ok(())
}

fn failed(message: &str, number: u32, cause: WireError) -> DecodeError {
    DecodeError::Field {
        message: message.to_owned(),
        number,
        cause,
    }
}

/// Where a value is being decoded, for messages.
#[derive(Clone, Copy)]
struct Decoder<'a> {
    owner: &'a str,
    number: u32,
    depth: usize,
}

impl Decoder<'_> {
    fn wrong(self, cause: WireError) -> DecodeError {
        failed(self.owner, self.number, cause)
    }

    /// The elements one wire value adds to a list; packed numbers add several.
    fn items(self, kind: &Single, value: &WireValue<'_>) -> Result<Vec<Value>, DecodeError> {
        if let (Single::Int | Single::Bool, WireValue::Bytes(packed)) = (kind, value) {
            let numbers = wire::packed(packed).map_err(|cause| self.wrong(cause))?;
            return numbers
                .into_iter()
                .map(|number| self.single(kind, &WireValue::Varint(number)))
                .collect();
        }
        Ok(vec![self.single(kind, value)?])
    }

    fn entry(self, kind: &Single, bytes: &[u8]) -> Result<(String, Value), DecodeError> {
        let mut key = String::new();
        let mut value = None;
        for field in Reader::new(bytes) {
            match field.map_err(|cause| self.wrong(cause))? {
                (1, found) => key = found.text().map_err(|cause| self.wrong(cause))?,
                (2, found) => value = Some(self.single(kind, &found)?),
                _ => {}
            }
        }
        // An entry without a value has the empty one.
        let value = value.map_or_else(|| self.single(kind, &kind.empty()), Ok)?;
        Ok((key, value))
    }

    fn single(self, kind: &Single, value: &WireValue<'_>) -> Result<Value, DecodeError> {
        let wrong = |cause| self.wrong(cause);
        Ok(match kind {
            Single::Text => Value::String(value.text().map_err(wrong)?),
            Single::Bool => Value::Bool(value.number().map_err(wrong)? != 0),
            Single::Int => Value::from(value.number().map_err(wrong)?),
            Single::Double => serde_json::Number::from_f64(value.double().map_err(wrong)?)
                .map_or(Value::Null, Value::Number),
            Single::Bytes => Value::String(STANDARD.encode(value.bytes().map_err(wrong)?)),
            Single::Message(name) => {
                let mut fields = Map::new();
                message(
                    name,
                    value.bytes().map_err(wrong)?,
                    self.depth + 1,
                    &mut fields,
                )?;
                Value::Object(fields)
            }
            Single::Wrapped(inner) => {
                let mut items = Vec::new();
                for field in Reader::new(value.bytes().map_err(wrong)?) {
                    if let (1, item) = field.map_err(wrong)? {
                        items.push(self.single(inner, &item)?);
                    }
                }
                Value::Array(items)
            }
            Single::Quantity => Value::String(
                self.numbered(value, 1)?
                    .map_or_else(|| Ok("0".to_owned()), |found| found.text().map_err(wrong))?,
            ),
            Single::IntOrString => self.int_or_string(value)?,
            Single::Time => self.time(value, "%Y-%m-%dT%H:%M:%SZ")?,
            Single::MicroTime => self.time(value, "%Y-%m-%dT%H:%M:%S%.6fZ")?,
            Single::Duration => Value::String(format!(
                "{}ns",
                self.numbered(value, 1)?
                    .map_or(Ok(0), |found| found.number().map_err(wrong))?
            )),
            Single::Raw => match self.numbered(value, 1)? {
                None => Value::Null,
                Some(found) => {
                    let bytes = found.bytes().map_err(wrong)?;
                    serde_json::from_slice(bytes).map_err(|_| DecodeError::Raw {
                        field: format!("{}.{}", self.owner, self.number),
                    })?
                }
            },
        })
    }

    /// The last field `wanted` of a small message.
    fn numbered<'v>(
        self,
        value: &WireValue<'v>,
        wanted: u32,
    ) -> Result<Option<WireValue<'v>>, DecodeError> {
        let mut found = None;
        for field in Reader::new(value.bytes().map_err(|cause| self.wrong(cause))?) {
            let (number, value) = field.map_err(|cause| self.wrong(cause))?;
            if number == wanted {
                found = Some(value);
            }
        }
        Ok(found)
    }

    /// Field 1 tells which of 2 (number) and 3 (text) counts.
    fn int_or_string(self, value: &WireValue<'_>) -> Result<Value, DecodeError> {
        let wrong = |cause| self.wrong(cause);
        let is_text = self
            .numbered(value, 1)?
            .map_or(Ok(0), |found| found.number().map_err(wrong))?
            == 1;
        Ok(if is_text {
            Value::String(
                self.numbered(value, 3)?
                    .map_or_else(|| Ok(String::new()), |found| found.text().map_err(wrong))?,
            )
        } else {
            Value::from(
                self.numbered(value, 2)?
                    .map_or(Ok(0), |found| found.number().map_err(wrong))?,
            )
        })
    }

    fn time(self, value: &WireValue<'_>, pattern: &str) -> Result<Value, DecodeError> {
        let wrong = |cause| self.wrong(cause);
        let number = |wanted| -> Result<i64, DecodeError> {
            self.numbered(value, wanted)?
                .map_or(Ok(0), |found| found.number().map_err(wrong))
        };
        let (seconds, nanos) = (number(1)?, number(2)?);
        if seconds == 0 && nanos == 0 {
            return Ok(Value::Null);
        }
        let nanos = i32::try_from(nanos).map_err(|_| self.wrong(WireError::Number))?;
        let time = Timestamp::new(seconds, nanos).map_err(|_| self.wrong(WireError::Number))?;
        Ok(Value::String(
            time.to_zoned(TimeZone::UTC).strftime(pattern).to_string(),
        ))
    }
}

impl Message {
    fn field(&self, number: u32) -> Option<(&str, &Kind)> {
        self.fields
            .get(&number)
            .map(|(name, kind)| (name.as_str(), kind))
    }
}

#[cfg(test)]
mod tests;
