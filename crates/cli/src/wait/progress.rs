//! Tells how releases come along: a live table, plain lines, or lines of JSON.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::board::{Board, Row, Step};
use super::words::{log_line, short};
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, Terminal, table};

/// Lines of a live table; it is drawn over itself, so it may not be higher than the screen.
const LINES_MAX: usize = 20;

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A table that is drawn anew, with so many lines on the screen now.
    Live {
        drawn: usize,
    },
    Lines,
    /// One JSON document in a line for each change, on standard output.
    Json,
}

/// Where the story of a wait is told.
#[derive(Debug)]
pub(super) struct Teller {
    terminal: Terminal,
    form: Form,
    board: Board,
    started: Instant,
}

#[derive(Serialize)]
struct StepEvent<'a> {
    event: &'static str,
    elapsed_ms: u64,
    #[serde(flatten)]
    row: &'a Row,
}

#[derive(Serialize)]
struct EndEvent<'a> {
    event: &'static str,
    elapsed_ms: u64,
    code: u8,
    message: &'a str,
    hints: &'a [String],
}

impl Teller {
    pub(super) fn new(context: &Context) -> Self {
        let terminal = context.terminal.clone();
        let form = if terminal.tells_json() {
            Form::Json
        } else if terminal.draws() {
            Form::Live { drawn: 0 }
        } else {
            Form::Lines
        };
        Self {
            terminal,
            form,
            board: Board::default(),
            started: Instant::now(),
        }
    }

    /// Whether time alone changes what is shown.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.form, Form::Live { .. })
    }

    pub(super) fn look(&mut self, rows: Vec<Row>) {
        let now = self.started.elapsed();
        let news = self.board.look(rows, now);
        match self.form {
            Form::Live { .. } => self.draw(),
            Form::Lines => {
                for row in &news {
                    self.terminal.say(&line(row, now));
                }
            }
            Form::Json => {
                for row in &news {
                    let elapsed_ms = millis(now);
                    Terminal::event(&StepEvent {
                        event: "step",
                        elapsed_ms,
                        row,
                    });
                }
            }
        }
    }

    /// Draws the table over the one before.
    pub(super) fn draw(&mut self) {
        let Form::Live { drawn } = self.form else {
            return;
        };
        let lines = frame(&self.board, self.started.elapsed());
        Terminal::redraw(drawn, &lines);
        self.form = Form::Live { drawn: lines.len() };
    }

    /// Closes the story; in lines of JSON the answer is the last of them.
    pub(super) fn end(&self, result: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        if self.form != Form::Json {
            return result;
        }
        match result {
            Ok(outcome) => Ok(outcome.in_one_line()),
            Err(failure) => {
                Terminal::event(&EndEvent {
                    event: "end",
                    elapsed_ms: millis(self.started.elapsed()),
                    code: failure.code.code(),
                    message: &failure.message,
                    hints: &failure.hints,
                });
                Err(failure)
            }
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// One change, for those who read what went by.
fn line(row: &Row, now: Duration) -> String {
    let mut place = format!("{}/{}", row.environment, row.service);
    if let Some(site) = &row.site {
        place = format!("{place} {site}");
    }
    let said = match row.step {
        Step::Pods => row.words.clone(),
        Step::Checks => format!("check {}", row.words),
        step => format!("{}: {}", step.word(), row.words),
    };
    let mut line = format!("{:>6} {place} {said}", short(now));
    for text in &row.log {
        line.push('\n');
        line.push_str(&log_line(text));
    }
    line
}

/// The table as it is now, cut to what a screen holds.
fn frame(board: &Board, now: Duration) -> Vec<String> {
    let rows = board.timed(now).map(|(row, time)| {
        vec![
            row.service.to_string(),
            row.environment.to_string(),
            row.site
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            row.step.word().to_owned(),
            row.state.word().to_owned(),
            short(time),
            row.words.clone(),
        ]
    });
    let header = [
        "SERVICE",
        "ENVIRONMENT",
        "SITE",
        "STEP",
        "STATE",
        "FOR",
        "WHAT",
    ];
    let mut lines: Vec<String> = table(&header, rows).lines().map(str::to_owned).collect();
    let logs = board.timed(now).flat_map(|(row, _)| &row.log);
    lines.extend(logs.map(|line| log_line(line)));
    let left_out = lines.len().saturating_sub(LINES_MAX);
    if left_out > 0 {
        lines.truncate(LINES_MAX - 1);
        lines.push(format!("… and {} lines more", left_out + 1));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::board::Progress;
    use super::*;

    fn row(step: Step, state: Progress, words: &str) -> Row {
        Row {
            service: "web".parse().unwrap(),
            environment: "dev".parse().unwrap(),
            number: Some(3),
            site: Some("dc1".parse().unwrap()),
            step,
            state,
            part: String::new(),
            words: words.to_owned(),
            log: Vec::new(),
        }
    }

    #[test]
    fn a_row_keeps_its_time_until_its_state_is_another() {
        let mut board = Board::default();
        let at = Duration::from_secs;
        board.look(vec![row(Step::Rollout, Progress::Running, "a")], at(1));
        board.look(vec![row(Step::Rollout, Progress::Running, "b")], at(4));
        let times = |board: &Board, now| -> Vec<Duration> {
            board.timed(at(now)).map(|(_, time)| time).collect()
        };
        assert_eq!(times(&board, 6), [at(5)]);
        board.look(vec![row(Step::Rollout, Progress::Done, "b")], at(7));
        assert_eq!(times(&board, 9), [at(2)]);
    }

    #[test]
    fn only_what_changed_is_told_again() {
        let mut board = Board::default();
        let first = vec![
            row(Step::Agent, Progress::Done, "applied"),
            row(Step::Rollout, Progress::Running, "progressing"),
        ];
        assert_eq!(board.look(first.clone(), Duration::ZERO), first);
        let second = vec![
            first[0].clone(),
            row(Step::Rollout, Progress::Done, "healthy"),
        ];
        assert_eq!(board.look(second.clone(), Duration::ZERO), second[1..]);
        assert_eq!(board.look(second, Duration::ZERO), []);
    }

    #[test]
    fn a_table_never_grows_beyond_a_screen() {
        let mut board = Board::default();
        let mut long = row(Step::Pods, Progress::Stalled, "Pod/web-1: CrashLoopBackOff");
        long.log = (0..100).map(|n| format!("line {n}")).collect();
        board.look(vec![long], Duration::ZERO);
        let lines = frame(&board, Duration::from_secs(1));
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines[LINES_MAX - 1], "… and 83 lines more");
        assert!(lines[1].contains("1.0s"), "{}", lines[1]);
    }

    #[test]
    fn a_line_says_when_where_and_what() {
        let mut stalled = row(Step::Pods, Progress::Stalled, "Pod/web-1: ErrImagePull");
        stalled.log = vec!["boom".to_owned()];
        assert_eq!(
            line(&stalled, Duration::from_secs(12)),
            "   12s dev/web dc1 Pod/web-1: ErrImagePull\n    | boom"
        );
        assert_eq!(
            line(
                &row(Step::Checks, Progress::Done, "front passed in dev"),
                Duration::ZERO
            ),
            "  0.0s dev/web dc1 check front passed in dev"
        );
    }
}
