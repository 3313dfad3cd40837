//! Makes text from clusters and logs harmless: no markup, no control characters, no end of it.

/// More than any name or message needs; megabytes end here.
pub(crate) const LENGTH_MAX: usize = 2_000;

/// Appends text as HTML shows it.
pub(crate) fn push_escaped(out: &mut String, text: &str, length_max: usize) {
    each_harmless(text, length_max, |character| match character {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        other => out.push(other),
    });
}

/// Returns text without what terminals, bidi algorithms and spreadsheets obey.
pub(crate) fn harmless(text: &str, length_max: usize) -> String {
    let mut out = String::new();
    each_harmless(text, length_max, |character| out.push(character));
    out
}

fn each_harmless(text: &str, length_max: usize, mut push: impl FnMut(char)) {
    let mut characters = text.chars();
    let mut count = 0;
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_escape(&mut characters),
            '\n' | '\t' => push(character),
            _ if character.is_control() || reorders(character) => push('\u{fffd}'),
            _ => push(character),
        }
        count += 1;
        if count >= length_max {
            let rest = characters.as_str().len();
            if rest > 0 {
                for character in format!(" … ({rest} more bytes)").chars() {
                    push(character);
                }
            }
            return;
        }
    }
}

/// Characters that change the direction of text or take no room.
fn reorders(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{061c}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Consumes one terminal sequence: `ESC [ … letter`, `ESC ] … BEL`, or `ESC` and one more.
fn skip_escape(characters: &mut std::str::Chars<'_>) {
    let ahead = characters.clone().next();
    match ahead {
        Some('[') => {
            characters.next();
            skip_to(characters, |character| matches!(character, '@'..='~'));
        }
        Some(']' | 'P' | '_' | '^') => {
            characters.next();
            skip_to(characters, |character| {
                matches!(character, '\u{7}' | '\\' | '\n')
            });
        }
        Some(character) if !character.is_control() => {
            characters.next();
        }
        _ => {}
    }
}

fn skip_to(characters: &mut std::str::Chars<'_>, ends: impl Fn(char) -> bool) {
    /// No real sequence is longer; what follows is text again.
    const SEQUENCE_MAX: usize = 256;
    for character in characters.by_ref().take(SEQUENCE_MAX) {
        if ends(character) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_sequences_and_reordering_do_not_pass() {
        for (hostile, shown) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}rest", "rest"),
            ("a\u{202e}b", "a\u{fffd}b"),
            ("a\u{200b}\u{feff}b", "a\u{fffd}\u{fffd}b"),
            ("bell\u{7}\u{0}", "bell\u{fffd}\u{fffd}"),
            ("tab\tline\n", "tab\tline\n"),
            ("\u{1b}", ""),
            ("\u{1b}\u{1b}[1mx", "x"),
        ] {
            assert_eq!(harmless(hostile, 100), shown, "{hostile:?}");
        }
    }

    #[test]
    fn megabytes_are_cut_and_say_so() {
        let shown = harmless(&"x".repeat(5_000_000), LENGTH_MAX);
        assert!(shown.len() < 2_100, "{}", shown.len());
        assert!(shown.ends_with("(4998000 more bytes)"));
    }

    #[test]
    fn html_is_escaped_in_every_position() {
        let mut out = String::new();
        push_escaped(&mut out, "</td><b a='1' b=\"2\">&", 100);
        assert_eq!(
            out,
            "&lt;/td&gt;&lt;b a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;"
        );
    }
}
