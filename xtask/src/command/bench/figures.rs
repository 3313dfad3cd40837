//! Programs that measure by themselves and print a line of JSON for each figure.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::report::Report;
use crate::{terminal, tools};

/// One line that such a program prints.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Figure {
    Measured {
        name: String,
        unit: String,
        rounds: Vec<f64>,
    },
    /// What it takes was not there.
    Not { name: String, not_measured: String },
}

/// Builds an example in the release profile, runs it and writes what it says.
pub(super) fn measure(title: &str, example: &str, arguments: &[String]) -> Result<()> {
    super::build_released()?;
    let program = tools::target().join("release/examples").join(example);
    let output = Command::new(&program)
        .args(arguments)
        .env("FORESHORE_CACHE", tools::Cache::locate()?.path())
        .env("FORESHORE_BIN", foreshore())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run `{}`", program.display()))?;
    ensure!(
        output.status.success(),
        "`{example}` ended with {}",
        output.status
    );
    let text = String::from_utf8(output.stdout).context("it did not answer in text")?;
    let figures = figures(&text)?;
    ensure!(!figures.is_empty(), "`{example}` printed no figure");
    figures.iter().try_for_each(|figure| write(title, figure))
}

/// The released program, which figures are of.
pub(super) fn foreshore() -> PathBuf {
    tools::target().join("release/foreshore")
}

fn write(title: &str, figure: &Figure) -> Result<()> {
    let (name, unit, rounds) = match figure {
        Figure::Measured { name, unit, rounds } => (name, unit, rounds),
        Figure::Not { name, not_measured } => {
            terminal::note(&format!("{title}: {name} was not measured: {not_measured}"));
            return Ok(());
        }
    };
    let title = format!("{title}: {name}");
    terminal::note(&format!("{title}: {rounds:.2?} {unit}"));
    Report {
        title: &title,
        unit,
        profile: "release",
        rounds,
    }
    .write()
}

fn figures(text: &str) -> Result<Vec<Figure>> {
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("`{line}` is no figure")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_figure_or_says_why_there_is_none() {
        let text = "{\"name\":\"a\",\"unit\":\"ms\",\"rounds\":[1,2.5]}\n{\"name\":\"b\",\"not_measured\":\"no b\"}\n";
        let read = figures(text).unwrap();
        assert!(matches!(&read[0], Figure::Measured { rounds, .. } if *rounds == [1.0, 2.5]));
        assert!(matches!(&read[1], Figure::Not { not_measured, .. } if not_measured == "no b"));
    }

    #[test]
    fn anything_else_is_an_error() {
        assert!(figures("hello\n").is_err());
        assert!(figures("{\"name\":\"a\"}\n").is_err());
    }
}
