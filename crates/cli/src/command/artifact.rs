//! `foreshore artifact`: what was built.

use clap::Subcommand;
use foreshore_model::api::ArtifactSummary;
use foreshore_model::{ArtifactId, ArtifactRecord, ServiceName};

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, table};
use crate::wait::path_segment;

/// List and describe what was built
#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactCommand {
    /// List the artifacts of a service, the newest first
    List {
        /// Service
        service: ServiceName,

        /// Only those of this branch
        #[arg(short, long, value_name = "NAME")]
        branch: Option<String>,
    },
    /// Show what an artifact holds and where it came from
    Describe {
        /// Service
        service: ServiceName,

        /// Artifact
        id: ArtifactId,
    },
}

pub(crate) async fn run(command: ArtifactCommand, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    match command {
        ArtifactCommand::List { service, branch } => {
            let branch = branch.map_or_else(String::new, |branch| {
                format!("&branch={}", path_segment(&branch))
            });
            let artifacts: Vec<ArtifactSummary> = client
                .get(&format!("/artifacts?service={service}{branch}"))
                .await?;
            Outcome::answer(&artifacts, list(&service, &artifacts))
        }
        ArtifactCommand::Describe { service, id } => {
            let record: ArtifactRecord = client.get(&format!("/artifacts/{service}/{id}")).await?;
            Outcome::answer(&record, describe(&record))
        }
    }
}

fn list(service: &ServiceName, artifacts: &[ArtifactSummary]) -> String {
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

fn describe(record: &ArtifactRecord) -> String {
    let mut rows = vec![
        ("artifact", record.id.to_string()),
        ("service", format!("{} of {}", record.service, record.owner)),
        (
            "source",
            format!("{} on {}", record.source.commit, record.source.branch),
        ),
        (
            "by",
            format!("{} at {}", record.source.author, record.source.committed_at),
        ),
        ("message", record.source.message.clone()),
        (
            "plan",
            format!("{} {}", record.plan.name, record.plan.hash.short()),
        ),
    ];
    if record.source.modified {
        rows.push((
            "note",
            "built from changes that were not committed".to_owned(),
        ));
    }
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
        .chain(images)
        .chain(manifests)
        .map(|(name, value)| format!("{name:<10} {value}"));
    lines.collect::<Vec<_>>().join("\n")
}
