//! What is wrong with a scenario, and where: file, line, column, caret, and what to type instead.

use std::fmt;

/// A place in a scenario: line and column from one, and how many characters it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub line: u32,
    pub column: u32,
    pub width: u32,
}

/// One mistake in a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub span: Span,
    pub message: String,
    pub hint: Option<String>,
    /// The line it stands in.
    pub source: String,
}

/// All mistakes of a scenario, in the order of its lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    pub file: String,
    pub all: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.all.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            problem.show(&self.file, out)?;
        }
        Ok(())
    }
}

impl Problem {
    fn show(&self, file: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span {
            line,
            column,
            width,
        } = self.span;
        write!(out, "{file}:{line}:{column}: {}", self.message)?;
        if !self.source.is_empty() {
            let number = line.to_string();
            // Tabs keep their width under themselves.
            let before: String = self
                .source
                .chars()
                .take(column.saturating_sub(1) as usize)
                .map(|letter| if letter == '\t' { '\t' } else { ' ' })
                .collect();
            let margin = " ".repeat(number.len());
            let carets = "^".repeat(width.max(1) as usize);
            write!(
                out,
                "\n {number} | {}\n {margin} | {before}{carets}",
                self.source
            )?;
        }
        if let Some(hint) = &self.hint {
            write!(out, "\n   = {hint}")?;
        }
        Ok(())
    }
}

/// What a part of the compiler found wrong, before it knows the line's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says which of the known names was meant, or which there are.
    pub(crate) fn nearest<'a>(self, typed: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match foreshore_model::nearest(typed, known.iter().copied()) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => self,
            None => self.hint(format!("known here: {}", known.join(", "))),
        }
    }
}
