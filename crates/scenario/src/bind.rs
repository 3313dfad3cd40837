//! Puts a scenario together with what only the moment knows: addresses, secrets, rows.

use std::collections::{BTreeMap, BTreeSet};

use foreshore_model::nearest;

use crate::address::Address;
use crate::program::{Data, Profile, Program, Setting, Source, Step, Test};
use crate::program::{Operand, Operation};
use crate::rows;
use crate::template::{Expression, Part, Template};

/// What a run is given from outside. Everything is text; reading it was somebody else's work.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    pub environment: BTreeMap<String, String>,
    /// By the name of the target; goes before the environment.
    pub targets: BTreeMap<String, String>,
    /// By the name of the value; goes before the environment.
    pub values: BTreeMap<String, String>,
    /// Contents of data files, by the name the scenario gives them.
    pub files: BTreeMap<String, String>,
}

/// A scenario that can be run.
#[derive(Debug, Clone)]
pub struct Setup {
    pub program: Program,
    pub profile: Profile,
    /// Targets the profile's steps use.
    pub targets: Vec<BoundTarget>,
    /// Values that never leave this process, with the names they have.
    pub secrets: Vec<(String, String)>,
    /// Per data, rows in the order of [`Data::columns`].
    pub rows: Vec<Vec<Vec<String>>>,
    /// Hosts requests may go to, in lower case.
    pub hosts: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub struct BoundTarget {
    pub name: String,
    pub address: Address,
    pub ca: Option<String>,
}

/// Why a scenario cannot be run as it was called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    #[error("the scenario has no {what} `{name}`")]
    Unknown {
        what: &'static str,
        name: String,
        hint: String,
    },
    #[error("{what} `{name}` has no value")]
    Missing {
        what: &'static str,
        name: String,
        hint: String,
    },
    #[error("target `{name}`: {message}")]
    Address { name: String, message: String },
    #[error("{file}:{line}:{column}: {message}")]
    Data {
        file: String,
        line: usize,
        column: usize,
        message: String,
    },
    #[error("`{file}` has no column `{column}`, which line {line} of the scenario uses")]
    Column {
        file: String,
        column: String,
        line: u32,
        hint: String,
    },
    #[error("`{file}` has no rows")]
    NoRows { file: String },
}

impl BindError {
    /// What to type next.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unknown { hint, .. } | Self::Missing { hint, .. } | Self::Column { hint, .. } => {
                (!hint.is_empty()).then_some(hint)
            }
            _ => None,
        }
    }
}

fn unknown<'a>(
    what: &'static str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> BindError {
    let all: Vec<&str> = known.clone().collect();
    let hint = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if all.is_empty() => format!("it declares no {what}"),
        None => format!("it has: {}", all.join(", ")),
    };
    BindError::Unknown {
        what,
        name: name.to_owned(),
        hint,
    }
}

/// Binds the steps of one profile; what only left-out steps use need not be there.
pub fn bind(program: &Program, profile: &Profile, inputs: &Inputs) -> Result<Setup, BindError> {
    let target_names = program.targets.iter().map(|it| it.name.as_str());
    for name in inputs.targets.keys() {
        if !target_names.clone().any(|known| known == name) {
            return Err(unknown("target", name, target_names.clone()));
        }
    }
    let value_names = program.values.iter().map(|it| it.name.as_str());
    for name in inputs.values.keys() {
        if !value_names.clone().any(|known| known == name) {
            return Err(unknown("value", name, value_names.clone()));
        }
    }
    let skipped: BTreeSet<usize> = profile.skipped.iter().map(|(index, _)| *index).collect();
    let steps = program
        .steps
        .iter()
        .enumerate()
        .filter(|(index, _)| !skipped.contains(index))
        .map(|(_, step)| step);
    let used: Vec<Expression> = steps.flat_map(expressions).collect();

    let mut binder = Binder {
        program,
        inputs,
        known: Vec::new(),
        targets: Vec::new(),
        secrets: Vec::new(),
    };
    for expression in used {
        binder.take(expression)?;
    }
    let Binder {
        known,
        targets,
        secrets,
        ..
    } = binder;
    let rows = program
        .data
        .iter()
        .map(|data| table(data, inputs))
        .collect::<Result<_, _>>()?;
    let mut hosts: BTreeSet<String> = program.hosts.iter().cloned().collect();
    hosts.extend(targets.iter().map(|target| target.address.host.clone()));
    let mut bound = program.clone();
    for step in &mut bound.steps {
        fold(step, &known);
        if let Some(address) = step.url.constant().and_then(|url| Address::parse(url).ok()) {
            hosts.insert(address.host);
        }
    }
    leave_out(&mut bound, &skipped);
    Ok(Setup {
        program: bound,
        profile: profile.clone(),
        targets,
        secrets,
        rows,
        hosts,
    })
}

