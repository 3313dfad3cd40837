//! What a table holds: columns, rows, and cells that know how to look on a page, in CSV and in JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::age::seconds;
use crate::html::Html;

/// How good something is; the page shows it as shape, word and colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tone {
    /// Somebody must look.
    Bad,
    /// On its way, or close to a limit.
    Busy,
    /// Nothing is known.
    Unknown,
    Good,
    /// As it should be, and not worth a look.
    Quiet,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Busy => "busy",
            Self::Unknown => "unknown",
            Self::Good => "good",
            Self::Quiet => "quiet",
        }
    }
}

/// A column, the same on the page and in exports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Stable: it is in URLs and in exported files.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// Figures stand on the right.
    pub(crate) numeric: bool,
    pub(crate) sortable: bool,
    /// Left out of exports.
    pub(crate) buttons: bool,
}

impl Column {
    pub(crate) const fn text(key: &'static str, title: &'static str) -> Self {
        Self {
            key,
            title,
            numeric: false,
            sortable: true,
            buttons: false,
        }
    }

    pub(crate) const fn number(key: &'static str, title: &'static str) -> Self {
        Self {
            numeric: true,
            ..Self::text(key, title)
        }
    }

    pub(crate) const fn unsorted(key: &'static str, title: &'static str) -> Self {
        Self {
            sortable: false,
            ..Self::text(key, title)
        }
    }

    pub(crate) const fn buttons() -> Self {
        Self {
            buttons: true,
            ..Self::unsorted("actions", "Actions")
        }
    }
}

/// One row; `key` stays the same as long as it is about the same thing.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) cells: Vec<Cell>,
}

/// From when on an age is worrying, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) busy: i64,
    pub(crate) bad: i64,
}

impl Limits {
    pub(crate) fn tone(self, at: Timestamp, now: Timestamp) -> Tone {
        match seconds(at, now) {
            old if old >= self.bad => Tone::Bad,
            old if old >= self.busy => Tone::Busy,
            _ => Tone::Good,
        }
    }
}

/// What stands in one place of a table.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Empty,
    Text(String),
    Quiet(String),
    Code(String),
    Number(i64),
    Link {
        to: String,
        text: String,
    },
    Status {
        tone: Tone,
        word: String,
        /// Shown on hover and in exports.
        detail: String,
    },
    Age(Timestamp),
    /// An age with a limit of its own.
    Heartbeat(Timestamp, Limits),
    /// How much of something is taken.
    Bar {
        used: i64,
        of: i64,
        text: String,
        label: &'static str,
    },
    /// One mark each, with its name on hover.
    Marks(Vec<(Tone, String)>),
    /// Buttons that lead to a preview.
    Buttons(Vec<Button>),
    /// Counts per site as a line of their own.
    Lines(Vec<Self>),
    Joined(Vec<Self>),
    /// How often in each slice of time, oldest first.
    Spark(Vec<i64>),
}

/// A link that looks like a button and leads to a preview, never straight to the deed.
#[derive(Debug, Clone)]
pub(crate) struct Button {
    pub(crate) to: String,
    pub(crate) text: &'static str,
    /// Says what it is about to whoever cannot see the row.
    pub(crate) title: String,
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn status(tone: Tone, word: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Status {
            tone,
            word: word.into(),
            detail: detail.into(),
        }
    }

    pub(crate) fn link(to: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Link {
            to: to.into(),
            text: text.into(),
        }
    }

    pub(crate) fn age(at: Option<Timestamp>) -> Self {
        at.map_or(Self::Empty, Self::Age)
    }

    pub(crate) fn write(&self, html: &mut Html, now: Timestamp) {
        match self {
            Self::Empty => {}
            Self::Text(text) => drop_ref(html.text(text)),
            Self::Quiet(text) => drop_ref(html.raw("<span class=quiet>").text(text).raw("</span>")),
            Self::Code(text) => drop_ref(html.raw("<code>").text(text).raw("</code>")),
            Self::Number(number) => drop_ref(html.number(number)),
            Self::Link { to, text } => drop_ref(html.link(to, text)),
            Self::Status { tone, word, detail } => status(html, *tone, word, detail),
            Self::Age(at) => drop_ref(html.age(*at, now)),
            Self::Heartbeat(at, limits) => {
                html.raw("<span class=\"mark ")
                    .raw(limits.tone(*at, now).class());
                html.raw("\">").age(*at, now).raw("</span>");
            }
            Self::Bar {
                used,
                of,
                text,
                label,
            } => bar(html, *used, *of, text, label),
            Self::Marks(marks) => {
                html.raw("<span class=marks>");
                for (tone, name) in marks {
                    html.raw("<i class=\"mark ").raw(tone.class()).raw("\"");
                    html.attribute("title", name)
                        .raw(" role=img")
                        .attribute("aria-label", name);
                    html.raw("></i>");
                }
                html.raw("</span>");
            }
            Self::Buttons(buttons) => {
                html.raw("<span class=buttons>");
                for button in buttons {
                    html.raw("<a class=button data-ask")
                        .attribute("href", crate::html::own(&button.to));
                    html.attribute("aria-label", &button.title)
                        .attribute("title", &button.title);
                    html.raw(">").raw(button.text).raw("</a>");
                }
                html.raw("</span>");
            }
            Self::Lines(cells) => {
                for cell in cells {
                    html.raw("<div>");
                    cell.write(html, now);
                    html.raw("</div>");
                }
            }
            Self::Spark(slices) => spark(html, slices),
            Self::Joined(cells) => {
                for (index, cell) in cells.iter().enumerate() {
                    if index > 0 {
                        html.raw(" ");
                    }
                    cell.write(html, now);
                }
            }
        }
    }

