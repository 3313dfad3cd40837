//! A run as `JUnit` writes it, which every CI system reads.

use std::fmt::Write as _;

use crate::steps::{Finished, State};

/// Writes one test case for each action.
pub fn junit(suite: &str, finished: &[Finished]) -> String {
    let count =
        |wanted: fn(&State) -> bool| finished.iter().filter(|step| wanted(&step.state)).count();
    let total: f64 = finished.iter().map(|step| step.elapsed.as_secs_f64()).sum();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{total:.3}\">\n",
        escape(suite),
        finished.len(),
        count(|state| matches!(state, State::Failed(_))),
        count(|state| matches!(state, State::Left | State::Unchanged)),
    );
    for step in finished {
        write!(
            text,
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
            escape(suite),
            escape(&step.name),
            step.elapsed.as_secs_f64()
        )
        .expect("writing to a string cannot fail");
        match step.state {
            State::Done => {}
            State::Unchanged => {
                text.push_str("<skipped message=\"nothing it depends on changed\"/>");
            }
            State::Left => text.push_str("<skipped message=\"what it needs failed\"/>"),
            State::Failed(code) => {
                write!(
                    text,
                    "<failure message=\"exit code {code}\">{}</failure>",
                    escape(&step.output)
                )
                .expect("writing to a string cannot fail");
            }
        }
        text.push_str("</testcase>\n");
    }
    text.push_str("</testsuite>\n");
    text
}

/// Escapes what XML gives a meaning; what XML cannot hold at all becomes a question mark.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_run_is_written_with_what_failed_and_why() {
        let step = |name: &str, state, output: &str| Finished {
            name: name.into(),
            state,
            elapsed: Duration::from_millis(1500),
            output: output.into(),
        };
        let text = junit(
            "shop <a&b>",
            &[
                step("build", State::Done, ""),
                step("test", State::Failed(3), "\u{1b}[31m1 < 2 & \"x\""),
                step("push", State::Left, ""),
            ],
        );
        assert!(text.contains("<testsuite name=\"shop &lt;a&amp;b&gt;\" tests=\"3\" failures=\"1\" skipped=\"1\" time=\"4.500\">"), "{text}");
        assert!(
            text.contains(
                "<failure message=\"exit code 3\">?[31m1 &lt; 2 &amp; &quot;x&quot;</failure>"
            ),
            "{text}"
        );
    }
}
