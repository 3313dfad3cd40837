//! The line of a mistake with a caret below it.

use super::Place;

/// The most characters of a line that are shown.
const WIDTH_MAX: usize = 100;

/// Returns the line and a caret under the column, each on a line of its own; nothing if there is no such line.
pub(crate) fn snippet(text: &str, (line, column): Place) -> String {
    let index = usize::try_from(line)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let Some(source) = text.lines().nth(index) else {
        return String::new();
    };
    let column = usize::try_from(column)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let skipped = column.saturating_sub(WIDTH_MAX * 3 / 4);
    let shown: String = source
        .chars()
        .skip(skipped)
        .take(WIDTH_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let gap = " ".repeat((column - skipped).min(shown.chars().count()));
    format!(
        "\n{margin} |\n{number} | {}\n{margin} | {gap}^",
        shown.trim_end()
    )
}