/// Makes a jump of every step that is left out, so that places stay.
fn leave_out(program: &mut Program, skipped: &BTreeSet<usize>) {
    for (place, operation) in program.flow.iter_mut().enumerate() {
        if let Operation::Step(index) = operation
            && skipped.contains(index)
        {
            *operation = Operation::Jump(place + 1);
        }
    }
}

fn expressions(step: &Step) -> Vec<Expression> {
    step.templates()
        .flat_map(|template| &template.parts)
        .filter_map(|part| match part {
            Part::Hole(expression, _) => Some(expression.clone()),
            Part::Text(_) => None,
        })
        .collect()
}

struct Binder<'a> {
    program: &'a Program,
    inputs: &'a Inputs,
    known: Vec<(Expression, String)>,
    targets: Vec<BoundTarget>,
    secrets: Vec<(String, String)>,
}

impl Binder<'_> {
    fn take(&mut self, expression: Expression) -> Result<(), BindError> {
        if self.known.iter().any(|(known, _)| *known == expression) {
            return Ok(());
        }
        let text = match &expression {
            Expression::Target(index) => {
                let target = &self.program.targets[*index];
                let given = self.inputs.targets.get(&target.name);
                let hint = format!("give it with `--target {}=URL`", target.name);
                let text = self.source("target", &target.name, &target.source, given, &hint)?;
                let text = text.trim_end_matches('/').to_owned();
                let address = Address::parse(&text).map_err(|message| BindError::Address {
                    name: target.name.clone(),
                    message,
                })?;
                self.targets.push(BoundTarget {
                    name: target.name.clone(),
                    address,
                    ca: target.ca.clone(),
                });
                text
            }
            Expression::Value(index) => {
                let Setting { name, source } = &self.program.values[*index];
                let given = self.inputs.values.get(name);
                let hint = format!("give it with `--set {name}=VALUE`");
                self.source("value", name, source, given, &hint)?
            }
            Expression::Secret(index) => {
                let Setting { name, source } = &self.program.secrets[*index];
                let value = self.source("secret", name, source, None, "")?;
                self.secrets.push((name.clone(), value.clone()));
                value
            }
            _ => return Ok(()),
        };
        self.known.push((expression, text));
        Ok(())
    }

    fn source(
        &self,
        what: &'static str,
        name: &str,
        source: &Source,
        given: Option<&String>,
        hint: &str,
    ) -> Result<String, BindError> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        match source {
            Source::Literal(text) => Ok(text.clone()),
            Source::Environment { variable, default } => self
                .inputs
                .environment
                .get(variable)
                .filter(|value| !value.is_empty())
                .or(default.as_ref())
                .cloned()
                .ok_or_else(|| BindError::Missing {
                    what,
                    name: name.to_owned(),
                    hint: if hint.is_empty() {
                        format!("set the environment variable {variable}")
                    } else {
                        format!("set the environment variable {variable}, or {hint}")
                    },
                }),
        }
    }
}

fn fold(step: &mut Step, known: &[(Expression, String)]) {
    let put = |template: &mut Template| {
        *template = template.fold(|expression| {
            known
                .iter()
                .find(|(known, _)| known == expression)
                .map(|(_, text)| text.clone())
        });
    };
    put(&mut step.url);
    step.headers.iter_mut().for_each(|(_, value)| put(value));
    step.body.iter_mut().for_each(put);
    for assert in &mut step.asserts {
        match &mut assert.test {
            Test::Compare(_, Operand::Text(text))
            | Test::Contains(text)
            | Test::StartsWith(text) => put(text),
            _ => {}
        }
    }
}

/// Reads the rows of one data, in the order of the columns the scenario uses.
fn table(data: &Data, inputs: &Inputs) -> Result<Vec<Vec<String>>, BindError> {
    let text = inputs
        .files
        .get(&data.file)
        .ok_or_else(|| BindError::Missing {
            what: "data",
            name: data.name.clone(),
            hint: format!("its file `{}` was not read", data.file),
        })?;
    let table = rows::read(data.format, text).map_err(|fault| BindError::Data {
        file: data.file.clone(),
        line: fault.line,
        column: fault.column,
        message: fault.message,
    })?;
    if table.rows.is_empty() {
        return Err(BindError::NoRows {
            file: data.file.clone(),
        });
    }
    let places = data
        .columns
        .iter()
        .map(|(column, line)| {
            table
                .columns
                .iter()
                .position(|known| known == column)
                .ok_or_else(|| BindError::Column {
                    file: data.file.clone(),
                    column: column.clone(),
                    line: *line,
                    hint: match nearest(column, table.columns.iter().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("it has: {}", table.columns.join(", ")),
                    },
                })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(table
        .rows
        .into_iter()
        .map(|row| places.iter().map(|place| row[*place].clone()).collect())
        .collect())
}
