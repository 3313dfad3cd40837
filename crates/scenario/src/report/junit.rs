//! The report as `JUnit` XML, for CI systems.

use std::fmt::Write as _;

use super::Report;
use crate::gate::Decision;
use crate::verdict::Verdict;

/// The cases written so far.
#[derive(Default)]
struct Cases {
    text: String,
    count: usize,
    failed: usize,
}

impl Cases {
    fn add(&mut self, class: &str, name: &str, seconds: f64, failure: Option<(&str, &str)>) {
        self.count += 1;
        self.failed += usize::from(failure.is_some());
        let end = match failure {
            None => "/>".to_owned(),
            Some((kind, message)) => format!(
                ">\n    <failure type=\"{kind}\" message=\"{}\"/>\n  </testcase>",
                escaped(message)
            ),
        };
        writeln!(
            self.text,
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.6}\"{end}",
            escaped(class),
            escaped(name)
        )
        .expect("writing to a string cannot fail");
    }
}

impl Report {
    /// One case per step of a functional run, and one per gate.
    pub fn junit(&self) -> String {
        let class = format!("{}.{}", self.scenario, self.profile);
        let mut cases = Cases::default();
        for run in &self.outcome.log {
            let name = format!(
                "{} (user {}, pass {})",
                self.step_names[run.step], run.user, run.iteration
            );
            let failure = run
                .failure
                .as_ref()
                .map(|(kind, message, _)| (kind.name(), message.as_str()));
            cases.add(&class, &name, run.duration.as_secs_f64(), failure);
        }
        for answer in &self.answers {
            let message = format!("measured {}", answer.measured);
            let failure = (answer.decision != Decision::Holds).then_some(("gate", &*message));
            cases.add(&class, &format!("gate {}", answer.gate.text), 0.0, failure);
        }
        let passed = self.verdict == Verdict::Pass;
        if cases.count == 0 || (cases.failed == 0 && !passed) {
            let message = self.reasons().join("; ");
            let failure = (!passed).then_some((self.verdict.name(), &*message));
            cases.add(
                &class,
                "verdict",
                self.outcome.elapsed.as_secs_f64(),
                failure,
            );
        }
        let Cases {
            text,
            count,
            failed,
        } = cases;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{count}\" failures=\"{failed}\" time=\"{:.6}\" timestamp=\"{}\">\n{text}</testsuite>\n",
            escaped(&self.scenario),
            self.outcome.elapsed.as_secs_f64(),
            self.outcome.started_at,
        )
    }
}

/// Text that stands in XML and HTML; what XML cannot hold is replaced.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_an_answer_holds_leaves_its_place() {
        assert_eq!(
            escaped("<a b=\"c\">&'\u{1}\n"),
            "&lt;a b=&quot;c&quot;&gt;&amp;&#39;\u{fffd} "
        );
    }
}