    /// What stands in a cell of a CSV file.
    pub(crate) fn plain(&self) -> String {
        match self {
            Self::Empty | Self::Buttons(_) => String::new(),
            Self::Text(text) | Self::Quiet(text) | Self::Code(text) | Self::Link { text, .. } => {
                text.clone()
            }
            Self::Number(number) => number.to_string(),
            Self::Status { word, detail, .. } if detail.is_empty() => word.clone(),
            Self::Status { word, detail, .. } => format!("{word}: {detail}"),
            Self::Age(at) | Self::Heartbeat(at, _) => at.to_string(),
            Self::Bar { text, .. } => text.clone(),
            Self::Marks(marks) => joined(marks.iter().map(|(_, name)| name.clone())),
            Self::Lines(cells) => joined(cells.iter().map(Self::plain)),
            Self::Spark(slices) => joined(slices.iter().map(i64::to_string)),
            Self::Joined(cells) => {
                let parts: Vec<String> = cells.iter().map(Self::plain).collect();
                parts.join(" ").trim().to_owned()
            }
        }
    }

    /// What stands in JSON.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Empty => Value::Null,
            Self::Number(number) => json!(number),
            Self::Bar { used, of, .. } => json!({"used": used, "of": of}),
            Self::Status { word, detail, tone } => {
                json!({"word": word, "detail": detail, "tone": tone.class()})
            }
            Self::Lines(cells) => cells.iter().map(Self::json).collect(),
            Self::Spark(slices) => json!(slices),
            Self::Marks(marks) => marks.iter().map(|(_, name)| json!(name)).collect(),
            other => json!(other.plain()),
        }
    }
}

/// Ends a chain whose value nobody needs.
fn drop_ref(_: &mut Html) {}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}

/// Writes a state as shape, word and colour.
pub(crate) fn status(html: &mut Html, tone: Tone, word: &str, detail: &str) {
    html.raw("<span class=\"mark ").raw(tone.class()).raw("\"");
    if !detail.is_empty() {
        html.attribute("title", detail);
    }
    html.raw(">").text(word).raw("</span>");
}

fn bar(html: &mut Html, used: i64, of: i64, text: &str, label: &str) {
    if of <= 0 {
        html.raw("<span class=quiet>").text(text).raw("</span>");
        return;
    }
    let share = (used.max(0).saturating_mul(100) / of).min(100);
    html.raw("<span class=bar><meter min=0 max=100 low=70 high=90 optimum=0");
    html.attribute("value", &share.to_string())
        .attribute("aria-label", label);
    html.raw("></meter><span>").text(text).raw("</span></span>");
}

fn spark(html: &mut Html, slices: &[i64]) {
    let most = slices.iter().copied().max().unwrap_or(0).max(1);
    let mut points = String::new();
    for (index, slice) in slices.iter().enumerate() {
        let height = 14 - slice.max(&0).saturating_mul(13) / most;
        points.push_str(&(index * 4).to_string());
        points.push(',');
        points.push_str(&height.to_string());
        points.push(' ');
    }
    html.raw("<svg class=spark viewBox=\"0 0 96 16\" role=img");
    html.attribute("aria-label", &format!("most in one hour: {most}"));
    html.raw("><polyline")
        .attribute("points", points.trim())
        .raw("/></svg>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cell: &Cell) -> String {
        let mut html = Html::new();
        cell.write(&mut html, Timestamp::from_second(500).unwrap());
        html.into_string()
    }

    #[test]
    fn a_state_has_a_shape_and_a_word_and_never_only_a_colour() {
        let html = shown(&Cell::status(Tone::Bad, "CrashLoopBackOff", "exit 1"));
        assert!(html.contains("mark bad") && html.contains(">CrashLoopBackOff<"));
        assert!(html.contains("title=\"exit 1\""));
    }

    #[test]
    fn a_heartbeat_is_judged_by_its_own_limit() {
        let limits = Limits { busy: 60, bad: 120 };
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        for (seen, class) in [(450, "good"), (430, "busy"), (300, "bad")] {
            let html = shown(&Cell::Heartbeat(at(seen), limits));
            assert!(html.contains(class), "{html}");
        }
        assert!(!shown(&Cell::Age(at(0))).contains("bad"));
    }

    #[test]
    fn a_share_is_never_more_than_the_whole() {
        let cell = Cell::Bar {
            used: 300,
            of: 100,
            text: "300m of 100m".into(),
            label: "CPU",
        };
        assert!(shown(&cell).contains("value=\"100\""));
        assert_eq!(cell.json(), json!({"used": 300, "of": 100}));
    }
}
