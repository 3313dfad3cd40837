//! A run as it goes on: a full-screen view on a terminal, one line a second elsewhere.

use std::io::{self, Stderr};

use foreshore_scenario::spell;
use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::crossterm::{cursor, execute};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Gauge, Paragraph, Sparkline};

use crate::run::Live;

/// Draws on standard error; the screen is given back when it is dropped.
///
/// Keys are left to the terminal, so Ctrl-C stays a signal.
#[derive(Debug)]
pub struct LiveView {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    title: String,
}

impl LiveView {
    pub fn open(title: String) -> io::Result<Self> {
        execute!(io::stderr(), EnterAlternateScreen, cursor::Hide)?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stderr()))?;
        Ok(Self { terminal, title })
    }

    pub fn draw(&mut self, live: &Live<'_>) -> io::Result<()> {
        let title = &self.title;
        self.terminal
            .draw(|frame| draw(frame, title, live))
            .map(|_| ())
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        // When the terminal is gone there is nothing to give back.
        drop(execute!(io::stderr(), LeaveAlternateScreen, cursor::Show));
    }
}

/// The run in one line.
pub fn progress(live: &Live<'_>) -> String {
    let last = live.timeline.moments.last().copied().unwrap_or_default();
    let length = live
        .length
        .map_or_else(String::new, |length| format!(" of {}", spell(length)));
    format!(
        "{}{length}: {} requests, {}/s, {} failed, {} undelivered, {} users, p50 {} p99 {}",
        spell(std::time::Duration::from_secs(live.elapsed.as_secs())),
        live.requests,
        last.requests / live.timeline.seconds.max(1),
        live.failed,
        live.undelivered,
        live.in_flight,
        spell(last.p50),
        spell(last.p99),
    )
}

fn draw(frame: &mut Frame<'_>, title: &str, live: &Live<'_>) {
    let [head, numbers, rate, latency, failures] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(7),
        Constraint::Min(5),
        Constraint::Min(5),
        Constraint::Length(5),
    ])
    .areas(frame.area());
    let share = live.length.map_or(0.0, |length| {
        (live.elapsed.as_secs_f64() / length.as_secs_f64().max(1e-9)).clamp(0.0, 1.0)
    });
    let gauge = Gauge::default()
        .block(Block::bordered().title(format!(" {title} ")))
        .gauge_style(Style::new().fg(Color::Blue))
        .label(spell(std::time::Duration::from_secs(
            live.elapsed.as_secs(),
        )))
        .ratio(share);
    frame.render_widget(gauge, head);
    frame.render_widget(
        Paragraph::new(lines(live))
            .block(Block::bordered().title(" latency from the planned moment ")),
        numbers,
    );
    let width = usize::from(rate.width.saturating_sub(2));
    let newest = |value: &dyn Fn(&foreshore_scenario::Moment) -> u64| -> Vec<u64> {
        let moments = &live.timeline.moments;
        moments[moments.len().saturating_sub(width)..]
            .iter()
            .map(value)
            .collect()
    };
    let sparkline = |title: &'static str, data: Vec<u64>, color| {
        Sparkline::default()
            .block(Block::bordered().title(title))
            .data(data)
            .style(Style::new().fg(color))
    };
    let micros = |moment: &foreshore_scenario::Moment| {
        u64::try_from(moment.p99.as_micros()).unwrap_or(u64::MAX)
    };
    frame.render_widget(
        sparkline(" requests ", newest(&|it| it.requests), Color::Blue),
        rate,
    );
    frame.render_widget(sparkline(" p99 ", newest(&micros), Color::Yellow), latency);
    frame.render_widget(
        sparkline(" failed ", newest(&|it| it.failed), Color::Red),
        failures,
    );
}

fn lines(live: &Live<'_>) -> Vec<Line<'static>> {
    let at = |share| {
        live.latency
            .quantile(share)
            .map_or_else(|| "-".to_owned(), spell)
    };
    vec![
        Line::from(format!(
            "p50 {:>8}   p90 {:>8}   p99 {:>8}   p99.9 {:>8}   max {:>8}",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0)
        )),
        Line::from(format!("requests    {}", live.requests)),
        Line::from(format!("failed      {}", live.failed)),
        Line::from(format!("undelivered {}", live.undelivered)),
        Line::from(format!("users       {}", live.in_flight)),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use foreshore_scenario::{Durations, Moment, Timeline};
    use ratatui::backend::TestBackend;

    use super::*;

    fn with_live(check: impl FnOnce(&Live<'_>)) {
        let mut latency = Durations::coarse();
        latency.record_many(2000, 99);
        latency.record_many(9000, 1);
        let mut timeline = Timeline::default();
        for second in 0..200 {
            timeline.add(second, &Moment::new(100 + second, 3, &latency));
        }
        check(&Live {
            elapsed: Duration::from_millis(12_345),
            length: Some(Duration::from_mins(1)),
            requests: 1234,
            failed: 3,
            undelivered: 7,
            in_flight: 42,
            latency: &latency,
            timeline: &timeline,
        });
    }

    #[test]
    fn the_screen_shows_what_matters() {
        with_live(|live| {
            let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
            terminal
                .draw(|frame| draw(frame, "shop · spike", live))
                .unwrap();
            let screen = format!("{}", terminal.backend());
            for part in [
                "shop · spike",
                "12s",
                "1234",
                "undelivered 7",
                "users       42",
                "p99   2.01ms",
                "█",
            ] {
                assert!(
                    screen.contains(part),
                    "`{part}` is not on the screen:\n{screen}"
                );
            }
        });
    }

    #[test]
    fn a_screen_of_any_size_is_drawn() {
        with_live(|live| {
            for (width, height) in [(1, 1), (20, 5), (300, 100)] {
                let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
                terminal.draw(|frame| draw(frame, "s", live)).unwrap();
            }
        });
    }

    #[test]
    fn one_line_says_the_same() {
        with_live(|live| {
            assert_eq!(
                progress(live),
                "12s of 60s: 1234 requests, 299/s, 3 failed, 7 undelivered, 42 users, p50 2.01ms p99 2.01ms"
            );
        });
    }
}
