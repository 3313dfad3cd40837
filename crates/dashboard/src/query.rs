//! What a page is asked to show, as its URL says: filter, sort, page, facets.

use std::collections::BTreeMap;

use url::form_urlencoded;

/// Rows of a page unless the URL says otherwise.
const SIZE: usize = 100;
const SIZE_MAX: usize = 500;
/// A URL of ours never has more; a stranger's is cut.
const PAIRS_MAX: usize = 24;
const VALUE_MAX: usize = 200;

/// The state of a page, in one order whatever order it was written in.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Query {
    pairs: BTreeMap<String, String>,
}

impl Query {
    /// Reads the part of a URL after `?`; what means nothing is left out.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(text.unwrap_or_default().as_bytes())
            .filter(|(key, value)| !key.is_empty() && !value.trim().is_empty())
            .take(PAIRS_MAX)
            .map(|(key, value)| {
                (
                    key.chars().take(40).collect(),
                    value.trim().chars().take(VALUE_MAX).collect(),
                )
            })
            .collect();
        Self { pairs }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.get(key).map(String::as_str)
    }

    /// The words of the filter, in lower case; all must be found.
    pub(crate) fn words(&self) -> Vec<String> {
        let text = self.get("q").unwrap_or_default().to_lowercase();
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// The column to sort by, and whether backwards.
    pub(crate) fn sort(&self) -> Option<(&str, bool)> {
        let column = self.get("sort")?;
        Some(match column.strip_prefix('-') {
            Some(column) => (column, true),
            None => (column, false),
        })
    }

    /// Counted from one.
    pub(crate) fn page(&self) -> usize {
        let page = self.get("page").and_then(|page| page.parse().ok());
        page.unwrap_or(1).max(1)
    }

    pub(crate) fn size(&self) -> usize {
        let size = self.get("size").and_then(|size| size.parse().ok());
        size.unwrap_or(SIZE).clamp(1, SIZE_MAX)
    }

    /// Returns the same with one value set, or taken away.
    #[must_use]
    pub(crate) fn with(&self, key: &str, value: Option<&str>) -> Self {
        let mut other = self.clone();
        match value {
            Some(value) => other.pairs.insert(key.to_owned(), value.to_owned()),
            None => other.pairs.remove(key),
        };
        other
    }

    /// Returns the address of a page in this state.
    pub(crate) fn href(&self, path: &str) -> String {
        if self.pairs.is_empty() {
            return path.to_owned();
        }
        format!("{path}?{}", self.text())
    }

    /// Returns the part of the URL after `?`.
    pub(crate) fn text(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.pairs)
            .finish()
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Returns the address of a page with these values.
pub(crate) fn href(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = Query::default();
    for (key, value) in pairs {
        query = query.with(key, Some(value));
    }
    query.href(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_state_has_one_url() {
        let one = Query::parse(Some("sort=-restarts&q=web+api&page=2"));
        let other = Query::parse(Some("page=2&q=web%20api&sort=-restarts&environment="));
        assert_eq!(one, other);
        assert_eq!(one.href("/pods"), "/pods?page=2&q=web+api&sort=-restarts");
        assert_eq!(one.sort(), Some(("restarts", true)));
        assert_eq!(one.words(), ["web", "api"]);
        assert_eq!(Query::default().href("/pods"), "/pods");
    }

    #[test]
    fn nonsense_in_a_url_is_bounded() {
        let long = format!("q={}&page=-3&size=999999&=x", "a".repeat(100_000));
        let query = Query::parse(Some(&long));
        assert_eq!(query.get("q").unwrap().len(), VALUE_MAX);
        assert_eq!((query.page(), query.size()), (1, SIZE_MAX));
        let many: Vec<String> = (0..1_000).map(|number| format!("k{number}=v")).collect();
        let many = many.join("&");
        assert_eq!(Query::parse(Some(&many)).pairs.len(), PAIRS_MAX);
    }

    #[test]
    fn a_state_changes_one_value_at_a_time() {
        let query = Query::parse(Some("q=web&page=4"));
        assert_eq!(query.with("page", None).href("/pods"), "/pods?q=web");
        assert_eq!(href("/logs", &[("service", "a&b")]), "/logs?service=a%26b");
    }
}
