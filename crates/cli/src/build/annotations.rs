//! Lines that CI systems fold and highlight: GitHub's and GitLab's.

use std::collections::BTreeMap;

use foreshore_action::{Finished, State};

use super::pipeline::seconds;

/// A system whose log understands more than text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Github,
    Gitlab,
}

impl System {
    /// Recognises the system by the variables that it sets.
    pub(super) fn of(environment: &BTreeMap<String, String>) -> Option<Self> {
        let is_set = |name: &str| environment.get(name).is_some_and(|value| value == "true");
        if is_set("GITHUB_ACTIONS") {
            return Some(Self::Github);
        }
        is_set("GITLAB_CI").then_some(Self::Gitlab)
    }

    /// Writes an action's output so that it can be folded; `at` is the time it ended, in seconds.
    pub(super) fn folded(self, step: &Finished, at: i64) -> String {
        let name = plain(&step.name);
        let output = step.output.trim_end();
        match self {
            // A line of the output must not pose as a command to GitHub.
            Self::Github => format!(
                "::group::{name}\n::stop-commands::{token}\n{output}\n::{token}::\n::endgroup::",
                token = token(output)
            ),
            Self::Gitlab => {
                let start = at - i64::try_from(step.elapsed.as_secs()).unwrap_or(0);
                format!(
                    "\x1b[0Ksection_start:{start}:{name}[collapsed=true]\r\x1b[0K{name}\n{output}\n\
                     \x1b[0Ksection_end:{at}:{name}\r\x1b[0K"
                )
            }
        }
    }

    /// Writes what makes a failure stand out; nothing for one that did not fail.
    pub(super) fn failure(self, step: &Finished) -> Option<String> {
        let State::Failed(code) = step.state else {
            return None;
        };
        let name = plain(&step.name);
        let after = seconds(step.elapsed);
        Some(match self {
            Self::Github => {
                format!("::error title={name}::failed with exit code {code} after {after}")
            }
            Self::Gitlab => {
                format!("\x1b[0;31m{name}: failed with exit code {code} after {after}\x1b[0m")
            }
        })
    }
}

/// Names of actions are free; in a marker only this much is.
fn plain(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// A word that the output does not hold.
fn token(output: &str) -> String {
    foreshore_model::Digest::of(output.as_bytes()).hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn step(output: &str, state: State) -> Finished {
        Finished {
            name: "unit test".into(),
            state,
            elapsed: Duration::from_secs(2),
            output: output.into(),
        }
    }

    #[test]
    fn the_system_is_recognised_by_its_own_variable() {
        let environment = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
        assert_eq!(
            System::of(&environment("GITHUB_ACTIONS", "true")),
            Some(System::Github)
        );
        assert_eq!(
            System::of(&environment("GITLAB_CI", "true")),
            Some(System::Gitlab)
        );
        assert_eq!(System::of(&environment("GITHUB_ACTIONS", "false")), None);
        assert_eq!(System::of(&environment("CI", "true")), None);
    }

    #[test]
    fn output_cannot_give_commands_to_the_system() {
        let text = System::Github.folded(&step("::error::forged", State::Done), 10);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "::group::unit_test");
        let token = lines[1].strip_prefix("::stop-commands::").unwrap();
        assert_eq!(lines[3], format!("::{token}::"));
        assert!(!"::error::forged".contains(token));
        assert_eq!(lines[4], "::endgroup::");
    }

    #[test]
    fn sections_and_failures_are_written_as_each_system_reads_them() {
        let failed = step("x", State::Failed(3));
        assert_eq!(
            System::Github.failure(&failed).unwrap(),
            "::error title=unit_test::failed with exit code 3 after 2.00s"
        );
        let text = System::Gitlab.folded(&failed, 10);
        assert!(
            text.starts_with("\x1b[0Ksection_start:8:unit_test[collapsed=true]\r"),
            "{text:?}"
        );
        assert!(
            text.contains("\x1b[0Ksection_end:10:unit_test\r"),
            "{text:?}"
        );
        assert_eq!(System::Gitlab.failure(&step("x", State::Done)), None);
    }
}
