//! Sprig's conversions, and its words about types, paths and versions.

use super::arguments::{Arguments, to_float, to_int, to_text};
use super::{Answer, Function};
use crate::value::Value;

pub(crate) const FUNCTIONS: &[(&str, Function)] = &[
    ("atoi", |a| {
        a.count(1)?;
        Ok(Value::Int(a.text(0)?.parse().unwrap_or(0)))
    }),
    ("int64", |a| {
        a.count(1)?;
        Ok(Value::Int(to_int(a.any(0)?)))
    }),
    ("float64", |a| {
        a.count(1)?;
        Ok(Value::Float(to_float(a.any(0)?)))
    }),
    ("toString", |a| {
        a.count(1)?;
        Ok(Value::text(to_text(a.any(0)?)))
    }),
    ("toDecimal", |a| {
        a.count(1)?;
        let digits = to_text(a.any(0)?);
        Ok(Value::Int(
            i64::from_str_radix(digits.trim_start_matches("0o"), 8).unwrap_or(0),
        ))
    }),
    ("kindOf", |a| {
        a.count(1)?;
        Ok(Value::text(a.any(0)?.kind()))
    }),
    ("kindIs", |a| {
        a.count(2)?;
        Ok(Value::Bool(a.any(1)?.kind() == a.text(0)?))
    }),
    ("typeOf", |a| {
        a.count(1)?;
        Ok(Value::text(a.any(0)?.type_name()))
    }),
    ("typeIs", |a| {
        a.count(2)?;
        Ok(Value::Bool(a.any(1)?.type_name() == a.text(0)?))
    }),
    ("typeIsLike", |a| {
        a.count(2)?;
        Ok(Value::Bool(
            a.any(1)?.type_name() == a.text(0)?.trim_start_matches('*'),
        ))
    }),
    ("deepEqual", |a| {
        a.count(2)?;
        Ok(Value::Bool(a.any(0)?.equals(a.any(1)?)))
    }),
    ("base", |a| path(a, base)),
    ("osBase", |a| path(a, base)),
    ("dir", |a| path(a, directory)),
    ("osDir", |a| path(a, directory)),
    ("clean", |a| path(a, clean)),
    ("osClean", |a| path(a, clean)),
    ("ext", |a| path(a, extension)),
    ("osExt", |a| path(a, extension)),
    ("isAbs", |a| {
        a.count(1)?;
        Ok(Value::Bool(a.text(0)?.starts_with('/')))
    }),
    ("osIsAbs", |a| {
        a.count(1)?;
        Ok(Value::Bool(a.text(0)?.starts_with('/')))
    }),
    ("semver", |a| {
        a.count(1)?;
        let version = Version::parse(a.text(0)?)?;
        let number = |value: u64| Value::Int(i64::try_from(value).unwrap_or(i64::MAX));
        Ok(Value::fields([
            ("Major", number(version.numbers[0])),
            ("Minor", number(version.numbers[1])),
            ("Patch", number(version.numbers[2])),
            ("Prerelease", Value::text(version.prerelease)),
            ("Metadata", Value::text(version.metadata)),
            ("Original", Value::text(a.text(0)?)),
        ]))
    }),
    ("semverCompare", |a| {
        a.count(2)?;
        let version = Version::parse(a.text(1)?)?;
        matches_any(a.text(0)?, &version).map(Value::Bool)
    }),
    ("env", |a| {
        a.count(1)?;
        let value = a.options.environment.get(a.text(0)?);
        Ok(Value::text(value.map_or("", String::as_str)))
    }),
    ("expandenv", |a| {
        a.count(1)?;
        Ok(Value::text(expand(a.text(0)?, a)))
    }),
];

fn path(arguments: &Arguments<'_>, change: fn(&str) -> String) -> Answer {
    arguments.count(1)?;
    Ok(Value::text(change(arguments.text(0)?)))
}

fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return "/".to_owned();
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed).to_owned()
}

fn directory(path: &str) -> String {
    let end = path.rfind('/').map_or(0, |index| index + 1);
    clean(&path[..end])
}

fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.last().is_some_and(|last| *last != "..") {
                    parts.pop();
                } else if !rooted {
                    parts.push("..");
                }
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rfind('.')
        .map_or_else(String::new, |index| name[index..].to_owned())
}

