//! Measures what the bars on pods name, on the built program as users run it:
//! an engine, a node with its ingress, and pods in sandboxes.
//!
//! `FORESHORE_BIN=…/foreshore pods [--rounds N] [--updates N] [--rate N] [NAME…]`
//! prints one line of JSON per figure: `name`, `unit`, `rounds`. It is also the
//! program that the measured pods run.

mod against_nginx;
#[path = "../../tests/it/callers.rs"]
mod callers;
mod logging;
mod numbers;
mod restart;
mod rolling;
mod stage;
mod starting;
#[path = "../../tests/bin/web.rs"]
mod web;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use stage::Stage;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Amount {
    rounds: usize,
    updates: u32,
    per_second: u32,
}

const NAMES: [&str; 5] = ["start", "restart", "roll", "ingress", "logs"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["web", word] => {
            web::run((numbers::own_address()?, stage::PORT).into(), word);
            Ok(())
        }
        ["sleep"] => loop {
            std::thread::sleep(Duration::from_hours(1));
        },
        ["clock"] => logging::clock(),
        ["flood"] => logging::flood(),
        wishes => measure(wishes),
    }
}

fn measure(wishes: &[&str]) -> Result<()> {
    let mut amount = Amount {
        rounds: 5,
        updates: 20,
        per_second: 500,
    };
    let mut names = Vec::new();
    let mut rest = wishes.iter();
    while let Some(word) = rest.next() {
        let mut number = || -> Result<u32> {
            let text = rest
                .next()
                .with_context(|| format!("`{word}` needs a number"))?;
            text.parse()
                .with_context(|| format!("`{word}` needs a number, not `{text}`"))
        };
        match *word {
            "--rounds" => amount.rounds = number()? as usize,
            "--updates" => amount.updates = number()?,
            "--rate" => amount.per_second = number()?,
            name if NAMES.contains(&name) => names.push(name),
            other => bail!(
                "`{other}` is neither an option nor one of {}",
                NAMES.join(", ")
            ),
        }
    }
    if names.is_empty() {
        names = NAMES.to_vec();
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot make a runtime")?;
    runtime.block_on(async {
        let mut stage = Stage::start().await?;
        for name in names {
            match name {
                "start" => starting::measure(&mut stage, amount).await?,
                "restart" => restart::measure(&stage, amount).await?,
                "roll" => rolling::measure(&stage, amount).await?,
                "ingress" => against_nginx::measure(&mut stage, amount).await?,
                _ => logging::measure(&mut stage, amount).await?,
            }
        }
        stage.finish().await
    })
}
