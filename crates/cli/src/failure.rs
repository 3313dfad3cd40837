//! How a command says that it could not do its work.

use std::error::Error;

use foreshore_model::ExitCode;
use foreshore_model::api::Problem;

pub(crate) use foreshore_model::chain;

/// What went wrong, how the command ends, and what to type next.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: ExitCode,
    pub(crate) message: String,
    pub(crate) hints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// Takes an error with its whole chain of sources.
    pub(crate) fn from_error(code: ExitCode, error: &dyn Error) -> Self {
        Self::new(code, chain(error))
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Takes over what the server said.
    pub(crate) fn from_problem(problem: Problem) -> Self {
        let code = ExitCode::ALL
            .into_iter()
            .find(|code| code.code() == problem.code)
            .unwrap_or(ExitCode::Failed);
        Self {
            code,
            message: problem.message,
            hints: problem.hints,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_code_is_the_commands_code() {
        let problem = Problem {
            code: 5,
            kind: "conflict".into(),
            message: "m".into(),
            hints: vec![],
        };
        assert_eq!(Failure::from_problem(problem).code, ExitCode::Conflict);
    }
}
