//! What differs between two sets of released files, as people read it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use foreshore_model::api::FileDifference;

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;
/// Above so many lines on both sides together, a file is shown as removed and written anew.
const LINES_MAX: usize = 20_000;
/// So many differing lines are searched for the shortest way; beyond, a longer one will do.
const EDITS_MAX: usize = 2_000;

/// Compares files by name; what is the same is left out.
pub fn difference(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<FileDifference> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = paths.into_iter().filter_map(|path| {
        let (old, new) = (before.get(path), after.get(path));
        if old == new {
            return None;
        }
        let text = unified(
            old.map_or("", String::as_str),
            new.map_or("", String::as_str),
        );
        Some(FileDifference {
            path: path.clone(),
            text,
        })
    });
    changed.collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Keep,
    Remove,
    Add,
}

/// Writes a unified difference of two texts, without the lines that name the files.
pub fn unified(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let edits = edits(&old, &new);
    let changes: Vec<usize> = (0..edits.len())
        .filter(|at| edits[*at] != Edit::Keep)
        .collect();
    let mut text = String::new();
    let mut rest = changes.as_slice();
    while let Some(first) = rest.first() {
        // Changes whose context would touch are shown together.
        let count = rest
            .windows(2)
            .take_while(|pair| pair[1] - pair[0] <= 2 * CONTEXT + 1)
            .count()
            + 1;
        let start = first.saturating_sub(CONTEXT);
        let end = (rest[count - 1] + CONTEXT + 1).min(edits.len());
        write_hunk(&mut text, &edits, start..end, &old, &new);
        rest = &rest[count..];
    }
    text
}

fn write_hunk(
    text: &mut String,
    edits: &[Edit],
    range: std::ops::Range<usize>,
    old: &[&str],
    new: &[&str],
) {
    let count = |edits: &[Edit], other: Edit| edits.iter().filter(|edit| **edit != other).count();
    let (mut from, mut to) = (
        count(&edits[..range.start], Edit::Add),
        count(&edits[..range.start], Edit::Remove),
    );
    let hunk = &edits[range];
    let (removed, added) = (count(hunk, Edit::Add), count(hunk, Edit::Remove));
    let place = |line: usize, length: usize| format!("{},{length}", line + usize::from(length > 0));
    let (left, right) = (place(from, removed), place(to, added));
    writeln!(text, "@@ -{left} +{right} @@").expect("writing to a string cannot fail");
    for edit in hunk {
        let (sign, line) = match edit {
            Edit::Keep => (' ', old[from]),
            Edit::Remove => ('-', old[from]),
            Edit::Add => ('+', new[to]),
        };
        writeln!(text, "{sign}{line}").expect("writing to a string cannot fail");
        from += usize::from(*edit != Edit::Add);
        to += usize::from(*edit != Edit::Remove);
    }
}

/// Finds a short way from one list of lines to the other.
fn edits(old: &[&str], new: &[&str]) -> Vec<Edit> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let mut edits = vec![Edit::Keep; head];
    if let Some(middle) = shortest(old, new) {
        edits.extend(middle);
    } else {
        edits.extend(vec![Edit::Remove; old.len()]);
        edits.extend(vec![Edit::Add; new.len()]);
    }
    edits.extend(vec![Edit::Keep; tail]);
    edits
}

/// The greedy search of Myers: furthest reach on every diagonal, one edit more each round.
fn shortest(old: &[&str], new: &[&str]) -> Option<Vec<Edit>> {
    let (n, m) = (old.len(), new.len());
    if n + m > LINES_MAX {
        return None;
    }
    let most = (n + m).min(EDITS_MAX);
    let offset = most + 1;
    let mut reach = vec![0_usize; 2 * offset + 1];
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for edits in 0..=most {
        rounds.push(reach.clone());
        for k in (0..=2 * edits).step_by(2) {
            // Diagonal `k - edits`, kept at a place that is never negative.
            let at = offset + k - edits;
            let down = k == 0 || (k != 2 * edits && reach[at - 1] < reach[at + 1]);
            let mut x = if down {
                reach[at + 1]
            } else {
                reach[at - 1] + 1
            };
            let Some(mut y) = (x + offset).checked_sub(at) else {
                continue;
            };
            while x < n && y < m && old[x] == new[y] {
                x += 1;
                y += 1;
            }
            reach[at] = x;
            if x >= n && y >= m {
                return Some(walk_back(&rounds, offset, n, m));
            }
        }
    }
    None
}

