//! JSON text to value, noticing what a plain map loses: keys that are given
//! twice. Size and depth are limited.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How much a body may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub bytes_max: usize,
    /// Nested objects and lists; never more than 120.
    pub depth_max: usize,
}

/// The parser's own recursion guard stands at 128.
const DEPTH_LIMIT: usize = 120;

impl Default for Limits {
    /// The real server's request limit, and a depth no known object reaches.
    fn default() -> Self {
        Self {
            bytes_max: 3 * 1024 * 1024,
            depth_max: DEPTH_LIMIT,
        }
    }
}

/// A key that an object names more than once; the last value counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateKey {
    /// Path as messages write it, for example `spec.containers[0].name`.
    pub path: String,
}

impl fmt::Display for DuplicateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "duplicate field {:?}", self.path)
    }
}

/// Why a text is not an acceptable JSON value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("body of {bytes} bytes is larger than the limit of {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("value is nested deeper than {depth_max} levels")]
    TooDeep { depth_max: usize },
    #[error("unexpected end of JSON input")]
    Truncated,
    #[error("invalid JSON: {message}")]
    Syntax { message: String },
}

/// Parses with the default limits.
pub fn parse_json(text: &[u8]) -> Result<(Value, Vec<DuplicateKey>), ParseError> {
    parse_json_with(text, Limits::default())
}

/// Parses one JSON value; every duplicate key is listed, in document order.
pub fn parse_json_with(
    text: &[u8],
    limits: Limits,
) -> Result<(Value, Vec<DuplicateKey>), ParseError> {
    if text.len() > limits.bytes_max {
        return Err(ParseError::TooLarge {
            bytes: text.len(),
            bytes_max: limits.bytes_max,
        });
    }
    let depth_max = limits.depth_max.min(DEPTH_LIMIT);
    let mut state = State {
        path: String::new(),
        depth: 0,
        depth_max,
        too_deep: false,
        duplicates: Vec::new(),
    };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let parsed = Seed(&mut state)
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match parsed {
        Ok(value) => Ok((value, state.duplicates)),
        Err(_) if state.too_deep => Err(ParseError::TooDeep { depth_max }),
        Err(error) if error.is_eof() => Err(ParseError::Truncated),
        Err(error) => Err(ParseError::Syntax {
            message: error.to_string(),
        }),
    }
}

struct State {
    path: String,
    depth: usize,
    depth_max: usize,
    too_deep: bool,
    duplicates: Vec<DuplicateKey>,
}

impl State {
    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > self.depth_max {
            self.too_deep = true;
            return Err(E::custom("too deep"));
        }
        Ok(())
    }
}

struct Seed<'a>(&'a mut State);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let state = self.0;
        state.enter()?;
        let length = state.path.len();
        let mut items = Vec::new();
        loop {
            state.path.truncate(length);
            state.path.push('[');
            state.path.push_str(&items.len().to_string());
            state.path.push(']');
            match access.next_element_seed(Seed(state))? {
                Some(item) => items.push(item),
                None => break,
            }
        }
        state.path.truncate(length);
        state.depth -= 1;
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let state = self.0;
        state.enter()?;
        let length = state.path.len();
        let mut fields = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            state.path.truncate(length);
            if length > 0 {
                state.path.push('.');
            }
            state.path.push_str(&key);
            if fields.contains_key(&key) {
                let duplicate = DuplicateKey {
                    path: state.path.clone(),
                };
                if !state.duplicates.contains(&duplicate) {
                    state.duplicates.push(duplicate);
                }
                // A bound: a hostile body may repeat one key a million times under different paths.
                if state.duplicates.len() > 1000 {
                    return Err(A::Error::custom("too many duplicate fields"));
                }
            }
            let value = access.next_value_seed(Seed(state))?;
            fields.insert(key, value);
        }
        state.path.truncate(length);
        state.depth -= 1;
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn last_value_of_a_duplicate_key_counts_and_is_reported() {
        let (value, duplicates) = parse_json(
            br#"{"spec":{"replicas":1,"replicas":2,"containers":[{"name":"x","name":"y"}]}}"#,
        )
        .unwrap();
        assert_eq!(
            value,
            json!({"spec": {"replicas": 2, "containers": [{"name": "y"}]}})
        );
        let messages: Vec<String> = duplicates.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                r#"duplicate field "spec.replicas""#,
                r#"duplicate field "spec.containers[0].name""#
            ]
        );
    }

    #[test]
    fn deep_nesting_is_refused_without_overflowing() {
        let text = "[".repeat(100_000);
        assert_eq!(
            parse_json(text.as_bytes()),
            Err(ParseError::TooDeep {
                depth_max: DEPTH_LIMIT
            })
        );
    }

    #[test]
    fn large_bodies_are_refused_before_they_are_read() {
        let limits = Limits {
            bytes_max: 4,
            ..Limits::default()
        };
        assert!(matches!(
            parse_json_with(b"[1,2,3]", limits),
            Err(ParseError::TooLarge { .. })
        ));
    }

    #[test]
    fn truncated_text_is_told_apart_from_bad_text() {
        assert_eq!(parse_json(br#"{"a":"#), Err(ParseError::Truncated));
        assert!(matches!(parse_json(b"{a}"), Err(ParseError::Syntax { .. })));
        assert!(matches!(
            parse_json(b"{} {}"),
            Err(ParseError::Syntax { .. })
        ));
    }
}
