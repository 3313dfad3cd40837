//! Sprig's functions of text.

use super::arguments::{Arguments, to_int, to_text, to_texts};
use super::{Answer, Function};
use crate::print;
use crate::value::Value;

/// A text from a template is never repeated into more than this.
const REPEATED_BYTES_MAX: usize = 1024 * 1024;

pub(crate) const FUNCTIONS: &[(&str, Function)] = &[
    ("hello", |_| Ok(Value::text("Hello!"))),
    ("upper", |a| one(a, str::to_uppercase)),
    ("lower", |a| one(a, str::to_lowercase)),
    ("title", |a| {
        one(a, |text| each_word(text, char::to_uppercase))
    }),
    ("untitle", |a| {
        one(a, |text| each_word(text, char::to_lowercase))
    }),
    ("swapcase", |a| one(a, swap_case)),
    ("nospace", |a| {
        one(a, |text| {
            text.chars().filter(|c| !c.is_whitespace()).collect()
        })
    }),
    ("initials", |a| {
        one(a, |text| {
            text.split_whitespace()
                .filter_map(|word| word.chars().next())
                .collect()
        })
    }),
    ("snakecase", |a| one(a, |text| split_case(text, '_'))),
    ("kebabcase", |a| one(a, |text| split_case(text, '-'))),
    ("camelcase", |a| one(a, camel_case)),
    ("trimAll", |a| {
        two(a, |set, text| {
            text.trim_matches(|c| set.contains(c)).to_owned()
        })
    }),
    ("trimall", |a| {
        two(a, |set, text| {
            text.trim_matches(|c| set.contains(c)).to_owned()
        })
    }),
    ("trimSuffix", |a| {
        two(a, |end, text| {
            text.strip_suffix(end).unwrap_or(text).to_owned()
        })
    }),
    ("trimPrefix", |a| {
        two(a, |start, text| {
            text.strip_prefix(start).unwrap_or(text).to_owned()
        })
    }),
    ("contains", |a| test(a, |part, text| text.contains(part))),
    ("hasPrefix", |a| {
        test(a, |start, text| text.starts_with(start))
    }),
    ("hasSuffix", |a| test(a, |end, text| text.ends_with(end))),
    ("repeat", repeat),
    ("substr", substr),
    ("trunc", trunc),
    ("abbrev", |a| {
        a.count(2)?;
        let width = a.int(0)?;
        let text = a.text(1)?;
        Ok(Value::text(if width < 4 {
            text.to_owned()
        } else {
            abbreviate(text, 0, size(width))
        }))
    }),
    ("abbrevboth", |a| {
        a.count(3)?;
        let (left, right, text) = (a.int(0)?, a.int(1)?, a.text(2)?);
        let unchanged = right < 4 || (left > 0 && right < 7);
        Ok(Value::text(if unchanged {
            text.to_owned()
        } else {
            abbreviate(text, size(left), size(right))
        }))
    }),
    ("wrap", |a| {
        a.count(2)?;
        Ok(Value::text(wrap(
            a.text(1)?,
            size(a.int(0)?).max(1),
            "\n",
            false,
        )))
    }),
    ("wrapWith", |a| {
        a.count(3)?;
        Ok(Value::text(wrap(
            a.text(2)?,
            size(a.int(0)?).max(1),
            a.text(1)?,
            true,
        )))
    }),
    ("quote", |a| Ok(Value::text(quoted(a.values, print::quote)))),
    ("squote", |a| {
        Ok(Value::text(quoted(a.values, |text| format!("'{text}'"))))
    }),
    ("cat", |a| {
        let words: Vec<String> = a
            .values
            .iter()
            .filter(|value| !matches!(value, Value::Nil))
            .map(to_text)
            .collect();
        Ok(Value::text(words.join(" ")))
    }),
    ("indent", |a| {
        a.count(2)?;
        Ok(Value::text(indent(a.int(0)?, a.text(1)?)))
    }),
    ("nindent", |a| {
        a.count(2)?;
        Ok(Value::text(format!("\n{}", indent(a.int(0)?, a.text(1)?))))
    }),
    ("replace", |a| {
        a.count(3)?;
        let (old, new, text) = (a.text(0)?, a.text(1)?, a.text(2)?);
        Ok(Value::text(text.replace(old, new)))
    }),
    ("plural", |a| {
        a.count(3)?;
        let word = if to_int(a.any(2)?) == 1 {
            a.text(0)?
        } else {
            a.text(1)?
        };
        Ok(Value::text(word))
    }),
    ("join", |a| {
        a.count(2)?;
        Ok(Value::text(to_texts(a.any(1)?).join(a.text(0)?)))
    }),
    ("sortAlpha", |a| {
        a.count(1)?;
        let mut words = to_texts(a.any(0)?);
        words.sort();
        Ok(texts(words))
    }),
    ("toStrings", |a| {
        a.count(1)?;
        Ok(texts(to_texts(a.any(0)?)))
    }),
    ("splitList", |a| {
        a.count(2)?;
        Ok(texts(split(a.text(0)?, a.text(1)?, None)))
    }),
    ("split", |a| {
        a.count(2)?;
        Ok(numbered(split(a.text(0)?, a.text(1)?, None)))
    }),
    ("splitn", |a| {
        a.count(3)?;
        Ok(numbered(split(a.text(0)?, a.text(2)?, Some(a.int(1)?))))
    }),
];

