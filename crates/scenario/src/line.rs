//! A scenario as a tree of lines: what is indented under what.

use crate::problem::{Fault, Span};

/// One line that says something, and the lines indented below it.
#[derive(Debug, Clone)]
pub(crate) struct Line<'a> {
    pub(crate) number: u32,
    /// Columns before its first character.
    pub(crate) indent: u32,
    /// Without indentation and trailing blanks.
    pub(crate) text: &'a str,
    pub(crate) children: Vec<Self>,
    /// For a lone `body`: the lines below, as they are.
    pub(crate) verbatim: Option<String>,
}

impl Line<'_> {
    /// The place of the whole line.
    pub(crate) fn span(&self) -> Span {
        Span {
            line: self.number,
            column: self.indent + 1,
            width: width(self.text),
        }
    }
}

/// Characters of a text, as the caret counts them.
pub(crate) fn width(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

/// The word that opens a body of several lines.
const VERBATIM: &str = "body";

/// Reads the tree; lines that fit nowhere are reported and skipped.
pub(crate) fn tree<'a>(text: &'a str, faults: &mut Vec<Fault>) -> Vec<Line<'a>> {
    let mut flat: Vec<Line<'a>> = Vec::new();
    let mut lines = text.lines().zip(1_u32..).peekable();
    while let Some((raw, number)) = lines.next() {
        let trimmed = raw.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let blanks = raw.len() - raw.trim_start().len();
        if let Some(tab) = raw[..blanks].find('\t') {
            let column = width(&raw[..tab]) + 1;
            let span = Span {
                line: number,
                column,
                width: 1,
            };
            faults.push(Fault::new(span, "a tab in the indentation").hint("indent with blanks"));
            continue;
        }
        let indent = u32::try_from(blanks).unwrap_or(u32::MAX);
        let mut line = Line {
            number,
            indent,
            text: trimmed,
            children: Vec::new(),
            verbatim: None,
        };
        if trimmed == VERBATIM {
            let mut block = Vec::new();
            while let Some((raw, _)) = lines.next_if(|(raw, _)| {
                raw.trim().is_empty() || raw.len() - raw.trim_start().len() > blanks
            }) {
                block.push(raw);
            }
            line.verbatim = Some(dedent(&block));
        }
        flat.push(line);
    }
    nest(flat, faults)
}

/// Removes the indentation all lines share, and blank lines at the end.
fn dedent(block: &[&str]) -> String {
    let shared = block
        .iter()
        .filter(|raw| !raw.trim().is_empty())
        .map(|raw| raw.len() - raw.trim_start().len())
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = block
        .iter()
        .map(|raw| raw.get(shared..).unwrap_or(""))
        .collect();
    lines.join("\n").trim_end().to_owned()
}

fn nest<'a>(flat: Vec<Line<'a>>, faults: &mut Vec<Fault>) -> Vec<Line<'a>> {
    let mut roots: Vec<Line<'a>> = Vec::new();
    // The open lines, outermost first.
    let mut open: Vec<Line<'a>> = Vec::new();
    for line in flat {
        let mut closed_at = None;
        while open.last().is_some_and(|last| last.indent >= line.indent) {
            let last = open.pop().expect("the loop saw it");
            closed_at = Some(last.indent);
            close(last, &mut open, &mut roots);
        }
        let stray = match (closed_at, open.last()) {
            // Back out to a depth where nothing stands.
            (Some(depth), _) => depth != line.indent,
            (None, None) => line.indent != 0,
            (None, Some(_)) => false,
        };
        if stray {
            faults.push(
                Fault::new(line.span(), "this indentation fits no line above")
                    .hint("lines of one block start in the same column"),
            );
        }
        open.push(line);
    }
    while let Some(last) = open.pop() {
        close(last, &mut open, &mut roots);
    }
    roots
}

fn close<'a>(line: Line<'a>, open: &mut [Line<'a>], roots: &mut Vec<Line<'a>>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(line),
        None => roots.push(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_makes_the_tree_and_comments_are_no_lines() {
        let mut faults = Vec::new();
        let tree = tree("a\n  b\n    c\n# no\n  d\n\ne\n", &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(tree.len(), 2);
        assert_eq!(tree[0].children.len(), 2);
        assert_eq!(tree[0].children[0].children[0].text, "c");
        assert_eq!(tree[1].number, 7);
    }

    #[test]
    fn a_body_keeps_its_lines_as_they_are() {
        let mut faults = Vec::new();
        let tree = tree(
            "step\n  body\n    # one\n\n      two\n  next\n",
            &mut faults,
        );
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(
            tree[0].children[0].verbatim.as_deref(),
            Some("# one\n\n  two")
        );
        assert_eq!(tree[0].children[1].text, "next");
    }

    #[test]
    fn a_line_between_two_depths_and_a_tab_are_reported() {
        let mut faults = Vec::new();
        tree("a\n    b\n  c\n\td\n", &mut faults);
        let places: Vec<_> = faults
            .iter()
            .map(|fault| (fault.span.line, fault.span.column))
            .collect();
        assert_eq!(places, [(4, 1), (3, 3)]);
    }
}
