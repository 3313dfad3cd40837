//! Label and field selectors: their texts, and whether an object matches.

use crate::status::Failure;

/// Longest selector text that is looked at.
const TEXT_MAX: usize = 8 << 10;

/// One requirement on labels.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Missing(String),
    In(String, Vec<String>),
    /// True also where the label is missing.
    NotIn(String, Vec<String>),
    Greater(String, i64),
    Less(String, i64),
}

/// Requirements on labels, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

impl LabelSelector {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the text form, such as `app=web,tier in (a, b),!legacy`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let refuse =
            |why: &str| Failure::bad_request(format!("unable to parse requirement: {why}"));
        if text.len() > TEXT_MAX {
            return Err(Failure::bad_request("the label selector is too long"));
        }
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    break;
                }
                return Err(refuse("empty requirement"));
            }
            requirements.push(requirement(part).map_err(|why| refuse(&why))?);
        }
        Ok(Self(requirements))
    }

    /// Whether the labels, asked for by key, meet every requirement.
    pub(crate) fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Missing(key) => label(key).is_none(),
            Requirement::In(key, values) => {
                label(key).is_some_and(|found| values.iter().any(|value| value == found))
            }
            Requirement::NotIn(key, values) => {
                label(key).is_none_or(|found| values.iter().all(|value| value != found))
            }
            Requirement::Greater(key, limit) => number(label(key)).is_some_and(|n| n > *limit),
            Requirement::Less(key, limit) => number(label(key)).is_some_and(|n| n < *limit),
        })
    }
}

fn number(text: Option<&str>) -> Option<i64> {
    text?.parse().ok()
}

fn split_outside_parentheses(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        character == ',' && depth <= 0
    })
}

fn requirement(part: &str) -> Result<Requirement, String> {
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement::Missing(label_key(key.trim())?));
    }
    for (operator, negated) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = part.split_once(operator) {
            let key = label_key(key.trim())?;
            let values = vec![label_value(value.trim())?];
            return Ok(if negated {
                Requirement::NotIn(key, values)
            } else {
                Requirement::In(key, values)
            });
        }
    }
    for (operator, greater) in [('>', true), ('<', false)] {
        if let Some((key, value)) = part.split_once(operator) {
            let key = label_key(key.trim())?;
            let limit = value
                .trim()
                .parse()
                .map_err(|_| format!("{value:?} is no integer"))?;
            return Ok(if greater {
                Requirement::Greater(key, limit)
            } else {
                Requirement::Less(key, limit)
            });
        }
    }
    let Some((key, operation)) = part.split_once(char::is_whitespace) else {
        return Ok(Requirement::Exists(label_key(part)?));
    };
    let key = label_key(key)?;
    let operation = operation.trim();
    let (negated, set) = match (
        operation.strip_prefix("in"),
        operation.strip_prefix("notin"),
    ) {
        (_, Some(set)) => (true, set),
        (Some(set), _) => (false, set),
        _ => {
            return Err(format!(
                "found '{operation}', expected: in, notin, =, ==, !=, gt, lt"
            ));
        }
    };
    let first = set.split_whitespace().next().unwrap_or_default();
    let Some(inside) = set.trim().strip_prefix('(') else {
        return Err(format!("found '{first}' expected: '('"));
    };
    let Some(inside) = inside.strip_suffix(')') else {
        return Err("found '', expected: ',' or ')'".to_owned());
    };
    let values = inside
        .split(',')
        .map(|value| label_value(value.trim()))
        .collect::<Result<_, _>>()?;
    Ok(if negated {
        Requirement::NotIn(key, values)
    } else {
        Requirement::In(key, values)
    })
}

fn label_key(text: &str) -> Result<String, String> {
    match crate::names::qualified_name(text) {
        None => Ok(text.to_owned()),
        Some(why) => Err(format!("invalid label key {text:?}: {why}")),
    }
}

fn label_value(text: &str) -> Result<String, String> {
    match crate::names::label_value(text) {
        None => Ok(text.to_owned()),
        Some(why) => Err(format!("invalid label value {text:?}: {why}")),
    }
}

/// One comparison of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldTerm {
    pub(crate) field: String,
    pub(crate) value: String,
    pub(crate) equal: bool,
}

/// Comparisons of fields, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(pub(crate) Vec<FieldTerm>);

