//! Label selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

type Labels = BTreeMap<String, String>;

/// Tells whether `labels` satisfy every requirement of `selector`.
///
/// An unknown operator matches nothing: the API refuses it, so one that gets
/// here must not select by accident.
pub fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    selector
        .match_labels
        .as_ref()
        .is_none_or(|wanted| matches_map(wanted, labels))
        && selector
            .match_expressions
            .iter()
            .flatten()
            .all(|requirement| satisfied(requirement, labels))
}

/// Tells whether `labels` contain every pair of `wanted`.
pub fn matches_map(wanted: &Labels, labels: Option<&Labels>) -> bool {
    wanted
        .iter()
        .all(|(key, value)| get(labels, key) == Some(value))
}

/// Tells whether the selector asks for nothing, and so selects everything.
pub(crate) fn is_empty(selector: &LabelSelector) -> bool {
    selector
        .match_labels
        .as_ref()
        .is_none_or(BTreeMap::is_empty)
        && selector
            .match_expressions
            .as_ref()
            .is_none_or(Vec::is_empty)
}

fn satisfied(requirement: &LabelSelectorRequirement, labels: Option<&Labels>) -> bool {
    let value = get(labels, &requirement.key);
    let listed = |value: &String| requirement.values.iter().flatten().any(|one| one == value);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

fn get<'a>(labels: Option<&'a Labels>, key: &str) -> Option<&'a String> {
    labels.and_then(|labels| labels.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(operator: &str, values: &[&str], expected: bool) {
        let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
        let selector = LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: "app".to_owned(),
                operator: operator.to_owned(),
                values: Some(values.iter().map(|&value| value.to_owned()).collect()),
            }]),
            match_labels: None,
        };
        assert_eq!(
            matches(&selector, Some(&labels)),
            expected,
            "app {operator} {values:?}"
        );
    }

    #[test]
    fn each_operator_selects_as_documented() {
        check("In", &["web", "api"], true);
        check("In", &["api"], false);
        check("NotIn", &["api"], true);
        check("NotIn", &["web"], false);
        check("Exists", &[], true);
        check("DoesNotExist", &[], false);
        check("Near", &["web"], false);
    }
}
