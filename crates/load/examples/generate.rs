//! Runs one profile of a scenario and prints the report as JSON: the generator alone, for measurements.
//!
//! `generate FILE PROFILE NAME=URL…`; ends with the verdict's exit code.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use foreshore_load::{Options, run};
use foreshore_scenario::{Inputs, Report, bind, compile};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "generate FILE PROFILE NAME=URL…";
    let file = arguments.next().ok_or(usage)?;
    let name = arguments.next().ok_or(usage)?;
    let targets: BTreeMap<String, String> = arguments
        .filter_map(|pair| {
            pair.split_once('=')
                .map(|(name, url)| (name.to_owned(), url.to_owned()))
        })
        .collect();
    let program = compile(&file, &std::fs::read_to_string(&file)?)?;
    let profile = program.profile(&name).ok_or("there is no such profile")?;
    let inputs = Inputs {
        targets,
        ..Inputs::default()
    };
    let setup = bind(&program, profile, &inputs)?;
    let options = Options {
        seed: Some(1),
        ..Options::default()
    };
    let outcome = run(&setup, Path::new("."), &options, |_| {})?;
    let report = Report::new(&setup, outcome, None);
    writeln!(std::io::stderr(), "{}", report.text())?;
    writeln!(std::io::stdout(), "{}", report.json())?;
    Ok(report.verdict.exit_code().code().into())
}
