//! Programs that measure by themselves and print a line of JSON for each figure.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::report::Report;
use crate::{shell, terminal, tools};

/// One line that such a program prints.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Figure {
    name: String,
    unit: String,
    rounds: Vec<f64>,
}

/// Builds an example in the release profile, runs it and writes what it says.
pub(super) fn measure(title: &str, package: &str, example: &str, rounds: usize) -> Result<()> {
    tools::ensure_packages()?;
    let mut cargo = shell::cargo();
    cargo.args([
        "build",
        "--release",
        "--package",
        package,
        "--example",
        example,
    ]);
    // The programs it starts lie beside it.
    cargo.args(["--package", "foreshore-cli", "--bin", "foreshore"]);
    shell::run(&mut cargo)?;
    let program = tools::target().join("release/examples").join(example);
    let output = Command::new(&program)
        .arg(rounds.to_string())
        .env("FORESHORE_CACHE", tools::Cache::locate()?.path())
        .env("FORESHORE_BIN", tools::target().join("release/foreshore"))
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run `{}`", program.display()))?;
    ensure!(
        output.status.success(),
        "`{example}` ended with {}",
        output.status
    );
    let figures = figures(&String::from_utf8(output.stdout).context("it did not answer in text")?)?;
    ensure!(!figures.is_empty(), "`{example}` printed no figure");
    for figure in figures {
        let title = format!("{title}: {}", figure.name);
        terminal::note(&format!("{title}: {:?} {}", figure.rounds, figure.unit));
        Report {
            title: &title,
            unit: &figure.unit,
            profile: "release",
            rounds: &figure.rounds,
        }
        .write()?;
    }
    Ok(())
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
    fn each_line_is_a_figure() {
        let read = figures("{\"name\":\"a\",\"unit\":\"ms\",\"rounds\":[1,2.5]}\n").unwrap();
        assert_eq!(read[0].name, "a");
        assert_eq!(read[0].rounds, [1.0, 2.5]);
    }

    #[test]
    fn anything_else_is_an_error() {
        assert!(figures("hello\n").is_err());
    }
}
