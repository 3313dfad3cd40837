//! `foreshore doctor`: is everything here that the platform needs, and what mends what is not?

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use foreshore_model::ExitCode;

use crate::context::Context;
use crate::doctor::{self, BundleError, Finding, Patient, State};
use crate::failure::Failure;
use crate::terminal::{Outcome, table};

/// Look for what could be in the way, and say what mends it
///
/// Looks at kernel, clock, disk, ports, programs, kubeconfig, state and server.
/// Ends with 1 if something is broken. Changes nothing.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Also write the findings and the end of the log to a new file, without secrets
    #[arg(long, value_name = "FILE.tar.gz")]
    bundle: Option<PathBuf>,
}

pub(crate) async fn run(args: &DoctorArgs, context: &Context) -> Result<Outcome, Failure> {
    let data = context.data()?;
    let patient = Patient {
        data: data.clone(),
        server: context.credential().ok(),
    };
    let findings = doctor::examine(&patient).await;
    if let Some(path) = &args.bundle {
        let parts =
            doctor::write_bundle(path, &data, &findings).map_err(|error| explain(&error))?;
        context
            .terminal
            .say(&format!("wrote {}: {}", path.display(), parts.join(", ")));
    }
    let worst = findings.iter().map(|finding| finding.state).max();
    let outcome = Outcome::answer(&findings, text(&findings))?;
    Ok(if worst == Some(State::Broken) {
        outcome.with_code(ExitCode::Failed)
    } else {
        outcome
    })
}

fn text(findings: &[Finding]) -> String {
    let mut text = table(
        &["CHECK", "STATE", "FOUND"],
        findings.iter().map(|finding| {
            vec![
                finding.check.clone(),
                finding.state.word().to_owned(),
                finding.found.clone(),
            ]
        }),
    );
    let mends = findings
        .iter()
        .filter_map(|finding| Some((finding, finding.mend.as_ref()?)));
    for (finding, mend) in mends {
        write!(text, "\n{}: {mend}", finding.check).expect("writing to a string cannot fail");
    }
    text
}

fn explain(error: &BundleError) -> Failure {
    let failure = Failure::from_error(ExitCode::Failed, error);
    match error {
        BundleError::There { .. } => failure.hint("give --bundle the name of a new file"),
        BundleError::Read { .. } => failure.hint("run it as the user who started the platform"),
        BundleError::Write { .. } => failure,
    }
}
