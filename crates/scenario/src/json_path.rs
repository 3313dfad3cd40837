//! Paths into JSON: `$.a.b`, `$['a b']`, `$[0]`, `$[-1]`, `$.items[*].id`.
//!
//! Filters, slices and recursive descent are refused by name: a check that
//! needs them says more clearly what it means with two steps.

use std::fmt;

use serde_json::Value;

/// A path that was checked when the scenario was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Name(String),
    Index(i64),
    Every,
}

/// Where in the text a path is wrong, counted in characters from zero, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathFault {
    pub(crate) at: usize,
    pub(crate) message: &'static str,
}

impl fmt::Display for JsonPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl JsonPath {
    pub(crate) fn parse(text: &str) -> Result<Self, PathFault> {
        let letters: Vec<char> = text.chars().collect();
        let fault = |at, message| Err(PathFault { at, message });
        if letters.first() != Some(&'$') {
            return fault(0, "a JSON path starts with `$`");
        }
        let mut parts = Vec::new();
        let mut at = 1;
        while at < letters.len() {
            match (letters[at], letters.get(at + 1)) {
                ('.', Some('.')) => {
                    return fault(at, "`..` is not supported; name the way to the value");
                }
                ('.', Some('*')) => {
                    parts.push(Part::Every);
                    at += 2;
                }
                ('.', _) => {
                    let start = at + 1;
                    let length = letters[start..]
                        .iter()
                        .take_while(|letter| letter.is_alphanumeric() || "_-@".contains(**letter))
                        .count();
                    if length == 0 {
                        return fault(at, "a name must follow the dot");
                    }
                    parts.push(Part::Name(letters[start..start + length].iter().collect()));
                    at = start + length;
                }
                ('[', _) => {
                    let (part, end) = bracket(&letters, at)?;
                    parts.push(part);
                    at = end;
                }
                _ => return fault(at, "`.name`, `[0]`, `['name']` or `[*]` must follow"),
            }
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Returns every value the path leads to.
    pub fn all<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let mut here = vec![value];
        for part in &self.parts {
            here = here.into_iter().flat_map(|value| part.of(value)).collect();
        }
        here
    }

    /// Returns the first value the path leads to.
    pub fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.all(value).into_iter().next()
    }
}

fn bracket(letters: &[char], at: usize) -> Result<(Part, usize), PathFault> {
    let fault = |message| Err(PathFault { at, message });
    let inside = at + 1;
    if let Some(quote @ ('\'' | '"')) = letters.get(inside) {
        let start = inside + 1;
        let Some(length) = letters[start..].iter().position(|letter| letter == quote) else {
            return fault("this name does not end");
        };
        if letters.get(start + length + 1) != Some(&']') {
            return fault("`]` must follow the name");
        }
        let name = letters[start..start + length].iter().collect();
        return Ok((Part::Name(name), start + length + 2));
    }
    let Some(length) = letters[inside..].iter().position(|letter| *letter == ']') else {
        return fault("this bracket does not end");
    };
    let text: String = letters[inside..inside + length].iter().collect();
    let end = inside + length + 1;
    if text == "*" {
        return Ok((Part::Every, end));
    }
    if let Ok(index) = text.parse() {
        return Ok((Part::Index(index), end));
    }
    if text.starts_with('?') {
        return fault("filters are not supported; take an index or `[*]`");
    }
    if text.contains(':') {
        return fault("slices are not supported; take an index or `[*]`");
    }
    fault("a number, `*` or a name in quotes stands in brackets")
}

impl Part {
    fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Self::Name(name), Value::Object(fields)) => fields.get(name).into_iter().collect(),
            (Self::Index(index), Value::Array(items)) => {
                let place = if *index < 0 {
                    items
                        .len()
                        .checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX))
                } else {
                    usize::try_from(*index).ok()
                };
                place
                    .and_then(|place| items.get(place))
                    .into_iter()
                    .collect()
            }
            (Self::Every, Value::Array(items)) => items.iter().collect(),
            (Self::Every, Value::Object(fields)) => fields.values().collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &[Value]) {
        let value = json!({"a": {"b c": [1, 2, {"d": true}]}, "n": null});
        let path = JsonPath::parse(path).unwrap();
        let found: Vec<Value> = path.all(&value).into_iter().cloned().collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn paths_lead_where_they_say() {
        check("$.n", &[Value::Null]);
        check("$.a['b c'][0]", &[json!(1)]);
        check("$.a['b c'][-1].d", &[json!(true)]);
        check("$.a.*[*].d", &[json!(true)]);
        check("$.a['b c'][9]", &[]);
        check("$.x.y", &[]);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name_and_place() {
        for (path, at, word) in [
            ("a", 0, "`$`"),
            ("$..a", 1, "`..`"),
            ("$.a[?(@.b)]", 3, "filters"),
            ("$.a[0:2]", 3, "slices"),
            ("$.a[", 3, "does not end"),
            ("$.a['b", 3, "does not end"),
            ("$.", 1, "name"),
            ("$a", 1, "must follow"),
        ] {
            let fault = JsonPath::parse(path).unwrap_err();
            assert_eq!(fault.at, at, "{path}");
            assert!(fault.message.contains(word), "{path}: {}", fault.message);
        }
    }
}
