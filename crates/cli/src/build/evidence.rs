//! What is known about a build besides its result: tests and scans, and the CI run that made it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use foreshore_action::{Finished, State};
use foreshore_model::artifact::Stage;
use serde::Deserialize;

use crate::failure::Failure;

/// Largest report that is read.
const REPORT_BYTES_MAX: u64 = 64 << 20;

/// Stages and CI link of an artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) stages: Vec<Stage>,
    pub(crate) ci: Option<String>,
}

impl Evidence {
    /// Takes over how actions went; times are left out, so that the same build has the same digest.
    pub(crate) fn add_actions(&mut self, finished: &[Finished]) {
        for step in finished {
            let (passed, summary) = match step.state {
                State::Done | State::Unchanged => (true, String::new()),
                State::Failed(code) => (false, format!("exit code {code}")),
                State::Left => (false, "left out".to_owned()),
            };
            self.put(Stage {
                name: step.name.clone(),
                passed,
                summary,
                counts: BTreeMap::new(),
            });
        }
    }

    /// Reads a report: `JUnit` (`.xml`) or SARIF (`.sarif`, `.json`); its file's name names the stage.
    pub(crate) fn add_report(&mut self, path: &Path) -> Result<(), Failure> {
        let wrong = |what: String| {
            Failure::usage(format!(
                "report `{}` cannot be used: {what}",
                path.display()
            ))
            .hint("reports are JUnit (`.xml`) or SARIF (`.sarif`, `.json`)")
        };
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| wrong("it has no plain name".to_owned()))?;
        let size = fs::metadata(path)
            .map_err(|error| wrong(error.to_string()))?
            .len();
        if size > REPORT_BYTES_MAX {
            return Err(wrong(format!(
                "it has {size} bytes, at most {REPORT_BYTES_MAX} are read"
            )));
        }
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let counts = if path.extension().is_some_and(|end| end == "xml") {
            junit(&text)
        } else {
            sarif(&text)
        }
        .map_err(wrong)?;
        let bad = ["failures", "errors", "error"];
        let passed = bad
            .iter()
            .all(|word| counts.get(*word).is_none_or(|count| *count == 0));
        let summary: Vec<String> = counts
            .iter()
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        self.put(Stage {
            name: name.to_owned(),
            passed,
            summary: summary.join(", "),
            counts,
        });
        Ok(())
    }

    /// The first stage that did not pass.
    pub(crate) fn failed(&self) -> Option<&Stage> {
        self.stages.iter().find(|stage| !stage.passed)
    }

    fn put(&mut self, stage: Stage) {
        self.stages.retain(|known| known.name != stage.name);
        self.stages.push(stage);
        self.stages.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// Finds the page of the CI run that this process belongs to.
pub(crate) fn ci_link(environment: &BTreeMap<String, String>) -> Option<String> {
    let value = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    if let Some(link) = ["FORESHORE_CI_URL", "CI_JOB_URL", "BUILD_URL"]
        .into_iter()
        .find_map(value)
    {
        return Some(link.clone());
    }
    let (server, repository, run) = (
        value("GITHUB_SERVER_URL")?,
        value("GITHUB_REPOSITORY")?,
        value("GITHUB_RUN_ID")?,
    );
    Some(format!("{server}/{repository}/actions/runs/{run}"))
}

/// Adds up the counts of all suites that are not inside another.
fn junit(text: &str) -> Result<BTreeMap<String, u64>, String> {
    let mut counts = BTreeMap::new();
    let mut depth = 0_usize;
    let mut rest = text;
    let mut suites = 0;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix("![CDATA[") {
            rest = after.split_once("]]>").map_or("", |(_, rest)| rest);
            continue;
        }
        if let Some(after) = rest.strip_prefix("!--") {
            rest = after.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let end = rest.find('>').ok_or("a tag does not end")?;
        let tag = &rest[..end];
        if tag.starts_with("/testsuite") && !tag.starts_with("/testsuites") {
            depth = depth.saturating_sub(1);
        } else if tag.starts_with("testsuite") && !tag.starts_with("testsuites") {
            suites += 1;
            if depth == 0 {
                for what in ["tests", "failures", "errors", "skipped"] {
                    if let Some(count) = attribute(tag, what) {
                        let count: u64 = count
                            .parse()
                            .map_err(|_| format!("`{what}=\"{count}\"` is no number"))?;
                        *counts.entry(what.to_owned()).or_insert(0) += count;
                    }
                }
            }
            if !tag.ends_with('/') {
                depth += 1;
            }
        }
        rest = &rest[end..];
    }
    if suites == 0 {
        return Err("it has no `<testsuite>`".to_owned());
    }
    Ok(counts)
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = tag.split_once(&format!(" {name}=\""))?;
    after.split('"').next()
}

/// Counts the results of each level.
fn sarif(text: &str) -> Result<BTreeMap<String, u64>, String> {
    #[derive(Deserialize)]
    struct Report {
        runs: Vec<Run>,
    }
    #[derive(Deserialize)]
    struct Run {
        #[serde(default)]
        results: Vec<Finding>,
    }
    #[derive(Deserialize)]
    struct Finding {
        #[serde(default = "warning")]
        level: String,
    }
    // What SARIF says a result without a level has.
    fn warning() -> String {
        "warning".to_owned()
    }
    let report: Report = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut counts: BTreeMap<String, u64> = ["error", "warning", "note"]
        .map(|level| (level.to_owned(), 0))
        .into();
    for finding in report.runs.into_iter().flat_map(|run| run.results) {
        *counts.entry(finding.level).or_insert(0) += 1;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs
            .iter()
            .map(|(what, count)| ((*what).to_owned(), *count))
            .collect()
    }

    #[test]
    fn nested_suites_are_counted_once_and_text_is_no_tag() {
        let text = "<testsuites tests=\"9\"><testsuite name=\"a\" tests=\"3\" failures=\"1\">\
                    <testsuite tests=\"3\"/><testcase><![CDATA[<testsuite tests=\"7\">]]></testcase>\
                    </testsuite><!-- <testsuite tests=\"7\"> --><testsuite tests=\"2\" errors=\"0\"/></testsuites>";
        assert_eq!(
            junit(text).unwrap(),
            counts(&[("errors", 0), ("failures", 1), ("tests", 5)])
        );
        for wrong in ["", "<a/>", "<testsuite tests=\"many\"/>", "<testsuite"] {
            assert!(junit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn findings_are_counted_by_level() {
        let text = r#"{"runs":[{"results":[{"level":"error"},{"level":"note"},{}]},{}]}"#;
        assert_eq!(
            sarif(text).unwrap(),
            counts(&[("error", 1), ("note", 1), ("warning", 1)])
        );
        assert!(sarif("{}").is_err());
    }

    #[test]
    fn a_stage_fails_by_what_its_report_counts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let mut evidence = Evidence::default();
        let good = write("unit.xml", "<testsuite tests=\"2\" failures=\"0\"/>");
        evidence.add_report(&good).unwrap();
        assert_eq!(evidence.failed(), None);
        let bad = write(
            "scan.sarif",
            r#"{"runs":[{"results":[{"level":"error"}]}]}"#,
        );
        evidence.add_report(&bad).unwrap();
        assert_eq!(evidence.failed().unwrap().name, "scan");
        assert_eq!(
            evidence.failed().unwrap().summary,
            "1 error, 0 note, 0 warning"
        );
        assert!(
            evidence
                .add_report(&folder.path().join("gone.xml"))
                .is_err()
        );
    }

    #[test]
    fn the_run_is_found_on_github_gitlab_and_where_it_is_told() {
        let environment = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let github = environment(&[
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "shop/web"),
            ("GITHUB_RUN_ID", "7"),
        ]);
        assert_eq!(
            ci_link(&github).as_deref(),
            Some("https://github.com/shop/web/actions/runs/7")
        );
        let gitlab = environment(&[("CI_JOB_URL", "https://gitlab.com/shop/web/-/jobs/7")]);
        assert_eq!(
            ci_link(&gitlab).as_deref(),
            Some("https://gitlab.com/shop/web/-/jobs/7")
        );
        assert_eq!(ci_link(&environment(&[])), None);
    }
}
