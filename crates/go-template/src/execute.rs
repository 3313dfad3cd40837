//! Carries a template out, step by step, with a bound on steps and output.

use std::collections::BTreeMap;

use foreshore_model::nearest;
use jiff::Timestamp;

use crate::error::TemplateError;
use crate::functions;
use crate::lex::lex;
use crate::parse::parse;
use crate::print;
use crate::tree::{Body, Branch, Command, Node, Pipe, Word};
use crate::value::{TableKind, Value};

/// Steps one rendering may take: far above any real template, well below a second.
const STEPS_MAX: u64 = 2_000_000;

/// Output of one rendering.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// `template` inside `template`.
const CALLS_MAX: usize = 200;

/// What a template may read; the caller decides what that is.
pub trait Files {
    /// Returns a file's text, or why it cannot be had.
    fn read(&self, path: &str) -> Result<String, String>;
    /// Whether something is there.
    fn exists(&self, path: &str) -> bool;
    /// Returns the names in a directory, and whether each is a directory; none if it cannot be read.
    fn list(&self, path: &str) -> Vec<(String, bool)>;
}

/// Nothing to read at all.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, path: &str) -> Result<String, String> {
        Err(format!("open {path}: no such file or directory"))
    }

    fn exists(&self, _: &str) -> bool {
        false
    }

    fn list(&self, _: &str) -> Vec<(String, bool)> {
        Vec::new()
    }
}

/// The surroundings of a rendering.
pub struct Options<'a> {
    pub left: &'a str,
    pub right: &'a str,
    pub files: &'a dyn Files,
    /// What `now` is; without one, `now` is refused.
    pub now: Option<Timestamp>,
    /// What `env` sees.
    pub environment: &'a BTreeMap<String, String>,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("left", &self.left)
            .field("right", &self.right)
            .finish_non_exhaustive()
    }
}

/// Renders `text`; `name` stands in errors.
pub fn render(
    name: &str,
    text: &str,
    data: &Value,
    options: &Options<'_>,
) -> Result<String, TemplateError> {
    let parsed = parse(name, lex(name, text, options.left, options.right)?)?;
    let mut run = Run {
        name,
        defined: &parsed.defined,
        options,
        variables: vec![("$".to_owned(), data.clone())],
        output: String::new(),
        steps: 0,
        calls: 0,
        line: 1,
    };
    run.body(&parsed.body, data)?;
    Ok(run.output)
}

/// How a body went: on, or out of the loop.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'a> {
    name: &'a str,
    defined: &'a BTreeMap<String, Body>,
    options: &'a Options<'a>,
    variables: Vec<(String, Value)>,
    output: String,
    steps: u64,
    calls: usize,
    line: usize,
}