fn size(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

fn one(arguments: &Arguments<'_>, change: fn(&str) -> String) -> Answer {
    arguments.count(1)?;
    Ok(Value::text(change(arguments.text(0)?)))
}

fn two(arguments: &Arguments<'_>, change: fn(&str, &str) -> String) -> Answer {
    arguments.count(2)?;
    Ok(Value::text(change(arguments.text(0)?, arguments.text(1)?)))
}

fn test(arguments: &Arguments<'_>, holds: fn(&str, &str) -> bool) -> Answer {
    arguments.count(2)?;
    Ok(Value::Bool(holds(arguments.text(0)?, arguments.text(1)?)))
}

pub(crate) fn texts(words: Vec<String>) -> Value {
    Value::list(words.into_iter().map(Value::text).collect())
}

fn numbered(words: Vec<String>) -> Value {
    Value::texts(
        words
            .into_iter()
            .enumerate()
            .map(|(index, word)| (format!("_{index}"), word)),
    )
}

fn split(separator: &str, text: &str, limit: Option<i64>) -> Vec<String> {
    let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
    if separator.is_empty() {
        return text.chars().map(String::from).collect();
    }
    match limit {
        Some(0) => Vec::new(),
        Some(limit) if limit > 0 => owned(text.splitn(size(limit), separator).collect()),
        _ => owned(text.split(separator).collect()),
    }
}

fn each_word<I: Iterator<Item = char>>(text: &str, change: fn(char) -> I) -> String {
    let mut result = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        let letter = c.is_alphanumeric() || c == '_' || c == '\'';
        if letter && !inside {
            result.extend(change(c));
        } else {
            result.push(c);
        }
        inside = letter;
    }
    result
}

fn swap_case(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_uppercase() {
            result.extend(c.to_lowercase());
        } else {
            result.extend(c.to_uppercase());
        }
    }
    result
}

/// `HTTPServer first` to `http_server_first`.
fn split_case(text: &str, separator: char) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut result = String::with_capacity(text.len() + 4);
    for (index, c) in characters.iter().enumerate() {
        if matches!(c, '_' | '-' | ' ') {
            result.push(separator);
            continue;
        }
        let before = index.checked_sub(1).map(|index| characters[index]);
        let next_lower = characters
            .get(index + 1)
            .is_some_and(|next| next.is_lowercase());
        let starts = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && next_lower)
            });
        if starts && !result.ends_with(separator) {
            result.push(separator);
        }
        result.extend(c.to_lowercase());
    }
    result
}

