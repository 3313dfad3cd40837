//! The only file that prints.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "everything else comes here to be printed"
)]

/// Prints a line of the answer.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// Prints what is going on, beside the answer.
pub(crate) fn note(text: &str) {
    eprintln!("xtask: {text}");
}

/// Prints an error with everything that led to it.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
