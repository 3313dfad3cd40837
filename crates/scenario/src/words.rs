//! Walks over the words of a line and says what was expected where it stops.

use std::time::Duration;

use crate::problem::{Fault, Span};
use crate::quantity;
use crate::token::{Token, tokens};

/// The words of one statement, and how far they were read.
#[derive(Debug)]
pub(crate) struct Words {
    tokens: Vec<Token>,
    at: usize,
    /// Where the statement ends.
    end: Span,
}

impl Words {
    pub(crate) fn of(text: &str, line: u32, column: u32) -> Result<Self, Fault> {
        let tokens = tokens(text, line, column)?;
        let end = tokens.last().map_or(
            Span {
                line,
                column,
                width: 1,
            },
            |last| Span {
                line,
                column: last.span.column + last.span.width,
                width: 1,
            },
        );
        Ok(Self { tokens, at: 0, end })
    }

    /// Adds the words of a further line to the statement.
    pub(crate) fn extend(&mut self, more: Self) {
        self.tokens.extend(more.tokens);
        self.end = more.end;
    }

    pub(crate) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Place of the next word, or of the end.
    pub(crate) fn here(&self) -> Span {
        self.peek().map_or(self.end, |token| token.span)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at == self.tokens.len()
    }

    /// Whether the next word is this one.
    pub(crate) fn at(&self, word: &str) -> bool {
        self.peek()
            .is_some_and(|token| !token.quoted && token.text == word)
    }

    /// Reads on if the next word is this one.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        let there = self.at(word);
        self.at += usize::from(there);
        there
    }

    pub(crate) fn next(&mut self, wanted: &str) -> Result<Token, Fault> {
        let Some(token) = self.peek().cloned() else {
            return Err(Fault::new(self.end, format!("{wanted} is missing here")));
        };
        self.at += 1;
        Ok(token)
    }

    pub(crate) fn sign(&mut self, sign: &str) -> Result<(), Fault> {
        if self.take(sign) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{sign}`")))
    }

    pub(crate) fn unexpected(&self, wanted: &str) -> Fault {
        match self.peek() {
            None => Fault::new(self.end, format!("{wanted} is missing here")),
            Some(token) => Fault::new(
                token.span,
                format!("{wanted} was expected, not `{}`", token.text),
            ),
        }
    }

    pub(crate) fn quoted(&mut self, wanted: &str) -> Result<Token, Fault> {
        let token = self.next(wanted)?;
        if token.quoted {
            return Ok(token);
        }
        Err(Fault::new(
            token.span,
            format!("{wanted} was expected in quotes, not `{}`", token.text),
        )
        .hint(format!("write `\"{}\"`", token.text)))
    }

    pub(crate) fn name(&mut self, what: &str) -> Result<Token, Fault> {
        let token = self.next(what)?;
        let fits = token
            .text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
            && token
                .text
                .starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
        if fits && !token.quoted {
            return Ok(token);
        }
        Err(
            Fault::new(token.span, format!("`{}` cannot be {what}", token.text))
                .hint("names are letters, digits, `_` and `-`, and start with a letter"),
        )
    }

    fn read<T>(
        &mut self,
        wanted: &str,
        example: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Fault> {
        let token = self.next(wanted)?;
        read(&token.text).filter(|_| !token.quoted).ok_or_else(|| {
            Fault::new(token.span, format!("`{}` is not {wanted}", token.text))
                .hint(format!("write it like {example}"))
        })
    }

    pub(crate) fn duration(&mut self) -> Result<Duration, Fault> {
        self.read(
            "a duration",
            "`90s`, `250ms` or `1h30m`",
            quantity::duration,
        )
    }

    /// A duration that something can happen in.
    pub(crate) fn stretch(&mut self) -> Result<Duration, Fault> {
        let span = self.here();
        let duration = self.duration()?;
        if duration.is_zero() {
            return Err(Fault::new(span, "this must be longer than nothing"));
        }
        Ok(duration)
    }

    pub(crate) fn rate(&mut self) -> Result<f64, Fault> {
        self.read("a rate", "`5000/s`, `300/m` or `10/h`", quantity::rate)
    }

    pub(crate) fn share(&mut self) -> Result<f64, Fault> {
        self.read("a share", "`0.1%`", quantity::share)
    }

    pub(crate) fn size(&mut self) -> Result<u64, Fault> {
        self.read("a size", "`64KiB`", quantity::size)
    }

    pub(crate) fn count(&mut self) -> Result<u64, Fault> {
        self.read("a whole number", "`100`", quantity::count)
    }

    /// A number that is not zero and not more than `most`.
    pub(crate) fn some(&mut self, most: u64) -> Result<u64, Fault> {
        let span = self.here();
        let count = self.count()?;
        if count == 0 || count > most {
            return Err(Fault::new(
                span,
                format!("`{count}` is not between 1 and {most}"),
            ));
        }
        Ok(count)
    }

    pub(crate) fn finish(&self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(token) => Err(Fault::new(
                token.span,
                format!(
                    "nothing more is expected here, but `{}` follows",
                    token.text
                ),
            )),
        }
    }
}
