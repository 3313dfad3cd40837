//! What a release would change in its manifests, as people read it.

use foreshore_model::api::Difference;

use crate::html::Html;

/// Lines of one file that are shown.
const LINES_MAX: usize = 400;

/// Writes what differs, file by file.
pub(crate) fn write(html: &mut Html, difference: &Difference) {
    if difference.is_empty() {
        html.raw("<p class=quiet>The manifests are the same, byte for byte.</p>");
        return;
    }
    html.raw("<p class=quiet>")
        .text(&difference.from)
        .raw(" → ")
        .text(&difference.to)
        .raw("</p>");
    for file in &difference.files {
        html.raw("<details open><summary><code>")
            .text(&file.path)
            .raw("</code></summary><pre class=diff tabindex=0>");
        for line in file.text.lines().take(LINES_MAX) {
            match line.as_bytes().first() {
                Some(b'+') => html.raw("<ins>").text(line).raw("</ins>\n"),
                Some(b'-') => html.raw("<del>").text(line).raw("</del>\n"),
                _ => html.text(line).raw("\n"),
            };
        }
        let more = file.text.lines().count().saturating_sub(LINES_MAX);
        if more > 0 {
            html.raw("<span class=quiet>and ")
                .number(more)
                .raw(" more lines</span>\n");
        }
        html.raw("</pre></details>");
    }
}

#[cfg(test)]
mod tests {
    use foreshore_model::api::FileDifference;

    use super::*;

    fn shown(path: &str, text: &str) -> String {
        let mut html = Html::new();
        let files = vec![FileDifference {
            path: path.into(),
            text: text.into(),
        }];
        write(
            &mut html,
            &Difference {
                from: "a".into(),
                to: "b".into(),
                files,
            },
        );
        html.into_string()
    }

    #[test]
    fn what_goes_and_what_comes_is_marked() {
        let html = shown("web.yaml", " a\n-b\n+c\n");
        assert!(
            html.contains("<del>-b</del>") && html.contains("<ins>+c</ins>"),
            "{html}"
        );
    }

    #[test]
    fn hostile_manifests_are_shown_as_text() {
        let html = shown("<b>.yaml", "+</pre><script>alert(1)</script>");
        assert!(
            !html.contains("<script>") && !html.contains("<b>"),
            "{html}"
        );
    }

    #[test]
    fn a_difference_without_end_is_cut() {
        let html = shown("x", &"+y\n".repeat(10_000));
        assert!(
            html.contains("9600</span> more lines") || html.contains("9600 more lines"),
            "{}",
            &html[html.len() - 200..]
        );
    }
}
