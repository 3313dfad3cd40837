//! The language from outside: what is read, what is refused and in which words, what reports say.

#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "what a test prepares must be there, helpers included; tables of mistakes are long"
)]

mod guide;
mod language;
mod mistakes;
mod reports;
