//! `foreshore audit`: every change with who, when and why, from git.

use clap::Args;
use foreshore_git::Signer;
use foreshore_model::api::{AuditEntry, Info};
use foreshore_model::{Actor, EnvironmentName, ExitCode, ServiceName};

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

    /// Fail unless the server has signed every one of them
    #[arg(long)]
    verify: bool,

    /// Print the line that makes `git verify-commit` trust the server, and stop
    #[arg(long, conflicts_with_all = ["service", "env", "verify"])]
    signers: bool,
}

pub(crate) async fn run(args: AuditArgs, context: &Context) -> Result<Outcome, Failure> {
    if args.signers {
        return signers(context).await;
    }
    let mut path = format!("/audit?count={}", args.count);
    if let Some(environment) = &args.env {
        path.extend(["&environment=", environment.as_str()]);
    }
    if let Some(service) = &args.service {
        path.extend(["&service=", service.as_str()]);
    }
    let entries: Vec<AuditEntry> = context.client()?.get(&path).await?;
    let text = table(
        &["COMMIT", "DATE", "BY", "SIGNED", "WHAT", "REASON"],
        entries.iter().map(|entry| {
            let reason = entry.trailers.iter().find(|(name, _)| name == "Reason");
            vec![
                entry.commit.chars().take(10).collect(),
                entry.at.to_string(),
                entry.actor.clone(),
                word(entry.signed).to_owned(),
                entry.subject.clone(),
                reason.map_or_else(String::new, |(_, reason)| reason.clone()),
            ]
        }),
    );
    let outcome = Outcome::answer(&entries, text)?;
    if !args.verify {
        return Ok(outcome);
    }
    let bad: Vec<&AuditEntry> = entries
        .iter()
        .filter(|entry| entry.signed != Some(true))
        .collect();
    for entry in &bad {
        context.terminal.warn(&format!(
            "commit {} by {} is not signed by the server: {}",
            &entry.commit[..entry.commit.len().min(10)],
            entry.actor,
            entry.subject
        ));
    }
    Ok(if bad.is_empty() {
        outcome
    } else {
        outcome.with_code(ExitCode::Failed)
    })
}

fn word(signed: Option<bool>) -> &'static str {
    match signed {
        Some(true) => "yes",
        Some(false) => "not by the server",
        None => "no",
    }
}

/// The server's public key, as git reads it from a file of allowed signers.
async fn signers(context: &Context) -> Result<Outcome, Failure> {
    let info: Info = context.client()?.get("/info").await?;
    let key = info.signing_key.unwrap_or_default();
    let signer: Signer = key
        .parse()
        .map_err(|error| Failure::from_error(ExitCode::Failed, &error))?;
    let line = signer.allowed_line(&Actor::automation().email);
    Outcome::answer(&line, line.clone())
}
