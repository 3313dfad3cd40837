//! `foreshore explain`, `diff` and `preview`: what a release would meet, and what it would change.

use clap::{Args, Subcommand};
use foreshore_model::api::{
    Difference, ExplainRequest, Explanation, ReleaseAnswer, ReleaseRequest, Selection,
};
use foreshore_model::{ArtifactId, EnvironmentName, ExitCode, ServiceName};
use serde::Serialize;

use super::service_arg::ServiceArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Explain a decision term by term
#[derive(Debug, Subcommand)]
pub(crate) enum ExplainCommand {
    /// Show every condition that a release must meet, and whether it does
    Release(CandidateArgs),
    /// Show what one replica may use, where each value came from, and what it means
    Resources(super::run::ResourcesArgs),
}

/// Which artifact is meant; without any, what the environment is promoted from runs.
#[derive(Debug, Args)]
pub(crate) struct CandidateArgs {
    #[command(flatten)]
    service: ServiceArg,

    /// Environment to release into
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: EnvironmentName,

    /// Artifact
    #[arg(long, value_name = "ID", conflicts_with_all = ["branch", "from"])]
    artifact: Option<ArtifactId>,

    /// The newest artifact of this branch
    #[arg(short, long, value_name = "NAME", conflicts_with = "from")]
    branch: Option<String>,

    /// What this environment runs
    #[arg(long, visible_alias = "from-env", value_name = "NAME")]
    from: Option<EnvironmentName>,
}

impl CandidateArgs {
    fn request(self) -> Result<ExplainRequest, Failure> {
        let selection = match (self.artifact, self.branch) {
            (Some(id), _) => Selection::Id(id),
            (None, Some(branch)) => Selection::Branch(branch),
            (None, None) => Selection::From(self.from),
        };
        Ok(ExplainRequest {
            service: self.service.resolve()?,
            environment: self.env,
            selection,
            rollback: false,
        })
    }
}

pub(crate) async fn run(command: ExplainCommand, context: &Context) -> Result<Outcome, Failure> {
    let args = match command {
        ExplainCommand::Release(args) => args,
        ExplainCommand::Resources(args) => return super::run::explain_resources(&args).await,
    };
    let explanation: Explanation = context.client()?.post("/explain", &args.request()?).await?;
    let code = if explanation.allowed {
        ExitCode::Done
    } else {
        ExitCode::Refused
    };
    Ok(Outcome::answer(&explanation, explanation_text(&explanation))?.with_code(code))
}

/// Says every term on a line of its own.
pub(crate) fn explanation_text(explanation: &Explanation) -> String {
    let mut lines: Vec<String> = explanation
        .terms
        .iter()
        .map(|term| {
            let verdict = if term.holds { "yes" } else { "NO " };
            format!("{verdict}  {:<16} {}", term.name, term.words)
        })
        .collect();
    let ending = match (explanation.allowed, explanation.approvals) {
        (false, _) => "not allowed".to_owned(),
        (true, 0) => "allowed".to_owned(),
        (true, needed) => format!("allowed after {needed} approval(s) by others"),
    };
    lines.push(format!(
        "{} to {}: {ending}",
        explanation.artifact_id, explanation.environment
    ));
    lines.join("\n")
}

/// Show what differs between releases, environments or artifacts
///
/// Without --number: what the environment runs against what would be released
/// into it. Ends with 1 if anything differs.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    candidate: CandidateArgs,

    /// Compare two releases by their numbers: 3 (with the present one) or 3..5
    #[arg(long, value_name = "RANGE", conflicts_with_all = ["artifact", "branch", "from"])]
    number: Option<String>,
}

pub(crate) async fn diff(args: DiffArgs, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    let difference: Difference = match &args.number {
        None => client.post("/diff", &args.candidate.request()?).await?,
        Some(range) => {
            let query = between(range)?;
            let environment = args.candidate.env.clone();
            let service: ServiceName = args.candidate.service.resolve()?;
            client
                .get(&format!("/diff/{environment}/{service}?{query}"))
                .await?
        }
    };
    let code = if difference.is_empty() {
        ExitCode::Done
    } else {
        ExitCode::Failed
    };
    Ok(Outcome::answer(&difference, difference_text(&difference))?.with_code(code))
}

fn between(range: &str) -> Result<String, Failure> {
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| {
            Failure::usage(format!("`{range}` names no releases"))
                .hint("write --number 3 or --number 3..5")
        })
    };
    match range.split_once("..") {
        None => Ok(format!("from={}", number(range)?)),
        Some((from, to)) => Ok(format!("from={}&to={}", number(from)?, number(to)?)),
    }
}

/// Writes a difference as `diff -u` would.
pub(crate) fn difference_text(difference: &Difference) -> String {
    if difference.is_empty() {
        return format!("{} and {} are the same", difference.from, difference.to);
    }
    let files = difference.files.iter().map(|file| {
        format!(
            "--- {} {}\n+++ {} {}\n{}",
            file.path, difference.from, file.path, difference.to, file.text
        )
    });
    files.collect()
}

/// Everything a release would mean, before anybody asks for it.
#[derive(Debug, Serialize)]
struct Preview {
    explanation: Explanation,
    difference: Difference,
    steps: Vec<String>,
}

/// Show what a release would meet, change and commit, without asking for it
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    #[command(flatten)]
    candidate: CandidateArgs,
}

pub(crate) async fn preview(args: PreviewArgs, context: &Context) -> Result<Outcome, Failure> {
    let request = args.candidate.request()?;
    let client = context.client()?;
    let explanation: Explanation = client.post("/explain", &request).await?;
    let difference: Difference = client.post("/diff", &request).await?;
    let steps = if explanation.allowed {
        let wish = ReleaseRequest {
            service: request.service,
            environment: request.environment,
            selection: request.selection,
            reason: String::new(),
            idempotency_key: ulid::Ulid::generate().to_string(),
            expected: None,
            hold: false,
            dry_run: true,
        };
        match client.post("/releases", &wish).await? {
            ReleaseAnswer::Steps { steps } => steps,
            _ => Vec::new(),
        }
    } else {
        Vec::new()
    };
    let code = if explanation.allowed {
        ExitCode::Done
    } else {
        ExitCode::Refused
    };
    let preview = Preview {
        explanation,
        difference,
        steps,
    };
    let text = format!(
        "{}\n\n{}\n{}",
        difference_text(&preview.difference).trim_end(),
        preview.steps.join("\n"),
        explanation_text(&preview.explanation)
    );
    Ok(Outcome::answer(&preview, text)?.with_code(code))
}
