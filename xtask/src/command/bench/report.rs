//! docs/benchmarks.md: one section per benchmark, replaced as a whole.

use std::fs;

use anyhow::{Context as _, Result};

use crate::repository;

const FILE: &str = "docs/benchmarks.md";
const HEAD: &str = "# Benchmarks\n\nWritten by `cargo xtask bench NAME`; not by hand.\n";

/// One benchmark's outcome.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    pub(super) profile: &'a str,
    pub(super) rounds: &'a [f64],
}

impl Report<'_> {
    /// Puts the section into the file, in place of an earlier one.
    pub(super) fn write(&self) -> Result<()> {
        let path = repository::root().join(FILE);
        let before = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => HEAD.to_owned(),
            Err(error) => return Err(error).context("cannot read the benchmarks"),
        };
        let kernel =
            fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot tell the kernel")?;
        let processors =
            std::thread::available_parallelism().context("cannot count the processors")?;
        let section = self.section(&repository::commit()?, kernel.trim(), processors.get());
        fs::write(&path, replaced(&before, self.title, &section))
            .context("cannot write the benchmarks")
    }

    fn section(&self, commit: &str, kernel: &str, processors: usize) -> String {
        let mut sorted = self.rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let spelled = |rounds: &[f64]| {
            rounds
                .iter()
                .map(|round| format!("{round:.3}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        format!(
            "## {}\n\nCommit {commit}, {} profile, Linux {kernel}, {processors} processors.\n\n\
             Median {median:.3} {}. Rounds: {}\n",
            self.title,
            self.profile,
            self.unit,
            spelled(self.rounds),
        )
    }
}

/// `text` with the section called `title` replaced, or added at the end.
fn replaced(text: &str, title: &str, section: &str) -> String {
    let head = format!("## {title}\n");
    let Some(start) = text.find(&head) else {
        return format!("{}\n\n{section}", text.trim_end());
    };
    let after = start + head.len();
    let end = text[after..]
        .find("\n## ")
        .map_or(text.len(), |offset| after + offset + 1);
    let rest = &text[end..];
    let gap = if rest.is_empty() { "" } else { "\n" };
    format!("{}{section}{gap}{rest}", &text[..start])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_its_neighbours_stay() {
        let text = format!("{HEAD}\n## One\n\nold\n\n## Two\n\nkept\n");
        let after = replaced(&text, "One", "## One\n\nnew\n");
        assert_eq!(after, format!("{HEAD}\n## One\n\nnew\n\n## Two\n\nkept\n"));
        assert_eq!(replaced(&after, "One", "## One\n\nnew\n"), after);
    }

    #[test]
    fn a_new_section_comes_last() {
        let after = replaced(HEAD, "One", "## One\n\nnew\n");
        assert_eq!(after, format!("{HEAD}\n## One\n\nnew\n"));
    }

    #[test]
    fn every_round_is_written_in_its_order() {
        let report = Report {
            title: "T",
            unit: "seconds",
            profile: "dev",
            rounds: &[3.0, 1.0, 2.0],
        };
        let section = report.section("abc", "6.1", 2);
        assert!(
            section.contains("Median 2.000 seconds. Rounds: 3.000 1.000 2.000"),
            "{section}"
        );
    }
}
