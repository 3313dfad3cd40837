//! Lists: filtered, sorted and cut on the server, the same for page, stream and export.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use foreshore_model::api::load::Loads;
use jiff::Timestamp;

use crate::cell::{Column, Row};
use crate::html::Html;
use crate::page::pods::Gathered;
use crate::query::Query;
use crate::site::Site;
use crate::view::{Part, TableView};
use crate::world::World;

/// Choices of one facet that are offered; more are reached by the filter.
const CHOICES_MAX: usize = 200;

/// What a page is made of, as of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) sites: Vec<Arc<Site>>,
    pub(crate) world: Arc<World>,
    pub(crate) jobs: Arc<crate::act::Jobs>,
    pub(crate) loads: Arc<Loads>,
    pub(crate) now: Timestamp,
    /// One look at all pods for everybody, and which changes this moment knows of.
    pub(crate) gathered: Arc<Gathered>,
    pub(crate) version: u64,
    /// Set where something was shown that knows of fewer changes.
    pub(crate) stale: Arc<AtomicBool>,
    /// Whether what never changes is wanted too, like the choices of a filter.
    pub(crate) whole: bool,
    /// Whether the reader may change anything; else no buttons are shown.
    pub(crate) may_act: bool,
}

/// One kind of list.
pub(crate) trait Listing: Send + Sync + 'static {
    type Item: Send + Sync;

    fn path(&self) -> &'static str;
    fn columns(&self) -> &'static [Column];
    /// What can be chosen: key in the URL and words.
    fn facets(&self) -> &'static [(&'static str, &'static str)];
    fn gather(&self, facts: &Facts) -> Vec<Self::Item>;
    fn facet<'a>(&self, item: &'a Self::Item, key: &str) -> Cow<'a, str>;
    /// Whether a word, in lower case, is found somewhere in the item.
    fn mentions(&self, item: &Self::Item, word: &str) -> bool;
    /// Orders by a column; by `""` the worst comes first.
    fn compare(&self, column: &str, one: &Self::Item, other: &Self::Item) -> Ordering;
    fn row(&self, item: &Self::Item, facts: &Facts) -> Row;
    /// Why there is nothing to show.
    fn empty(&self, facts: &Facts) -> String;
}

