//! Reads a scenario and checks it, before anything is sent.
//!
//! Names stand before they are used, so one pass from top to bottom is
//! enough; profiles come last because gates name steps.

mod declare;
mod flow;
mod gate;
mod hole;
mod profile;
mod step;
mod subject;

use sha2::{Digest as _, Sha256};

use crate::line::{Line, tree};
use crate::problem::{Fault, Problem, Problems, Span};
use crate::program::Program;
use crate::words::Words;

/// More mistakes than a person reads at once.
const FAULTS_MAX: usize = 20;
/// A scenario is written by hand.
const BYTES_MAX: usize = 1024 * 1024;

/// First words of a line at the left margin.
const KEYWORDS: [&str; 13] = [
    "scenario",
    "target",
    "value",
    "secret",
    "data",
    "hosts",
    "production",
    "max-rate",
    "cookies",
    "step",
    "think",
    "profile",
    "loop",
];

/// Compiles the text of a scenario; `file` is its name in messages.
pub fn compile(file: &str, text: &str) -> Result<Program, Problems> {
    if text.len() > BYTES_MAX {
        return Err(Problems {
            file: file.to_owned(),
            all: vec![Problem {
                span: Span {
                    line: 1,
                    column: 1,
                    width: 1,
                },
                message: format!("a scenario has at most {BYTES_MAX} bytes"),
                hint: Some("put rows of values into a `data` file".to_owned()),
                source: String::new(),
            }],
        });
    }
    let mut compiler = Compiler::new(hex::encode(Sha256::digest(text)));
    let lines = tree(text, &mut compiler.faults);
    compiler.file(&lines);
    let Compiler {
        program, faults, ..
    } = compiler;
    if faults.is_empty() {
        return Ok(program);
    }
    Err(problems(file, text, faults))
}

fn problems(file: &str, text: &str, mut faults: Vec<Fault>) -> Problems {
    faults.sort_by_key(|fault| (fault.span.line, fault.span.column));
    faults.truncate(FAULTS_MAX);
    let all = faults
        .into_iter()
        .map(|fault| Problem {
            source: text
                .lines()
                .nth(fault.span.line.saturating_sub(1) as usize)
                .unwrap_or("")
                .trim_end()
                .to_owned(),
            span: fault.span,
            message: fault.message,
            hint: fault.hint,
        })
        .collect();
    Problems {
        file: file.to_owned(),
        all,
    }
}

/// What is known so far.
struct Compiler {
    program: Program,
    faults: Vec<Fault>,
    /// Captures that a step before this line has made.
    visible: Vec<usize>,
}

impl Compiler {
    fn new(hash: String) -> Self {
        Self {
            program: Program {
                name: String::new(),
                hash,
                targets: Vec::new(),
                values: Vec::new(),
                secrets: Vec::new(),
                data: Vec::new(),
                captures: Vec::new(),
                steps: Vec::new(),
                flow: Vec::new(),
                loops: 0,
                profiles: Vec::new(),
                hosts: Vec::new(),
                production: Vec::new(),
                rate_max: None,
                cookies: true,
            },
            faults: Vec::new(),
            visible: Vec::new(),
        }
    }

    fn file(&mut self, lines: &[Line<'_>]) {
        let (profiles, rest): (Vec<_>, Vec<_>) = lines
            .iter()
            .partition(|line| line.text.split_whitespace().next() == Some("profile"));
        for line in rest {
            self.attempt(|compiler| compiler.top(line));
        }
        let first = Span {
            line: 1,
            column: 1,
            width: 1,
        };
        if self.faults.is_empty() {
            if self.program.name.is_empty() {
                self.faults.push(
                    Fault::new(first, "the scenario has no name")
                        .hint("start the file with `scenario \"NAME\"`"),
                );
            }
            if self.program.steps.is_empty() {
                self.faults.push(
                    Fault::new(first, "the scenario has no step")
                        .hint("add one: `step home GET {{base}}/`"),
                );
            }
        }
        for line in profiles {
            self.attempt(|compiler| compiler.profile(line));
        }
    }

    /// Goes on after a mistake, so that all are reported at once.
    fn attempt(&mut self, part: impl FnOnce(&mut Self) -> Result<(), Fault>) {
        if let Err(fault) = part(self) {
            self.faults.push(fault);
        }
    }

    fn top(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let word = line.text.split_whitespace().next().unwrap_or_default();
        match word {
            "step" | "think" | "loop" | "pick" => return self.flow(line),
            "scenario" | "target" | "value" | "secret" | "data" | "hosts" | "production"
            | "max-rate" | "cookies" => {}
            _ => {
                let span = Span {
                    width: crate::line::width(word),
                    ..line.span()
                };
                return Err(Fault::new(
                    span,
                    format!("`{word}` starts nothing that a scenario has"),
                )
                .nearest(word, KEYWORDS.into_iter().chain(["pick"])));
            }
        }
        if let Some(child) = line.children.first() {
            return Err(Fault::new(
                child.span(),
                format!("nothing is indented below `{word}`"),
            ));
        }
        let mut words = Words::of(line.text, line.number, line.indent + 1)?;
        words.take(word);
        match word {
            "scenario" => self.name(&mut words),
            "target" => self.target(&mut words),
            "value" => self.value(&mut words),
            "secret" => self.secret(&mut words),
            "data" => self.data(&mut words),
            "hosts" => self.hosts(&mut words),
            "production" => self.production(&mut words),
            "max-rate" => self.rate_max(&mut words),
            _ => self.cookies(&mut words),
        }?;
        words.finish()
    }
}
