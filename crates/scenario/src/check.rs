//! Holds an answer against what its step expects, and takes captures out of it.

use std::cell::OnceCell;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::program::{Assert, Operand, Step, Subject, Test};
use crate::quantity::spell;
use crate::rows::spelled;
use crate::statistics::FailureKind;
use crate::template::Template;

/// Longer values are cut in messages.
const SHOWN_MAX: usize = 120;

/// An answer as it came in.
#[derive(Debug)]
pub struct Received<'a> {
    pub status: u16,
    /// Names in any case.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
    pub duration: Duration,
    json: OnceCell<Option<Value>>,
}

/// Why an answer is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub kind: FailureKind,
    pub message: String,
}

impl<'a> Received<'a> {
    pub fn new(
        status: u16,
        headers: &'a [(String, String)],
        body: &'a [u8],
        duration: Duration,
    ) -> Self {
        Self {
            status,
            headers,
            body,
            duration,
            json: OnceCell::new(),
        }
    }

    fn json(&self) -> Option<&Value> {
        self.json
            .get_or_init(|| serde_json::from_slice(self.body).ok())
            .as_ref()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case("set-cookie"))
            .filter_map(|(_, value)| value.split(';').next()?.split_once('='))
            .find(|(known, _)| known.trim() == name)
            .map(|(_, value)| value.trim())
    }

    /// The part of the answer, if it has it.
    fn value(&self, subject: &Subject) -> Option<Value> {
        let text = |text: &str| Some(Value::from(text));
        match subject {
            Subject::Status => Some(self.status.into()),
            Subject::Duration => Some(self.duration.as_secs_f64().into()),
            Subject::Size => Some(self.body.len().into()),
            Subject::Sha256 => text(&hex::encode(Sha256::digest(self.body))),
            Subject::Body => text(&String::from_utf8_lossy(self.body)),
            Subject::Header(name) => text(self.header(name)?),
            Subject::Cookie(name) => text(self.cookie(name)?),
            Subject::Json(path) => path.first(self.json()?).cloned(),
            Subject::Regex(regex) => {
                let body = String::from_utf8_lossy(self.body);
                let found = regex.captures(&body)?;
                text(found.get(1).or_else(|| found.get(0))?.as_str())
            }
        }
    }
}

/// Takes the text that a capture names out of an answer.
pub fn capture(received: &Received<'_>, subject: &Subject) -> Result<String, Failed> {
    received
        .value(subject)
        .map(|value| spelled(&value))
        .ok_or_else(|| Failed {
            kind: FailureKind::Capture,
            message: absent(received, subject),
        })
}

fn absent(received: &Received<'_>, subject: &Subject) -> String {
    if matches!(subject, Subject::Json(_)) && received.json().is_none() {
        let start = String::from_utf8_lossy(received.body);
        return format!(
            "`{subject}` was looked for, but the body is not JSON: {}",
            shown(&start)
        );
    }
    format!("the answer has no `{subject}`")
}

/// Holds an answer against its step.
///
/// `counts` says whether an assertion is looked at this time, `render` fills
/// the templates of operands.
pub fn check(
    step: &Step,
    received: &Received<'_>,
    mut counts: impl FnMut(&Assert) -> bool,
    mut render: impl FnMut(&Template) -> String,
) -> Result<(), Failed> {
    if !step.expects(received.status) {
        let body = String::from_utf8_lossy(received.body);
        let body = body.trim();
        let body = if body.is_empty() {
            String::new()
        } else {
            format!(": {}", shown(body))
        };
        return Err(Failed {
            kind: FailureKind::Status,
            message: format!("status {} was not expected{body}", received.status),
        });
    }
    for assert in &step.asserts {
        if counts(assert) {
            hold(assert, received, &mut render).map_err(|message| Failed {
                kind: FailureKind::Assert,
                message: format!(
                    "line {}: `{}` does not hold: {message}",
                    assert.line, assert.text
                ),
            })?;
        }
    }
    Ok(())
}

fn hold(
    assert: &Assert,
    received: &Received<'_>,
    render: &mut impl FnMut(&Template) -> String,
) -> Result<(), String> {
    let subject = &assert.subject;
    let value = received.value(subject);
    let value = match (&assert.test, value) {
        (Test::Missing, None) | (Test::Exists, Some(_)) => return Ok(()),
        (Test::Missing, Some(value)) => return Err(format!("it is {}", said(subject, &value))),
        (_, None) => return Err(absent(received, subject)),
        (_, Some(value)) => value,
    };
    let found = || format!("it is {}", said(subject, &value));
    let holds = match &assert.test {
        Test::Exists | Test::Missing => true,
        Test::Contains(text) => {
            let wanted = render(text);
            match &value {
                Value::Array(items) => items.iter().any(|item| spelled(item) == wanted),
                other => spelled(other).contains(&wanted),
            }
        }
        Test::StartsWith(text) => spelled(&value).starts_with(&render(text)),
        Test::Matches(regex) => regex.is_match(&spelled(&value)),
        Test::Compare(comparison, operand) => {
            let order = match operand {
                Operand::Null => Some(equality(value.is_null())),
                Operand::Bool(wanted) => value.as_bool().map(|is| is.cmp(wanted)),
                Operand::Number(wanted) => number(&value).map(|is| is.total_cmp(wanted)),
                Operand::Text(text) => Some(spelled(&value).as_str().cmp(&render(text))),
            };
            // A value of another type is unequal, and neither less nor more.
            match order {
                Some(order) => comparison.holds(order),
                None => *comparison == crate::program::Comparison::Unequal,
            }
        }
    };
    if holds { Ok(()) } else { Err(found()) }
}

fn equality(equal: bool) -> std::cmp::Ordering {
    if equal {
        std::cmp::Ordering::Equal
    } else {
        std::cmp::Ordering::Greater
    }
}

/// A number, also one that an answer writes as text (headers are).
fn number(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

fn said(subject: &Subject, value: &Value) -> String {
    match (subject, value.as_f64()) {
        (Subject::Duration, Some(seconds)) => spell(Duration::from_secs_f64(seconds)),
        _ => shown(&value.to_string()),
    }
}

fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut.replace(['\n', '\r'], " ")
}