impl FieldSelector {
    /// Reads the text form, such as `spec.nodeName=n1,status.phase!=Failed`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if text.len() > TEXT_MAX {
            return Err(Failure::bad_request("the field selector is too long"));
        }
        let mut terms = Vec::new();
        for part in split_unescaped(text) {
            if part.is_empty() {
                continue;
            }
            terms.push(field_term(&part).ok_or_else(|| {
                Failure::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{part}'"
                ))
            })?);
        }
        Ok(Self(terms))
    }

    /// The value a field must have, if the selector fixes it.
    pub(crate) fn required(&self, field: &str) -> Option<&str> {
        let term = self
            .0
            .iter()
            .find(|term| term.equal && term.field == field)?;
        Some(&term.value)
    }

    /// Whether the fields, asked for by name, meet every term; a missing field is empty.
    pub(crate) fn matches<'a>(&self, field: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|term| {
            let found = field(&term.field).unwrap_or_default();
            (found == term.value) == term.equal
        })
    }
}

/// Splits at commas that no backslash precedes; escapes stay for the value.
fn split_unescaped(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        let last = parts.last_mut().expect("starts with one part");
        if character == ',' && !escaped {
            parts.push(String::new());
            continue;
        }
        last.push(character);
        escaped = character == '\\' && !escaped;
    }
    parts
}

fn field_term(part: &str) -> Option<FieldTerm> {
    let at = part.find('=')?;
    let (left, right) = (&part[..at], &part[at + 1..]);
    let (field, equal) = match left.strip_suffix('!') {
        Some(field) => (field, false),
        None => (left, true),
    };
    let value = if equal {
        right.strip_prefix('=').unwrap_or(right)
    } else {
        right
    };
    let value = unescape(value)?;
    let field = field.trim();
    (!field.is_empty()).then(|| FieldTerm {
        field: field.to_owned(),
        value,
        equal,
    })
}

fn unescape(value: &str) -> Option<String> {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next()? {
                next @ ('\\' | ',' | '=') => plain.push(next),
                _ => return None,
            },
            '=' => return None,
            other => plain.push(other),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let parsed = LabelSelector::parse(selector).expect(selector);
        let label = |key: &str| {
            labels
                .iter()
                .find(|(name, _)| *name == key)
                .map(|(_, v)| *v)
        };
        assert_eq!(parsed.matches(label), expected, "{selector} on {labels:?}");
    }

    #[test]
    fn label_requirements_follow_the_documented_rules() {
        let web = [("app", "web"), ("x.io/tier", "front"), ("size", "7")];
        check("", &web, true);
        check("app=web", &web, true);
        check("app==web,size", &web, true);
        check("app!=web", &web, false);
        check("other!=web", &web, true);
        check("x.io/tier in (back, front)", &web, true);
        check("x.io/tier notin (back,front)", &web, false);
        check("other notin (a)", &web, true);
        check("other in (a)", &web, false);
        check("!other, app", &web, true);
        check("!app", &web, false);
        check("size>6,size<8", &web, true);
        check("app in (web),size", &web, true);
        check("empty=", &[("empty", "")], true);
    }

    #[test]
    fn bad_label_selectors_are_refused() {
        for text in [
            "a b", "=x", "a=b=c,", "a in b", "a in (b", "-a=b", "a=b c", ",", "a>x",
        ] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn field_terms_compare_and_unescape() {
        let selector = FieldSelector::parse(r"metadata.name=a\,b,status.phase!=Failed").unwrap();
        let fields = |phase: &'static str| {
            move |field: &str| match field {
                "metadata.name" => Some("a,b"),
                "status.phase" => Some(phase),
                _ => None,
            }
        };
        assert!(selector.matches(fields("Running")));
        assert!(!selector.matches(fields("Failed")));
        assert_eq!(selector.required("metadata.name"), Some("a,b"));
        assert_eq!(selector.required("status.phase"), None);
        assert!(
            FieldSelector::parse("spec.nodeName=")
                .unwrap()
                .matches(|_| None)
        );
        assert!(FieldSelector::parse("nonsense").is_err());
    }

    proptest! {
        #[test]
        fn no_selector_text_panics(text in "\\PC*") {
            drop(LabelSelector::parse(&text));
            drop(FieldSelector::parse(&text));
        }

        #[test]
        fn selectors_of_selector_characters_do_not_panic(text in "[a-z=!,<>() in\\\\]{0,40}") {
            drop(LabelSelector::parse(&text));
            drop(FieldSelector::parse(&text));
        }
    }
}
