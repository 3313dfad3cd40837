//! `foreshore engine support`: what the embedded engine serves, keeps, and refuses.

use clap::Args;
use foreshore_engine_api::{Level, SupportMatrix, SupportedResource, support};

use crate::failure::Failure;
use crate::terminal::{Outcome, table};

/// Show what the embedded engine serves and what it refuses
///
/// Printed from the same tables that answer requests. A resource is exact
/// (as on a real API server), stored without effect (and says so in a
/// warning), or refused by name.
#[derive(Debug, Args)]
pub(crate) struct SupportArgs {}

pub(crate) fn run(_: &SupportArgs) -> Result<Outcome, Failure> {
    let matrix = support();
    let text = text(&matrix);
    Outcome::answer(&matrix, text)
}

fn text(matrix: &SupportMatrix) -> String {
    let heading = [
        "RESOURCE",
        "VERSION",
        "LEVEL",
        "VERBS",
        "SUBRESOURCES",
        "REFUSED",
        "REASON",
    ];
    let resources = table(&heading, matrix.resources.iter().map(row));
    let features = matrix
        .refused_features
        .iter()
        .map(|refused| vec![refused.feature.to_owned(), refused.answer.to_owned()]);
    let features = table(&["FEATURE", "ANSWER"], features);
    format!(
        "Kubernetes {}\n\n{resources}\n{features}",
        matrix.kubernetes
    )
}

fn row(resource: &SupportedResource) -> Vec<String> {
    let name = match resource.group.as_str() {
        "" => resource.plural.clone(),
        group => format!("{}.{group}", resource.plural),
    };
    let level = match resource.level {
        Level::Exact => "exact",
        Level::StoredWithoutEffect => "stored without effect",
        Level::Refused => "refused",
    };
    vec![
        name,
        resource.version.clone(),
        level.to_owned(),
        resource.verbs.join(","),
        resource.subresources.join(","),
        resource.refused_subresources.join(","),
        resource.reason.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_printed_with_its_reason() {
        let text = text(&support());
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line("pods ").contains("exact"), "{text}");
        assert!(line("networkpolicies.networking.k8s.io").contains("stored without effect"));
        assert!(line("resourcequotas").contains("refused"));
    }
}
