//! `foreshore policy`: rules that allow, require or trigger releases.

use clap::{Args, Subcommand};
use foreshore_model::api::{ChangeAnswer, PolicyRow};
use foreshore_model::config::Policy;
use foreshore_model::{EnvironmentName, PolicyName, ServiceName};
use jiff::SignedDuration;

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, table};
use crate::wait::path_segment;

/// List, set and delete rules for releases
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    List,
    #[command(subcommand)]
    Apply(ApplyCommand),
    Delete(DeleteArgs),
}

/// Set or replace a rule; one that contradicts another is refused
#[derive(Debug, Subcommand)]
pub(crate) enum ApplyCommand {
    /// Release artifacts of a branch or a tag as they arrive
    AutoRelease(AutoReleaseArgs),
    /// Let only artifacts of a branch in
    BranchRestriction(RestrictionArgs),
    /// Let only artifacts in that passed checks where they come from
    RequireVerdicts(VerdictsArgs),
    /// Let only artifacts in that were healthy for a while where they come from
    Soak(SoakArgs),
    /// Bring the last healthy artifact back when a release fails
    AutoRollback(PlaceArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Environment it is for
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: EnvironmentName,

    /// Service it is for (can be repeated); without it, all
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    service: Vec<ServiceName>,

    /// Name of the rule, instead of one made of its kind and environment
    #[arg(long, value_name = "NAME")]
    name: Option<PolicyName>,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["branch", "tag"])))]
pub(crate) struct AutoReleaseArgs {
    /// Branch, `*` stands for any run of characters
    #[arg(short, long, value_name = "PATTERN")]
    branch: Option<String>,

    /// Tag, `*` stands for any run of characters
    #[arg(short, long, value_name = "PATTERN")]
    tag: Option<String>,

    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestrictionArgs {
    /// Branch as a whole, `*` stands for any run of characters
    #[arg(short, long, value_name = "PATTERN")]
    branch: String,

    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VerdictsArgs {
    /// Check that must have passed (can be repeated)
    #[arg(
        long = "check",
        value_name = "NAME",
        required = true,
        value_delimiter = ','
    )]
    checks: Vec<String>,

    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// How long: 45m, 24h
    #[arg(long, value_name = "DURATION")]
    time: SignedDuration,

    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Rule to delete (can be repeated)
    #[arg(required = true)]
    names: Vec<PolicyName>,

    /// Why, for the audit trail
    #[arg(short, long, default_value = "", value_name = "TEXT")]
    reason: String,
}

fn policy(command: ApplyCommand) -> (PlaceArgs, Policy) {
    let about = |place: &PlaceArgs| (place.env.clone(), place.service.clone());
    match command {
        ApplyCommand::AutoRelease(AutoReleaseArgs { branch, tag, place }) => {
            let (environment, services) = about(&place);
            let policy = match (branch, tag) {
                (_, Some(tag)) => Policy::AutoReleaseTag {
                    environment,
                    tag,
                    services,
                },
                (branch, None) => Policy::AutoRelease {
                    environment,
                    branch: branch.unwrap_or_default(),
                    services,
                },
            };
            (place, policy)
        }
        ApplyCommand::BranchRestriction(RestrictionArgs { branch, place }) => {
            let (environment, services) = about(&place);
            let policy = Policy::BranchRestriction {
                environment,
                branch,
                services,
            };
            (place, policy)
        }
        ApplyCommand::RequireVerdicts(VerdictsArgs { checks, place }) => {
            let (environment, services) = about(&place);
            let policy = Policy::RequireVerdicts {
                environment,
                checks,
                services,
            };
            (place, policy)
        }
        ApplyCommand::Soak(SoakArgs { time, place }) => {
            let (environment, services) = about(&place);
            let policy = Policy::Soak {
                environment,
                time,
                services,
            };
            (place, policy)
        }
        ApplyCommand::AutoRollback(place) => {
            let (environment, services) = about(&place);
            let policy = Policy::AutoRollback {
                environment,
                services,
            };
            (place, policy)
        }
    }
}

pub(crate) async fn run(command: PolicyCommand, context: &Context) -> Result<Outcome, Failure> {
    match command {
        PolicyCommand::List => {
            let rows: Vec<PolicyRow> = context.client()?.get("/policies").await?;
            Outcome::answer(&rows, text(&rows))
        }
        PolicyCommand::Apply(command) => {
            let (place, policy) = policy(command);
            let name = match place.name {
                Some(name) => name,
                None => PolicyName::new(format!("{}-{}", policy.kind(), place.env))
                    .map_err(|error| Failure::usage(error.to_string()).hint("give --name NAME"))?,
            };
            let path = format!("/policies/{name}");
            let answer: ChangeAnswer = context.client()?.put(&path, &policy).await?;
            Outcome::answer(&answer, answer.subject.clone())
        }
        PolicyCommand::Delete(args) => {
            let client = context.client()?;
            let mut answers = Vec::new();
            for name in &args.names {
                let path = format!("/policies/{name}?reason={}", path_segment(&args.reason));
                let answer: ChangeAnswer = client.delete(&path).await?;
                answers.push(answer);
            }
            let lines: Vec<&str> = answers
                .iter()
                .map(|answer| answer.subject.as_str())
                .collect();
            Outcome::answer(&answers, lines.join("\n"))
        }
    }
}

fn text(rows: &[PolicyRow]) -> String {
    if rows.is_empty() {
        return "no policy is set".to_owned();
    }
    table(
        &["NAME", "KIND", "ENVIRONMENT", "ASKS FOR", "SERVICES"],
        rows.iter().map(|row| {
            let asks = match &row.policy {
                Policy::AutoRelease { branch, .. } | Policy::BranchRestriction { branch, .. } => {
                    format!("branch {branch}")
                }
                Policy::AutoReleaseTag { tag, .. } => format!("tag {tag}"),
                Policy::RequireVerdicts { checks, .. } => checks.join(", "),
                Policy::Soak { time, .. } => format!("{time:#}"),
                Policy::AutoRollback { .. } => "a failed release".to_owned(),
            };
            let services: Vec<String> = row
                .policy
                .services()
                .iter()
                .map(ToString::to_string)
                .collect();
            vec![
                row.name.to_string(),
                row.policy.kind().to_owned(),
                row.policy.environment().to_string(),
                asks,
                if services.is_empty() {
                    "all".to_owned()
                } else {
                    services.join(", ")
                },
            ]
        }),
    )
}
