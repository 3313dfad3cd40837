//! The only place that prints.
//!
//! The answer goes to standard output; everything said to a person goes to
//! standard error. A closed pipe is not an error.

use std::io::{self, IsTerminal as _, Write};
use std::process;

use anstream::ColorChoice;
use foreshore_model::{ExitCode, yaml};
use owo_colors::OwoColorize as _;
use serde::Serialize;

use crate::arguments::{Color, Global, Output};
use crate::failure::Failure;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    code: u8,
    answer: Option<Answer>,
    /// As JSON it follows other lines of JSON, so it is one of them.
    one_line: bool,
}

/// What a command answers, for programs and for people.
#[derive(Debug)]
pub(crate) struct Answer {
    value: serde_json::Value,
    text: String,
}

impl Outcome {
    pub(crate) fn done() -> Self {
        Self {
            code: ExitCode::Done.code(),
            answer: None,
            one_line: false,
        }
    }

    /// Passes on the exit code of somebody else's program.
    pub(crate) fn with_status(code: u8) -> Self {
        Self {
            code,
            answer: None,
            one_line: false,
        }
    }

    /// Answers with a value and the same in words.
    pub(crate) fn answer(value: &impl Serialize, text: impl Into<String>) -> Result<Self, Failure> {
        let value = serde_json::to_value(value).map_err(|error| {
            Failure::new(
                ExitCode::Bug,
                format!("cannot write the answer as JSON: {error}"),
            )
        })?;
        Ok(Self {
            code: ExitCode::Done.code(),
            answer: Some(Answer {
                value,
                text: text.into(),
            }),
            one_line: false,
        })
    }

    pub(crate) fn in_one_line(mut self) -> Self {
        self.one_line = true;
        self
    }

    pub(crate) fn with_code(mut self, code: ExitCode) -> Self {
        self.code = code.code();
        self
    }
}

/// Standard output and standard error, as the person asked for them.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    output: Output,
    color: ColorChoice,
    quiet: bool,
}

impl Terminal {
    pub(crate) fn new(global: &Global) -> Self {
        let color = match global.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self {
            output: global.output,
            color,
            quiet: global.quiet,
        }
    }

    /// Says how things go.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            self.error_line(line);
        }
    }

    /// Writes a line for a CI system exactly as it is: what it means rests on its control characters.
    pub(crate) fn mark(&self, line: &str) {
        if self.quiet {
            return;
        }
        let mut stream = io::stderr().lock();
        if writeln!(stream, "{line}").is_err() {
            tracing::debug!("nobody reads what is said");
        }
    }

    /// Says what may be wrong, though the work goes on.
    pub(crate) fn warn(&self, line: &str) {
        self.error_line(&format!("{} {line}", "warning:".yellow().bold()));
    }

    /// Whether a picture that changes may be drawn where progress is told.
    pub(crate) fn draws(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Whether progress is told to a program, one JSON document in a line.
    pub(crate) fn tells_json(&self) -> bool {
        !self.quiet && self.output == Output::Json
    }

    /// Writes one line of JSON to standard output.
    pub(crate) fn event(value: &impl Serialize) {
        let Ok(text) = serde_json::to_string(value) else {
            tracing::error!("a line of progress cannot be written as JSON");
            return;
        };
        let mut stream = io::stdout().lock();
        if writeln!(stream, "{text}")
            .and_then(|()| stream.flush())
            .is_err()
        {
            tracing::debug!("nobody reads what is told");
        }
    }

    /// Draws lines where `before` lines were drawn last; what is too long is cut by the terminal.
    pub(crate) fn redraw(before: usize, lines: &[String]) {
        let mut frame = String::from("\u{1b}[?7l");
        if before > 0 {
            frame.extend(["\u{1b}[", &before.to_string(), "A\r\u{1b}[J"]);
        }
        for line in lines {
            frame.push_str(line);
            frame.push('\n');
        }
        frame.push_str("\u{1b}[?7h");
        let mut stream = io::stderr().lock();
        if stream
            .write_all(frame.as_bytes())
            .and_then(|()| stream.flush())
            .is_err()
        {
            tracing::debug!("nobody sees what is drawn");
        }
    }

    /// Whether a person can be asked.
    pub(crate) fn is_interactive() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a question that has the answer no unless the person types yes.
    pub(crate) fn confirm(&self, question: &str) -> bool {
        let mut stream = anstream::AutoStream::new(io::stderr(), self.color);
        if write!(stream, "{question} [y/N] ")
            .and_then(|()| stream.flush())
            .is_err()
        {
            return false;
        }
        let mut line = String::new();
        io::stdin().read_line(&mut line).is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
    }

    pub(crate) fn fail(&self, failure: &Failure) -> process::ExitCode {
        self.error_line(&format!("{} {}", "error:".red().bold(), failure.message));
        for hint in &failure.hints {
            self.error_line(&format!("{} {hint}", "hint:".cyan().bold()));
        }
        failure.code.code().into()
    }

    pub(crate) fn finish(&self, outcome: Outcome) -> process::ExitCode {
        let Some(answer) = outcome.answer else {
            return outcome.code.into();
        };
        let text = match self.output {
            Output::Table => answer.text,
            Output::Json if outcome.one_line => answer.value.to_string(),
            Output::Json => match serde_json::to_string_pretty(&answer.value) {
                Ok(text) => text,
                Err(error) => return self.fail(&Failure::new(ExitCode::Bug, error.to_string())),
            },
            Output::Yaml => match yaml::write(&answer.value) {
                Ok(text) => text,
                Err(error) => return self.fail(&Failure::new(ExitCode::Bug, error.to_string())),
            },
        };
        let mut stream = anstream::AutoStream::new(io::stdout(), self.color);
        let end = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        match write!(stream, "{text}{end}").and_then(|()| stream.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => self.fail(&Failure::new(
                ExitCode::Failed,
                format!("cannot write the answer: {error}"),
            )),
            _ => outcome.code.into(),
        }
    }

    /// Answers with exactly this text, for scripts that read it; or, where asked for, with a value.
    pub(crate) fn exactly(&self, text: &str, value: &impl Serialize) -> Result<Outcome, Failure> {
        if self.output != Output::Table {
            return Outcome::answer(value, text);
        }
        let mut stream = io::stdout().lock();
        match stream
            .write_all(text.as_bytes())
            .and_then(|()| stream.flush())
        {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
                ExitCode::Failed,
                format!("cannot write the answer: {error}"),
            )),
            _ => Ok(Outcome::done()),
        }
    }

    fn error_line(&self, line: &str) {
        let mut stream = anstream::AutoStream::new(io::stderr(), self.color);
        // Nobody is left to be told when standard error itself is closed.
        drop(writeln!(stream, "{line}"));
    }
}

/// Lays out rows under a header, kubectl's way: no borders, two spaces between columns.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
