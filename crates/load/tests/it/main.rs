//! Runs against servers that behave, misbehave, or are not there.

#![expect(
    clippy::unwrap_used,
    reason = "what a test prepares must be there, helpers included"
)]

mod flows;
mod loads;
mod server;
mod trouble;

use std::collections::BTreeMap;
use std::path::Path;

use foreshore_load::{Options, run};
use foreshore_scenario::{Inputs, Report, Setup, bind, compile};

/// Binds a scenario whose only profile is `p` to a server.
fn setup(text: &str, url: &str) -> Setup {
    with_inputs(text, url, Inputs::default())
}

fn with_inputs(text: &str, url: &str, mut inputs: Inputs) -> Setup {
    let text = format!("scenario \"s\"\ntarget base = env URL\n{text}\n");
    let program = compile("t.scn", &text).unwrap_or_else(|problems| panic!("{problems}"));
    inputs.targets = BTreeMap::from([("base".to_owned(), url.to_owned())]);
    bind(&program, program.profile("p").unwrap(), &inputs).unwrap()
}

fn report(setup: &Setup) -> Report {
    report_in(setup, Path::new("."))
}

fn report_in(setup: &Setup, folder: &Path) -> Report {
    let options = Options {
        seed: Some(1),
        ..Options::default()
    };
    let outcome = run(setup, folder, &options, |_| {}).unwrap_or_else(|error| panic!("{error}"));
    Report::new(setup, outcome, None)
}
