//! What every command that builds is told, and the steps they share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use foreshore_action::{Finished, Input, Output};
use foreshore_model::artifact::Source;

use crate::build::{
    self, Evidence, Jailed, Made, Prepared, Sources, Surroundings, Target, perform,
};
use crate::context::Context;
use crate::failure::Failure;

use super::run::{environment, interruptible};

/// How a build is made, and what is recorded about it.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Branch the source is on, where git cannot tell
    #[arg(long, value_name = "NAME")]
    pub(crate) branch: Option<String>,

    /// Action to run first; the artifact tells how it went (can be repeated)
    #[arg(long = "stage", value_name = "ACTION")]
    stages: Vec<String>,

    /// Report that the artifact tells the counts of: `JUnit` or SARIF (can be repeated)
    #[arg(long = "report", value_name = "FILE")]
    reports: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) jail: JailArgs,
}

/// Whether actions are confined.
#[derive(Debug, Args)]
pub(crate) struct JailArgs {
    /// Confine actions to the repository, caches and temporary files, or do not run them
    ///
    /// Where CI=true they are confined by default, as far as the kernel can.
    #[arg(long, conflicts_with = "no_jail")]
    jail: bool,

    /// Do not confine actions, not even in CI
    #[arg(long)]
    no_jail: bool,
}

impl JailArgs {
    pub(crate) fn chosen(&self, environment: &BTreeMap<String, String>) -> Jailed {
        let in_ci = environment
            .get("CI")
            .is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
        match (self.jail, self.no_jail) {
            (true, _) => Jailed::Always,
            (_, true) => Jailed::No,
            _ if in_ci => Jailed::WherePossible,
            _ => Jailed::No,
        }
    }
}

/// What the actions of a build left.
#[derive(Debug)]
pub(crate) struct Ran {
    /// What the image is to be made of; none after a failure.
    pub(crate) made: Option<(Made, Evidence)>,
    pub(crate) steps: Vec<Finished>,
    /// The exit code of the action that failed, or 0.
    pub(crate) code: u8,
}

/// Runs the stages and the build.
pub(crate) async fn run_actions(
    sources: &Sources,
    args: &BuildArgs,
    context: &Context,
) -> Result<Ran, Failure> {
    let environment = environment();
    let surroundings = Surroundings {
        jail: args.jail.chosen(&environment),
        environment,
        output: Output::ToStderr,
        input: Input::None,
    };
    let terminal = &context.terminal;
    let mut evidence = Evidence {
        ci: build::ci_link(&surroundings.environment),
        ..Evidence::default()
    };
    let mut steps = Vec::new();
    for stage in &args.stages {
        let performed = interruptible(|stop| {
            perform(sources, stage, &[], surroundings.clone(), terminal, stop)
        })
        .await?;
        evidence.add_actions(&performed.steps);
        let code = performed.code();
        steps.extend(performed.steps);
        if code != 0 {
            return Ok(Ran {
                made: None,
                steps,
                code,
            });
        }
    }
    let (made, performed) =
        interruptible(|stop| build::build(sources, surroundings.clone(), terminal, stop)).await?;
    evidence.add_actions(&performed.steps);
    for report in &args.reports {
        evidence.add_report(report)?;
    }
    if let Some(stage) = evidence.failed() {
        terminal.warn(&format!(
            "stage `{}` did not pass: {}",
            stage.name, stage.summary
        ));
    }
    let code = performed.code();
    let elapsed = performed.steps.iter().map(|step| step.elapsed).sum();
    if code == 0 {
        terminal.say(&format!(
            "built {} in {}",
            sources.service.name,
            build::seconds(elapsed)
        ));
    }
    steps.extend(performed.steps);
    Ok(Ran {
        made: (code == 0).then_some((made, evidence)),
        steps,
        code,
    })
}

/// Makes image and manifests of what the actions left.
pub(crate) async fn prepare(
    sources: &Sources,
    source: Source,
    (made, evidence): (Made, Evidence),
    target: Target<'_>,
    context: &Context,
) -> Result<Prepared, Failure> {
    build::prepare(
        sources,
        source,
        (&made, evidence),
        &environment(),
        target,
        &context.terminal,
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jail_is_on_in_ci_and_everywhere_as_it_is_told() {
        let check = |ci: Option<&str>, jail, no_jail, expected| {
            let environment = ci.map(|ci| ("CI".to_owned(), ci.to_owned()));
            let args = JailArgs { jail, no_jail };
            assert_eq!(args.chosen(&environment.into_iter().collect()), expected);
        };
        check(None, false, false, Jailed::No);
        check(Some("true"), false, false, Jailed::WherePossible);
        check(Some("false"), false, false, Jailed::No);
        check(Some("true"), false, true, Jailed::No);
        check(None, true, false, Jailed::Always);
    }
}
