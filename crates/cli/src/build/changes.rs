//! How two renderings differ, line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use foreshore_model::EnvironmentName;
use foreshore_model::artifact::Manifests;
use foreshore_plan::Content;

/// Lines around a change that are shown.
const CONTEXT: usize = 2;
/// Longer texts are only said to differ; no manifest is.
const LINES_MAX: usize = 3000;

/// Manifests of every environment.
pub(crate) type Rendered = BTreeMap<EnvironmentName, Manifests>;

/// Returns the changes as `diff -u` writes them; nothing if there are none.
pub(crate) fn between(before: &Rendered, after: &Rendered) -> String {
    let mut text = String::new();
    let environments: BTreeSet<&EnvironmentName> = before.keys().chain(after.keys()).collect();
    let none = Manifests::new();
    for environment in environments {
        let (old, new) = (
            before.get(environment).unwrap_or(&none),
            after.get(environment).unwrap_or(&none),
        );
        text.push_str(&of_files(environment.as_str(), old, new));
    }
    text
}

/// Returns the changes between two sets of files; `place` is where they are said to be.
pub(crate) fn of_files(place: &str, old: &Manifests, new: &Manifests) -> String {
    let mut text = String::new();
    let files: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for file in files {
        let (old, new) = (
            old.get(file).map_or("", String::as_str),
            new.get(file).map_or("", String::as_str),
        );
        if old != new {
            writeln!(text, "--- {place}/{file}\n+++ {place}/{file}")
                .expect("writing to a string cannot fail");
            text.push_str(&lines(old, new));
        }
    }
    text
}

/// The files of a plan as texts to compare.
pub(crate) fn texts(content: &Content) -> Manifests {
    let files = content.files().iter();
    files
        .map(|(path, file)| {
            let text = String::from_utf8_lossy(&file.bytes).into_owned();
            (path.clone(), text)
        })
        .collect()
}

fn lines(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > LINES_MAX || new.len() > LINES_MAX {
        return "(too long to compare)\n".to_owned();
    }
    // `common[i][j]`: how many lines the rests from i and j have in common.
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let mut rows: Vec<(char, &str)> = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            rows.push((' ', old[i]));
            i += 1;
            j += 1;
        } else if j >= new.len()
            || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            rows.push(('-', old[i]));
            i += 1;
        } else {
            rows.push(('+', new[j]));
            j += 1;
        }
    }
    let near = |index: usize| {
        let from = index.saturating_sub(CONTEXT);
        rows[from..(index + CONTEXT + 1).min(rows.len())]
            .iter()
            .any(|(sign, _)| *sign != ' ')
    };
    let mut text = String::new();
    let mut skipped = false;
    for (index, (sign, line)) in rows.iter().enumerate() {
        if near(index) {
            if skipped && !text.is_empty() {
                text.push_str("@@\n");
            }
            skipped = false;
            writeln!(text, "{sign}{line}").expect("writing to a string cannot fail");
        } else {
            skipped = true;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown_with_what_is_around_it() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let new = "a\nb\nc\nD\ne\nf\ng\nh\ni\n";
        assert_eq!(lines(old, new), " b\n c\n-d\n+D\n e\n f\n g\n h\n+i\n");
        assert_eq!(lines("", "x\n"), "+x\n");
        let far = lines(&"x\n".repeat(20), &format!("y\n{}z\n", "x\n".repeat(20)));
        assert_eq!(far, "+y\n x\n x\n@@\n x\n x\n+z\n");
    }
}