impl Run<'_> {
    fn error(&self, what: impl Into<String>) -> TemplateError {
        TemplateError {
            template: self.name.to_owned(),
            line: self.line,
            what: what.into(),
        }
    }

    fn step(&mut self) -> Result<(), TemplateError> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(self.error(format!("more than {STEPS_MAX} steps")));
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), TemplateError> {
        if self.output.len() + text.len() > OUTPUT_BYTES_MAX {
            return Err(self.error(format!("more than {OUTPUT_BYTES_MAX} bytes of output")));
        }
        self.output.push_str(text);
        Ok(())
    }

    fn body(&mut self, body: &Body, dot: &Value) -> Result<Flow, TemplateError> {
        for node in body {
            self.step()?;
            match node {
                Node::Text(text) => self.write(text)?,
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        let text = print::action(&value);
                        self.write(&text)?;
                    }
                }
                Node::If(branch) | Node::With(branch) => {
                    let known = self.variables.len();
                    let value = self.pipe(&branch.pipe, dot)?;
                    let flow = if value.is_true() {
                        let dot = if matches!(node, Node::With(_)) {
                            &value
                        } else {
                            dot
                        };
                        self.body(&branch.body, dot)?
                    } else {
                        self.body(&branch.otherwise, dot)?
                    };
                    self.variables.truncate(known);
                    if flow != Flow::On {
                        return Ok(flow);
                    }
                }
                Node::Range(branch) => {
                    let known = self.variables.len();
                    let flow = self.range(branch, dot)?;
                    self.variables.truncate(known);
                    if flow != Flow::On {
                        return Ok(flow);
                    }
                }
                Node::Template {
                    line,
                    name,
                    argument,
                } => {
                    self.line = *line;
                    let value = match argument {
                        Some(pipe) => self.pipe(pipe, dot)?,
                        None => Value::Nil,
                    };
                    self.call(name, &value)?;
                }
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::On)
    }

    fn call(&mut self, name: &str, dot: &Value) -> Result<(), TemplateError> {
        let defined = self.defined;
        let Some(body) = defined.get(name) else {
            let near = nearest(name, defined.keys().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(self.error(format!("template `{name}` is not defined{near}")));
        };
        self.calls += 1;
        if self.calls > CALLS_MAX {
            return Err(self.error(format!(
                "templates call each other more than {CALLS_MAX} deep"
            )));
        }
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), dot.clone())]);
        self.body(body, dot)?;
        self.variables = outer;
        self.calls -= 1;
        Ok(())
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<Flow, TemplateError> {
        let mut pipe = branch.pipe.clone();
        let names = std::mem::take(&mut pipe.variables);
        let value = self.pipe(&pipe, dot)?;
        let items: Vec<(Value, Value)> = match &value {
            Value::Nil => Vec::new(),
            Value::List(list) => list
                .iter()
                .enumerate()
                .map(|(index, value)| (int(index), value.clone()))
                .collect(),
            Value::Map(table) if table.kind != TableKind::Struct => table
                .entries
                .borrow()
                .iter()
                .map(|(key, value)| (Value::text(key.as_str()), value.clone()))
                .collect(),
            Value::Int(count) => {
                if u64::try_from(*count).unwrap_or(0) > STEPS_MAX {
                    return Err(
                        self.error(format!("range over {count} is more than {STEPS_MAX} steps"))
                    );
                }
                (0..*count)
                    .map(|index| (Value::Int(index), Value::Int(index)))
                    .collect()
            }
            other => {
                return Err(self.error(format!("range can't iterate over {}", print::value(other))));
            }
        };
        if items.is_empty() {
            return self.body(&branch.otherwise, dot);
        }
        let known = self.variables.len();
        for (key, item) in items {
            self.step()?;
            match (names.as_slice(), pipe.assigns) {
                ([one], false) => self.variables.push((one.clone(), item.clone())),
                ([first, second], false) => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), item.clone()));
                }
                ([one], true) => self.assign(one, &item),
                ([first, second], true) => {
                    self.assign(first, &key);
                    self.assign(second, &item);
                }
                _ => {}
            }
            let flow = self.body(&branch.body, &item)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn assign(&mut self, name: &str, value: &Value) {
        if let Some((_, slot)) = self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| known == name)
        {
            *slot = value.clone();
        }
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, TemplateError> {
        self.line = pipe.line;
        let mut last = None;
        for command in &pipe.commands {
            self.step()?;
            last = Some(self.command(command, dot, last)?);
        }
        let value = last.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, &value);
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &Command,
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, TemplateError> {
        let Word::Function(name) = &command.words[0] else {
            let value = self.word(&command.words[0], dot)?;
            if command.words.len() > 1 || last.is_some() {
                return Err(self.error("can't give argument to non-function"));
            }
            return Ok(value);
        };
        if name == "and" || name == "or" {
            return self.short_circuit(name == "or", &command.words[1..], dot, last);
        }
        let mut arguments = Vec::with_capacity(command.words.len());
        for word in &command.words[1..] {
            arguments.push(self.word(word, dot)?);
        }
        arguments.extend(last);
        functions::call(name, &arguments, self.options)
            .map_err(|what| self.error(format!("{name}: {what}")))
    }

    fn short_circuit(
        &mut self,
        until: bool,
        words: &[Word],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, TemplateError> {
        let mut value = None;
        for word in words {
            let found = self.word(word, dot)?;
            if found.is_true() == until {
                return Ok(found);
            }
            value = Some(found);
        }
        last.or(value)
            .ok_or_else(|| self.error("wrong number of args for and/or: want at least 1 got 0"))
    }

    fn word(&mut self, word: &Word, dot: &Value) -> Result<Value, TemplateError> {
        match word {
            Word::Dot => Ok(dot.clone()),
            Word::Nil => Ok(Value::Nil),
            Word::Bool(value) => Ok(Value::Bool(*value)),
            Word::Int(value) => Ok(Value::Int(*value)),
            Word::Float(value) => Ok(Value::Float(*value)),
            Word::Text(text) => Ok(Value::text(text.as_str())),
            Word::Field(fields) => self.fields(dot.clone(), fields),
            Word::Variable(name, fields) => {
                let value = self
                    .variables
                    .iter()
                    .rev()
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value.clone())
                    .ok_or_else(|| self.error(format!("undefined variable `{name}`")))?;
                self.fields(value, fields)
            }
            Word::Function(name) => functions::call(name, &[], self.options)
                .map_err(|what| self.error(format!("{name}: {what}"))),
            Word::Pipe(pipe, fields) => {
                let known = self.variables.len();
                let value = self.pipe(pipe, dot)?;
                self.variables.truncate(known);
                self.fields(value, fields)
            }
        }
    }

    fn fields(&self, mut value: Value, fields: &[String]) -> Result<Value, TemplateError> {
        for field in fields {
            value = match &value {
                Value::Map(table) => {
                    let entries = table.entries.borrow();
                    match entries.get(field) {
                        Some(found) => found.clone(),
                        None if table.kind == TableKind::Struct => {
                            let near = nearest(field, entries.keys().map(String::as_str));
                            let near = near.map_or_else(String::new, |near| {
                                format!("; did you mean `.{near}`?")
                            });
                            return Err(self.error(format!("there is no field `.{field}`{near}")));
                        }
                        None => Value::Nil,
                    }
                }
                Value::Nil => Value::Nil,
                other => {
                    return Err(self.error(format!(
                        "can't evaluate field {field} in type {}",
                        other.type_name()
                    )));
                }
            };
        }
        Ok(value)
    }
}

fn int(value: usize) -> Value {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