fn walk_back(
    rounds: &[Vec<usize>],
    offset: usize,
    old_length: usize,
    new_length: usize,
) -> Vec<Edit> {
    let (mut x, mut y) = (old_length, new_length);
    let mut path = Vec::new();
    for (edits, reach) in rounds.iter().enumerate().rev() {
        let at = offset + x - y;
        let first = at + edits == offset;
        let last = at == offset + edits;
        let down = first || (!last && reach[at - 1] < reach[at + 1]);
        let before = if down { at + 1 } else { at - 1 };
        let from_x = reach[before];
        let from_y = (from_x + offset).saturating_sub(before);
        let (to_x, to_y) = if edits == 0 {
            (0, 0)
        } else if down {
            (from_x, from_y + 1)
        } else {
            (from_x + 1, from_y)
        };
        while x > to_x && y > to_y {
            path.push(Edit::Keep);
            x -= 1;
            y -= 1;
        }
        if edits > 0 {
            path.push(if down { Edit::Add } else { Edit::Remove });
            (x, y) = (from_x, from_y);
        }
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_changed_line_is_shown_with_what_surrounds_it() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\ni\n";
        let after = "a\nb\nc\nd\nE\nf\ng\nh\ni\n";
        assert_eq!(
            unified(before, after),
            "@@ -2,7 +2,7 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n"
        );
        assert_eq!(unified("", "a\n"), "@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(unified("a\n", ""), "@@ -1,1 +0,0 @@\n-a\n");
        assert_eq!(unified(before, before), "");
    }

    #[test]
    fn changes_far_apart_are_shown_apart() {
        let lines = |change: &[usize]| -> String {
            (0..30)
                .map(|n| {
                    if change.contains(&n) {
                        format!("new {n}\n")
                    } else {
                        format!("{n}\n")
                    }
                })
                .collect()
        };
        let text = unified(&lines(&[]), &lines(&[3, 25]));
        assert_eq!(text.matches("@@ -").count(), 2, "{text}");
        assert_eq!(
            unified(&lines(&[]), &lines(&[3, 8]))
                .matches("@@ -")
                .count(),
            1
        );
    }

    #[test]
    fn only_files_that_differ_are_named() {
        let files = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect()
        };
        let found = difference(
            &files(&[("a", "1\n"), ("b", "1\n"), ("c", "1\n")]),
            &files(&[("a", "1\n"), ("b", "2\n"), ("d", "1\n")]),
        );
        let paths: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["b", "c", "d"]);
    }

    proptest! {
        /// Following the edits leads from one text to the other.
        #[test]
        fn edits_lead_from_the_old_text_to_the_new(old in prop::collection::vec("[abc]", 0..20), new in prop::collection::vec("[abc]", 0..20)) {
            let (old, new): (Vec<&str>, Vec<&str>) = (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
            let (mut x, mut made) = (0, Vec::new());
            let (mut y, mut kept) = (0, 0);
            for edit in edits(&old, &new) {
                match edit {
                    Edit::Keep => { prop_assert_eq!(old[x], new[y]); made.push(old[x]); x += 1; y += 1; kept += 1; }
                    Edit::Remove => x += 1,
                    Edit::Add => { made.push(new[y]); y += 1; }
                }
            }
            prop_assert_eq!(made, new.clone());
            prop_assert_eq!(x, old.len());
            prop_assert_eq!(kept, longest_common(&old, &new));
        }
    }

    fn longest_common(old: &[&str], new: &[&str]) -> usize {
        let mut row = vec![0; new.len() + 1];
        for a in old {
            let mut diagonal = 0;
            for (j, b) in new.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = if a == b {
                    diagonal + 1
                } else {
                    above.max(row[j])
                };
                diagonal = above;
            }
        }
        row[new.len()]
    }
}
