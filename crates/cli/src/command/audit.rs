//! `foreshore audit`: every change with who, when and why, from git.

use clap::Args;
use foreshore_model::api::AuditEntry;
use foreshore_model::{EnvironmentName, ServiceName};

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, table};

/// Show who changed what, when and why
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only this service
    service: Option<ServiceName>,

    /// Only this environment
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// How many at most
    #[arg(short, long, default_value_t = 50)]
    count: usize,
}

pub(crate) async fn run(args: AuditArgs, context: &Context) -> Result<Outcome, Failure> {
    let mut path = format!("/audit?count={}", args.count);
    if let Some(environment) = &args.env {
        path.extend(["&environment=", environment.as_str()]);
    }
    if let Some(service) = &args.service {
        path.extend(["&service=", service.as_str()]);
    }
    let entries: Vec<AuditEntry> = context.client()?.get(&path).await?;
    let text = table(
        &["COMMIT", "DATE", "BY", "WHAT", "REASON"],
        entries.iter().map(|entry| {
            let reason = entry.trailers.iter().find(|(name, _)| name == "Reason");
            vec![
                entry.commit.chars().take(10).collect(),
                entry.at.to_string(),
                entry.actor.clone(),
                entry.subject.clone(),
                reason.map_or_else(String::new, |(_, reason)| reason.clone()),
            ]
        }),
    );
    Outcome::answer(&entries, text)
}