/// Finds a word without making a copy of the text.
pub(crate) fn contains(text: &str, word: &str) -> bool {
    if word.is_empty() {
        return true;
    }
    if !word.is_ascii() {
        return text.to_lowercase().contains(word);
    }
    text.as_bytes()
        .windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// What is left of a list after its filters, in order.
pub(crate) struct Selected<I> {
    pub(crate) items: Vec<I>,
    /// How many there were before.
    pub(crate) all: usize,
    pub(crate) choices: Vec<(&'static str, &'static str, Vec<String>)>,
}

pub(crate) fn select<L: Listing>(listing: &L, query: &Query, facts: &Facts) -> Selected<L::Item> {
    let mut items = listing.gather(facts);
    let all = items.len();
    let choices = if facts.whole {
        choices(listing, &items)
    } else {
        Vec::new()
    };
    let wanted: Vec<(&str, &str)> = listing
        .facets()
        .iter()
        .filter_map(|(key, _)| Some((*key, query.get(key)?)))
        .collect();
    let words = query.words();
    items.retain(|item| {
        wanted
            .iter()
            .all(|(key, value)| listing.facet(item, key) == *value)
            && words.iter().all(|word| listing.mentions(item, word))
    });
    let (column, backwards) = query.sort().unwrap_or(("", false));
    let known = listing
        .columns()
        .iter()
        .any(|own| own.key == column && own.sortable);
    let column = if known { column } else { "" };
    items.sort_by(|one, other| {
        let order = listing.compare(column, one, other);
        let order = if backwards { order.reverse() } else { order };
        order.then_with(|| listing.compare("", one, other))
    });
    Selected {
        items,
        all,
        choices,
    }
}

type Choices = Vec<(&'static str, &'static str, Vec<String>)>;

fn choices<L: Listing>(listing: &L, items: &[L::Item]) -> Choices {
    let facets = listing.facets().iter();
    let choice = facets.map(|(key, title)| {
        let mut values: HashSet<Cow<'_, str>> = HashSet::new();
        for item in items {
            let value = listing.facet(item, key);
            if !value.is_empty() && !values.contains(&value) {
                values.insert(value);
                if values.len() == CHOICES_MAX {
                    break;
                }
            }
        }
        let mut values: Vec<String> = values.into_iter().map(Cow::into_owned).collect();
        values.sort_unstable();
        (*key, *title, values)
    });
    choice.collect()
}

/// Makes the parts of a page that shows a list.
pub(crate) fn parts<L: Listing>(listing: &L, query: &Query, facts: &Facts) -> Vec<Part> {
    let Selected {
        items,
        all,
        choices,
    } = select(listing, query, facts);
    let size = query.size();
    let pages = items.len().div_ceil(size).max(1);
    let page = query.page().min(pages);
    let shown = items.iter().skip((page - 1) * size).take(size);
    let rows = shown
        .map(|item| {
            let row = listing.row(item, facts);
            let html = write_row(listing.columns(), &row, facts);
            (row.key, html)
        })
        .collect();
    let why = if all > 0 {
        "Nothing matches the filter.".to_owned()
    } else {
        listing.empty(facts)
    };
    let mut filter_part = Html::new();
    if facts.whole {
        filter_part = filter(listing.path(), query, &choices);
    }
    vec![
        Part::Fixed(filter_part),
        Part::Table(TableView {
            id: "rows",
            head: head(listing, query, facts),
            rows,
            empty: why,
        }),
        Part::Live(
            "foot",
            foot(listing.path(), query, (page, pages), (items.len(), all)),
        ),
    ]
}

fn write_row(columns: &[Column], row: &Row, facts: &Facts) -> Html {
    let mut html = Html::new();
    for (index, (column, cell)) in columns.iter().zip(&row.cells).enumerate() {
        if column.buttons && !facts.may_act {
            continue;
        }
        let (open, close) = if index == 0 {
            ("<th scope=row", "</th>")
        } else {
            ("<td", "</td>")
        };
        html.raw(open);
        if column.numeric {
            html.raw(" class=number");
        } else if column.buttons {
            html.raw(" class=act");
        }
        html.attribute("data-label", column.title).raw(">");
        cell.write(&mut html, facts.now);
        html.raw(close);
    }
    html
}

fn head<L: Listing>(listing: &L, query: &Query, facts: &Facts) -> Html {
    let mut html = Html::new();
    let sorted = query.sort();
    for column in listing.columns() {
        if column.buttons && !facts.may_act {
            continue;
        }
        html.raw("<th scope=col");
        if column.numeric {
            html.raw(" class=number");
        }
        let current = sorted.filter(|(key, _)| *key == column.key);
        match current {
            Some((_, true)) => html.raw(" aria-sort=descending"),
            Some((_, false)) => html.raw(" aria-sort=ascending"),
            None => &mut html,
        };
        html.raw(">");
        if column.sortable {
            let next = if matches!(current, Some((_, false))) {
                format!("-{}", column.key)
            } else {
                column.key.to_owned()
            };
            html.link(
                &query
                    .with("sort", Some(&next))
                    .with("page", None)
                    .href(listing.path()),
                column.title,
            );
        } else {
            html.text(column.title);
        }
        html.raw("</th>");
    }
    html
}

fn filter(
    path: &'static str,
    query: &Query,
    choices: &[(&'static str, &'static str, Vec<String>)],
) -> Html {
    let mut html = Html::new();
    html.raw("<form class=filter method=get role=search")
        .attribute("action", path);
    html.raw("><label><span class=sr>Filter</span><input type=search name=q id=filter placeholder=\"Filter  /\" autocomplete=off");
    html.attribute("value", query.get("q").unwrap_or_default())
        .raw("></label>");
    for (key, title, values) in choices {
        let chosen = query.get(key);
        if values.len() < 2 && chosen.is_none() {
            continue;
        }
        html.raw("<label><span class=sr>")
            .text(title)
            .raw("</span><select")
            .attribute("name", key);
        html.raw("><option value=\"\">")
            .text(title)
            .raw(": all</option>");
        for value in values {
            html.raw("<option").attribute("value", value);
            if chosen == Some(value) {
                html.raw(" selected");
            }
            html.raw(">").text(value).raw("</option>");
        }
        html.raw("</select></label>");
    }
    if let Some(sort) = query.get("sort") {
        html.raw("<input type=hidden name=sort")
            .attribute("value", sort)
            .raw(">");
    }
    html.raw("<button>Filter</button>");
    let filtered = query
        .pairs()
        .any(|(key, _)| key != "sort" && key != "page" && key != "size");
    if filtered {
        html.raw(" ").link(path, "Clear");
    }
    html.raw("</form>");
    html
}

fn foot(
    path: &'static str,
    query: &Query,
    (page, pages): (usize, usize),
    (found, all): (usize, usize),
) -> Html {
    let mut html = Html::new();
    let size = query.size();
    let first = if found == 0 { 0 } else { (page - 1) * size + 1 };
    html.raw("<span>")
        .text(&format!("{first}–{} of {found}", (page * size).min(found)));
    if found != all {
        html.text(&format!(" ({all} without the filter)"));
    }
    html.raw("</span>");
    pager(&mut html, path, query, (page, pages));
    exports(&mut html, path, query);
    html
}

/// Links to the pages before and after this one, where there are any.
pub(crate) fn pager(html: &mut Html, path: &str, query: &Query, (page, pages): (usize, usize)) {
    for (wanted, to, words) in [
        (page > 1, page.wrapping_sub(1), "← Previous"),
        (page < pages, page + 1, "Next →"),
    ] {
        if wanted {
            html.raw(" ")
                .link(&query.with("page", Some(&to.to_string())).href(path), words);
        }
    }
}

/// Links to the same rows as files.
pub(crate) fn exports(html: &mut Html, path: &str, query: &Query) {
    html.raw("<span class=export>");
    for (suffix, words) in [(".csv", "CSV"), (".json", "JSON")] {
        let to = query
            .with("page", None)
            .with("size", None)
            .href(&format!("{path}{suffix}"));
        html.raw("<a download")
            .attribute("href", &to)
            .raw(">")
            .text(words)
            .raw("</a> ");
    }
    html.raw("</span>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_in_any_case() {
        for (text, word, expected) in [
            ("CrashLoopBackOff", "loopback", true),
            ("web", "webs", false),
            ("", "x", false),
            ("ÄRGER", "ärger", true),
            ("anything", "", true),
        ] {
            assert_eq!(contains(text, word), expected, "{text} {word}");
        }
    }
}