fn expand(text: &str, arguments: &Arguments<'_>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find('$') {
        result.push_str(&rest[..found]);
        rest = &rest[found + 1..];
        let braced = rest
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        let (name, after) = braced.unwrap_or_else(|| {
            let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
            rest.split_at(end.unwrap_or(rest.len()))
        });
        if name.is_empty() {
            result.push('$');
        } else if let Some(value) = arguments.options.environment.get(name) {
            result.push_str(value);
        }
        rest = after;
    }
    result.push_str(rest);
    result
}

/// A version: three numbers, what comes before it, and what does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    numbers: [u64; 3],
    prerelease: String,
    metadata: String,
}

impl Version {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no semantic version");
        let plain = text.trim().strip_prefix('v').unwrap_or_else(|| text.trim());
        let (plain, metadata) = plain.split_once('+').unwrap_or((plain, ""));
        let (core, prerelease) = plain.split_once('-').unwrap_or((plain, ""));
        let mut numbers = [0; 3];
        let parts: Vec<&str> = core.split('.').collect();
        if parts.len() > 3 {
            return Err(wrong());
        }
        for (slot, part) in numbers.iter_mut().zip(&parts) {
            *slot = part.parse().map_err(|_| wrong())?;
        }
        Ok(Self {
            numbers,
            prerelease: prerelease.to_owned(),
            metadata: metadata.to_owned(),
        })
    }

    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
                (true, true) => std::cmp::Ordering::Equal,
                (true, false) => std::cmp::Ordering::Greater,
                (false, true) => std::cmp::Ordering::Less,
                (false, false) => compare_prerelease(&self.prerelease, &other.prerelease),
            }
        })
    }
}

fn compare_prerelease(a: &str, b: &str) -> std::cmp::Ordering {
    let key = |part: &str| match part.parse::<u64>() {
        Ok(number) => (0, number, String::new()),
        Err(_) => (1, 0, part.to_owned()),
    };
    a.split('.').map(key).cmp(b.split('.').map(key))
}

/// `>=1.2, <2 || ~3.1`: one of the alternatives, all of its parts.
fn matches_any(constraint: &str, version: &Version) -> Result<bool, String> {
    for alternative in constraint.split("||") {
        let mut all = true;
        for part in alternative
            .split([',', ' '])
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            all &= matches_one(part, version)?;
        }
        if all {
            return Ok(true);
        }
    }
    Ok(false)
}

fn matches_one(part: &str, version: &Version) -> Result<bool, String> {
    let end = part
        .find(|c: char| !"<>=!~^".contains(c))
        .unwrap_or(part.len());
    let (operator, text) = part.split_at(end);
    let plain = text.strip_prefix('v').unwrap_or(text);
    let given = plain
        .split(['-', '+'])
        .next()
        .unwrap_or(plain)
        .split('.')
        .take_while(|part| !matches!(*part, "x" | "X" | "*"))
        .count();
    let fixed: Vec<&str> = plain.split('.').take(given).collect();
    if given == 0 {
        return Ok(version.prerelease.is_empty());
    }
    let wanted = Version::parse(&fixed.join("."))?;
    // A version that is not out yet matches only where one is asked for.
    if !version.prerelease.is_empty() && wanted.prerelease.is_empty() {
        return Ok(false);
    }
    let order = version.compare(&wanted);
    let same = |count: usize| version.numbers[..count] == wanted.numbers[..count];
    let at_least = order.is_ge();
    Ok(match operator {
        "" | "=" if given < 3 => same(given),
        "" | "=" => order.is_eq(),
        "!=" if given < 3 => !same(given),
        "!=" => order.is_ne(),
        ">" if given < 3 => order.is_gt() && !same(given),
        ">" => order.is_gt(),
        "<" => order.is_lt(),
        ">=" | "=>" => at_least,
        "<=" | "=<" if given < 3 => order.is_lt() || same(given),
        "<=" | "=<" => order.is_le(),
        "~" | "~>" => at_least && same(given.clamp(1, 2)),
        "^" => {
            let first = wanted
                .numbers
                .iter()
                .take(given)
                .position(|number| *number != 0);
            at_least && same(first.map_or(given, |index| index + 1))
        }
        other => return Err(format!("`{other}` is no comparison of versions")),
    })
}
