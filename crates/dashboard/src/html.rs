//! Writes HTML: markup comes from our source, every other text is made harmless first.
//!
//! [`Html::raw`] takes only what is written in this program; names, labels, log
//! lines and messages go through [`Html::text`] or [`Html::attribute`].

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;

use crate::age::age;
use crate::text;

/// A piece of a page, and a fingerprint that does not change as time passes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Html {
    out: String,
    seen: DefaultHasher,
}

impl Html {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends markup of ours.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self.seen.write(markup.as_bytes());
        self
    }

    /// Appends text of anybody's.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        text.hash(&mut self.seen);
        text::push_escaped(&mut self.out, text, text::LENGTH_MAX);
        self
    }

    /// Appends text that may be long, like a log line.
    pub(crate) fn long_text(&mut self, text: &str, length_max: usize) -> &mut Self {
        text.hash(&mut self.seen);
        text::push_escaped(&mut self.out, text, length_max);
        self
    }

    /// Appends ` name="value"`.
    pub(crate) fn attribute(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    pub(crate) fn number(&mut self, number: impl std::fmt::Display) -> &mut Self {
        self.text(&number.to_string())
    }

    /// Appends how long ago something was; the reader sees the moment itself on hover.
    pub(crate) fn age(&mut self, at: Timestamp, now: Timestamp) -> &mut Self {
        let moment = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.raw("<time").attribute("datetime", &moment);
        self.attribute("title", &moment.replace('T', " ").replace('Z', " UTC"));
        self.raw(">");
        // Not part of the fingerprint: the page counts on by itself.
        self.out.push_str(&age(at, now));
        self.raw("</time>")
    }

    /// Appends a piece that was made before.
    pub(crate) fn append(&mut self, other: &Self) -> &mut Self {
        self.out.push_str(&other.out);
        self.seen.write_u64(other.fingerprint());
        self
    }

    /// Appends a link to one of our own pages.
    pub(crate) fn link(&mut self, to: &str, text: &str) -> &mut Self {
        self.raw("<a").attribute("href", own(to));
        self.raw(">").text(text).raw("</a>")
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.seen.finish()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.out
    }

    pub(crate) fn into_string(self) -> String {
        self.out
    }
}

/// Links lead to our own pages only; anything else becomes a link to the first one.
pub(crate) fn own(to: &str) -> &str {
    let inside = to.starts_with('/') && !to.starts_with("//") && !to.contains('\\');
    if inside { to } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_become_markup() {
        let mut html = Html::new();
        html.raw("<p").attribute("title", "\" onload=\"x");
        html.raw(">").text("<script>alert('1')</script>");
        assert_eq!(
            html.as_str(),
            "<p title=\"&quot; onload=&quot;x\">&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"
        );
    }

    #[test]
    fn a_link_never_leaves_our_pages() {
        for hostile in ["javascript:alert(1)", "//evil.example", "https://x", "/\\x"] {
            let mut html = Html::new();
            html.link(hostile, "x");
            assert_eq!(html.as_str(), "<a href=\"/\">x</a>", "{hostile}");
        }
    }

    #[test]
    fn the_fingerprint_stays_while_only_time_passes() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let write = |now| {
            let mut html = Html::new();
            html.raw("<td>").age(at(0), at(now));
            html
        };
        assert_ne!(write(1).as_str(), write(100).as_str());
        assert_eq!(write(1).fingerprint(), write(100).fingerprint());
        let mut other = Html::new();
        other.raw("<td>").age(at(1), at(1));
        assert_ne!(write(1).fingerprint(), other.fingerprint());
    }
}
