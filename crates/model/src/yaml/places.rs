//! Where in a YAML text each value stands, and the plain values that are traps.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

/// Line and column, counted from one.
pub type Place = (u64, u64);

/// Values and their places, by path from the top; places inside repeated parts (`*alias`) are unknown.
#[derive(Debug, Clone, Default)]
pub struct Places {
    keys: BTreeMap<Vec<String>, Place>,
    values: BTreeMap<Vec<String>, Place>,
}

/// More values than this are not kept; places are for people.
const PLACES_MAX: usize = 20_000;

/// Deeper values are not kept.
const DEPTH_MAX: usize = 64;

/// Where the walk is: in a list at an index, or in a map at a key.
enum Frame {
    List(usize),
    Map(Option<String>),
}

impl Places {
    /// Reads the first document of a text; stops at the first mistake in it.
    pub fn of(text: &str) -> Self {
        let mut places = Self::default();
        walk(text, |path, place, node| {
            if places.values.len() < PLACES_MAX && path.len() < DEPTH_MAX {
                let map = match node {
                    Node::Key => &mut places.keys,
                    Node::Value | Node::Scalar(..) => &mut places.values,
                };
                map.entry(path.to_vec()).or_insert(place);
            }
            true
        });
        places
    }

    /// Returns where the value at `path` starts.
    pub fn value(&self, path: &[&str]) -> Option<Place> {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        self.values.get(&path).copied()
    }

    /// Returns the place of a value, or of the nearest key above it.
    pub fn nearest(&self, path: &[&str]) -> Place {
        if let Some(place) = self.value(path) {
            return place;
        }
        (0..path.len())
            .rev()
            .map(|length| {
                path[..length]
                    .iter()
                    .map(|part| (*part).to_owned())
                    .collect()
            })
            .find_map(|path: Vec<String>| self.keys.get(&path).copied())
            .unwrap_or((1, 1))
    }
}

enum Node<'a> {
    Key,
    Value,
    Scalar(&'a str, ScalarStyle),
}

fn place(span: &Span) -> Place {
    let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    (number(span.start.line()), number(span.start.col()) + 1)
}

/// Visits keys and values of the first document in order, until `visit` says no.
fn walk(text: &str, mut visit: impl FnMut(&[String], Place, Node<'_>) -> bool) {
    let mut frames: Vec<Frame> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut parser = Parser::new_from_str(text);
    while let Some(Ok((event, span))) = parser.next_event() {
        let place = place(&span);
        match event {
            Event::Scalar(value, style, ..) => {
                if let Some(Frame::Map(key @ None)) = frames.last_mut() {
                    *key = Some(value.to_string());
                    path.push(value.into_owned());
                    if !visit(&path, place, Node::Key) {
                        return;
                    }
                    continue;
                }
                enter(&frames, &mut path);
                if !visit(&path, place, Node::Scalar(&value, style)) {
                    return;
                }
                leave(&mut frames, &mut path);
            }
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if frames.len() >= DEPTH_MAX || matches!(frames.last(), Some(Frame::Map(None))) {
                    // Too deep, or a key that is no text: what follows has no path.
                    return;
                }
                enter(&frames, &mut path);
                if !visit(&path, place, Node::Value) {
                    return;
                }
                frames.push(if matches!(event, Event::MappingStart(..)) {
                    Frame::Map(None)
                } else {
                    Frame::List(0)
                });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                frames.pop();
                leave(&mut frames, &mut path);
            }
            Event::Alias(..) => {
                if matches!(frames.last(), Some(Frame::Map(None))) {
                    return;
                }
                enter(&frames, &mut path);
                leave(&mut frames, &mut path);
            }
            Event::DocumentEnd => return,
            _ => {}
        }
    }
}

/// Steps to the value at hand: in a list the path gets its index.
fn enter(frames: &[Frame], path: &mut Vec<String>) {
    if let Some(Frame::List(index)) = frames.last() {
        path.push(index.to_string());
    }
}

/// Steps behind the value at hand.
fn leave(frames: &mut [Frame], path: &mut Vec<String>) {
    match frames.last_mut() {
        Some(Frame::List(index)) => *index += 1,
        Some(Frame::Map(key)) => *key = None,
        None => return,
    }
    path.pop();
}

/// Finds the first plain value that YAML readers disagree on, and says what to write instead.
pub(crate) fn trap(text: &str) -> Option<(Place, String)> {
    let mut found = None;
    walk(text, |_, place, node| {
        if let Node::Scalar(value, ScalarStyle::Plain) = node {
            found = trap_of(value).map(|what| (place, what));
        }
        found.is_none()
    });
    found
}

fn trap_of(value: &str) -> Option<String> {
    match value {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            return Some(format!(
                "`{value}` is true to some readers and text to others; write `true`, or quote it"
            ));
        }
        "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            return Some(format!(
                "`{value}` is false to some readers and text to others; write `false`, or quote it"
            ));
        }
        _ => {}
    }
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let first = digits.bytes().next()?;
    if !first.is_ascii_digit() {
        return None;
    }
    let all = |allowed: fn(u8) -> bool| digits.bytes().all(allowed);
    if digits.len() > 1 && first == b'0' && all(|byte| byte.is_ascii_digit()) {
        return Some(format!(
            "`{value}` is octal to some readers and decimal to others; quote it, or leave out the zero"
        ));
    }
    if all(|byte| byte.is_ascii_digit() || byte == b'_') && digits.contains('_') {
        return Some(format!(
            "`{value}` is a number to some readers and text to others; write it without `_`, or quote it"
        ));
    }
    if digits.matches(':').count() == 2 && all(|byte| byte.is_ascii_digit() || byte == b':') {
        return Some(format!(
            "`{value}` is a number in base 60 to some readers; quote it"
        ));
    }
    let exponent = digits
        .split_once(['e', 'E'])
        .is_some_and(|(before, after)| {
            let after = after.strip_prefix(['-', '+']).unwrap_or(after);
            let number = |text: &str| {
                !text.is_empty()
                    && text
                        .bytes()
                        .all(|byte| byte.is_ascii_digit() || byte == b'.')
            };
            number(before) && number(after)
        });
    exponent.then(|| {
        format!("`{value}` is a number to some readers and text to others; write the number out, or quote it")
    })
}
