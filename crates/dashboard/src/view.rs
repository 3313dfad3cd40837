//! A page as parts that can change on their own.

use crate::html::Html;

/// What a page shows below its frame.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) title: String,
    pub(crate) parts: Vec<Part>,
    /// Something changed since what this is made of was looked at.
    pub(crate) stale: bool,
}

/// One part; those with a name are sent again when they change.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Fixed(Html),
    Live(&'static str, Html),
    Table(TableView),
}

/// A table whose rows have keys.
#[derive(Debug, Clone)]
pub(crate) struct TableView {
    pub(crate) id: &'static str,
    /// Cells of the first line.
    pub(crate) head: Html,
    /// Key and cells of each row.
    pub(crate) rows: Vec<(String, Html)>,
    /// Why there are no rows.
    pub(crate) empty: String,
}

impl View {
    pub(crate) fn write(&self, html: &mut Html) {
        for part in &self.parts {
            match part {
                Part::Fixed(piece) => {
                    html.append(piece);
                }
                Part::Live(id, piece) => {
                    html.raw("<div class=part data-part").attribute("id", id);
                    html.raw(">").append(piece).raw("</div>");
                }
                Part::Table(table) => table.write(html),
            }
        }
    }
}

impl TableView {
    fn write(&self, html: &mut Html) {
        html.raw("<div class=scroll tabindex=0 role=region")
            .attribute("aria-label", "Table, can be scrolled sideways");
        html.raw("><table data-rows").attribute("id", self.id);
        html.raw("><thead><tr>")
            .append(&self.head)
            .raw("</tr></thead><tbody>");
        for (key, cells) in &self.rows {
            html.raw("<tr")
                .attribute("data-key", key)
                .raw(">")
                .append(cells)
                .raw("</tr>");
        }
        html.raw("</tbody></table>");
        html.raw("<p class=empty");
        if !self.rows.is_empty() {
            html.raw(" hidden");
        }
        html.raw(">").text(&self.empty).raw("</p></div>");
    }
}
