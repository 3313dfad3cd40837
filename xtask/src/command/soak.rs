//! `soak`: the tests again and again, each round with another seed.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    gates::Tally,
    terminal, test_run,
    tools::{self, Cache},
};

/// Roles killed in each round of the test of kills, which has 20 otherwise.
const KILLS: u32 = 200;

/// Repeat the tests with new seeds until the time is up
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long to go on
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,

    /// Seed of the first round; later rounds count up from it
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cache = Cache::locate()?;
    tools::ensure_packages()?;
    tools::oracle(&cache)?;
    let built = test_run::build(&["build", "--bins"])?;
    let tests = test_run::build(&["build", "--tests"])?.tests;
    let started = Instant::now();
    let first = arguments
        .seed
        .unwrap_or_else(|| u64::from(std::process::id()) << 32);
    let mut sum = Tally::default();
    let mut seed = first;
    loop {
        let mut environment = vec![
            (
                "FORESHORE_CACHE".to_owned(),
                cache.path().display().to_string(),
            ),
            ("FORESHORE_SEED".to_owned(), seed.to_string()),
            ("FORESHORE_SOAK".to_owned(), "1".to_owned()),
            ("FORESHORE_KILLS".to_owned(), KILLS.to_string()),
        ];
        if let Ok(program) = built.program("foreshore") {
            environment.push(("FORESHORE_BIN".to_owned(), program.display().to_string()));
        }
        let round = test_run::run_all(&tests, &environment, &cache.path().join("soak-logs"));
        terminal::line(&format!("seed {seed}: {round}"));
        sum += round;
        if round.failed > 0 {
            terminal::line(&format!(
                "repeat with: cargo xtask soak --minutes 0 --seed {seed}"
            ));
        }
        seed = seed.wrapping_add(1);
        if started.elapsed() >= Duration::from_mins(arguments.minutes) {
            break;
        }
    }
    terminal::line(&sum.to_string());
    Ok(if sum.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
