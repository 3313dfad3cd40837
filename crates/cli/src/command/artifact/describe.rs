//! Artifacts in words.

use foreshore_model::api::ArtifactSummary;
use foreshore_model::{ArtifactRecord, ServiceName};

use crate::terminal::table;

pub(super) fn list(service: &ServiceName, artifacts: &[ArtifactSummary]) -> String {
    if artifacts.is_empty() {
        return format!("{service} has no artifacts");
    }
    table(
        &["ARTIFACT", "BRANCH", "COMMIT", "AUTHOR", "MESSAGE"],
        artifacts.iter().map(|artifact| {
            vec![
                artifact.id.to_string(),
                artifact.branch.clone(),
                artifact.commit.chars().take(10).collect(),
                artifact.author.clone(),
                artifact.message.clone(),
            ]
        }),
    )
}

pub(super) fn describe(record: &ArtifactRecord) -> String {
    let source = &record.source;
    let mut rows = vec![
        ("artifact", record.id.to_string()),
        ("service", format!("{} of {}", record.service, record.owner)),
        ("source", format!("{} on {}", source.commit, source.branch)),
        (
            "by",
            format!("{} at {}", source.author, source.committed_at),
        ),
        ("message", source.message.clone()),
        (
            "plan",
            format!("{} {}", record.plan.name, record.plan.hash.short()),
        ),
        ("tool", format!("foreshore {}", record.tool)),
    ];
    if let Some(commit) = &record.plan.commit {
        rows.push((
            "plan from",
            format!("{} at {commit}", record.plan.reference),
        ));
    }
    if let Some(link) = &record.ci {
        rows.push(("built by", link.clone()));
    }
    if source.modified {
        rows.push((
            "note",
            "built from changes that were not committed".to_owned(),
        ));
    }
    let stages = record.stages.iter().map(|stage| {
        let result = if stage.passed {
            "passed"
        } else {
            "did not pass"
        };
        let summary = match stage.summary.as_str() {
            "" => String::new(),
            summary => format!(" ({summary})"),
        };
        ("stage", format!("{} {result}{summary}", stage.name))
    });
    let checks = record.checks.iter().map(|check| {
        let gate = if check.gate { ", must hold" } else { "" };
        ("check", format!("{}{gate}", check.name))
    });
    let images = record.images.iter().map(|(name, image)| {
        (
            "image",
            format!("{name} {}@{}", image.repository, image.digest),
        )
    });
    let manifests = record.manifests.iter().map(|(environment, files)| {
        (
            "manifests",
            format!(
                "{environment}: {}",
                files.keys().cloned().collect::<Vec<_>>().join(", ")
            ),
        )
    });
    let lines = rows
        .into_iter()
        .chain(stages)
        .chain(checks)
        .chain(images)
        .chain(manifests)
        .map(|(name, value)| format!("{name:<10} {value}"));
    lines.collect::<Vec<_>>().join("\n")
}