fn camel_case(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut start = true;
    for c in text.chars() {
        if matches!(c, '_' | '-' | ' ') {
            start = true;
        } else if start {
            result.extend(c.to_uppercase());
            start = false;
        } else {
            result.push(c);
        }
    }
    result
}

fn repeat(arguments: &Arguments<'_>) -> Answer {
    arguments.count(2)?;
    let count = usize::try_from(arguments.int(0)?).map_err(|_| "negative count")?;
    let text = arguments.text(1)?;
    if count.saturating_mul(text.len()) > REPEATED_BYTES_MAX {
        return Err(format!("more than {REPEATED_BYTES_MAX} bytes"));
    }
    Ok(Value::text(text.repeat(count)))
}

/// The largest place in `text` that is no further than `at` and splits no character.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn substr(arguments: &Arguments<'_>) -> Answer {
    arguments.count(3)?;
    let (start, end, text) = (arguments.int(0)?, arguments.int(1)?, arguments.text(2)?);
    let end = match usize::try_from(end) {
        Ok(end) if end <= text.len() => end,
        _ => text.len(),
    };
    let (start, end) = (boundary(text, size(start)), boundary(text, end));
    text.get(start..end)
        .map(Value::text)
        .ok_or_else(|| format!("slice bounds out of range [{start}:{end}]"))
}

fn trunc(arguments: &Arguments<'_>) -> Answer {
    arguments.count(2)?;
    let (count, text) = (arguments.int(0)?, arguments.text(1)?);
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    Ok(Value::text(if count < 0 && length + count > 0 {
        &text[boundary(text, size(length + count))..]
    } else if count >= 0 && length > count {
        &text[..boundary(text, size(count))]
    } else {
        text
    }))
}

fn abbreviate(text: &str, offset: usize, width: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    let part = |from: usize, to: usize| {
        characters[from.min(characters.len())..to.min(characters.len())]
            .iter()
            .collect::<String>()
    };
    let length = characters.len();
    if length <= width {
        return text.to_owned();
    }
    let mut offset = offset.min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    if offset <= 4 {
        return format!("{}...", part(0, width - 3));
    }
    if offset + width - 3 < length {
        let rest = part(offset, length);
        return format!("...{}", abbreviate(&rest, 0, width - 3));
    }
    format!("...{}", part(length - (width - 3), length))
}

fn wrap(text: &str, width: usize, newline: &str, cut_long: bool) -> String {
    let characters: Vec<char> = text.chars().collect();
    let length = characters.len();
    let mut result = String::with_capacity(text.len() + text.len() / width);
    let mut offset = 0;
    while offset < length {
        if characters[offset] == ' ' {
            offset += 1;
            continue;
        }
        if length - offset <= width {
            break;
        }
        let end = (offset + width + 1).min(length);
        let space = (offset..end).rev().find(|index| characters[*index] == ' ');
        if let Some(space) = space {
            result.extend(&characters[offset..space]);
            result.push_str(newline);
            offset = space + 1;
        } else if cut_long {
            result.extend(&characters[offset..offset + width]);
            result.push_str(newline);
            offset += width;
        } else {
            let Some(space) = (offset + width..length).find(|index| characters[*index] == ' ')
            else {
                break;
            };
            result.extend(&characters[offset..space]);
            result.push_str(newline);
            offset = space + 1;
        }
    }
    result.extend(&characters[offset.min(length)..]);
    result
}

fn quoted(values: &[Value], quote: fn(&str) -> String) -> String {
    let words: Vec<String> = values
        .iter()
        .filter(|value| !matches!(value, Value::Nil))
        .map(|value| quote(&to_text(value)))
        .collect();
    words.join(" ")
}

fn indent(spaces: i64, text: &str) -> String {
    let pad = " ".repeat(size(spaces).min(1000));
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}
