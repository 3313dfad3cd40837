//! Sprig's functions of lists.

use super::arguments::{Arguments, is_empty, to_int};
use super::{Answer, Function};
use crate::value::Value;

/// Lists that templates count out are never longer.
const ITEMS_MAX: i64 = 100_000;

pub(crate) const FUNCTIONS: &[(&str, Function)] = &[
    ("list", |a| Ok(Value::list(a.values.to_vec()))),
    ("tuple", |a| Ok(Value::list(a.values.to_vec()))),
    ("first", first),
    ("mustFirst", first),
    ("last", last),
    ("mustLast", last),
    ("rest", rest),
    ("mustRest", rest),
    ("initial", initial),
    ("mustInitial", initial),
    ("append", append),
    ("mustAppend", append),
    ("push", append),
    ("mustPush", append),
    ("prepend", prepend),
    ("mustPrepend", prepend),
    ("concat", |a| {
        let mut all = Vec::new();
        for index in 0..a.values.len() {
            all.extend_from_slice(a.list(index)?);
        }
        Ok(Value::list(all))
    }),
    ("reverse", reverse),
    ("mustReverse", reverse),
    ("uniq", uniq),
    ("mustUniq", uniq),
    ("without", without),
    ("mustWithout", without),
    ("has", has),
    ("mustHas", has),
    ("compact", compact),
    ("mustCompact", compact),
    ("slice", slice),
    ("mustSlice", slice),
    ("chunk", chunk),
    ("mustChunk", chunk),
    ("until", |a| {
        a.count(1)?;
        let end = a.int(0)?;
        steps(0, end, if end < 0 { -1 } else { 1 })
    }),
    ("untilStep", |a| {
        a.count(3)?;
        steps(a.int(0)?, a.int(1)?, a.int(2)?)
    }),
    ("seq", seq),
];

fn first(arguments: &Arguments<'_>) -> Answer {
    arguments.count(1)?;
    Ok(arguments.list(0)?.first().cloned().unwrap_or(Value::Nil))
}

fn last(arguments: &Arguments<'_>) -> Answer {
    arguments.count(1)?;
    Ok(arguments.list(0)?.last().cloned().unwrap_or(Value::Nil))
}

fn rest(arguments: &Arguments<'_>) -> Answer {
    arguments.count(1)?;
    Ok(match arguments.list(0)? {
        [] => Value::Nil,
        [_, rest @ ..] => Value::list(rest.to_vec()),
    })
}

fn initial(arguments: &Arguments<'_>) -> Answer {
    arguments.count(1)?;
    Ok(match arguments.list(0)? {
        [] => Value::Nil,
        [initial @ .., _] => Value::list(initial.to_vec()),
    })
}

fn append(arguments: &Arguments<'_>) -> Answer {
    arguments.count(2)?;
    let mut list = arguments.list(0)?.to_vec();
    list.push(arguments.any(1)?.clone());
    Ok(Value::list(list))
}

fn prepend(arguments: &Arguments<'_>) -> Answer {
    arguments.count(2)?;
    let mut list = vec![arguments.any(1)?.clone()];
    list.extend_from_slice(arguments.list(0)?);
    Ok(Value::list(list))
}

fn reverse(arguments: &Arguments<'_>) -> Answer {
    arguments.count(1)?;
    Ok(Value::list(
        arguments.list(0)?.iter().rev().cloned().collect(),
    ))
}

fn contains(list: &[Value], wanted: &Value) -> bool {
    list.iter().any(|value| value.equals(wanted))
}

fn uniq(arguments: &Arguments<'_>) -> Answer {
    arguments.count(1)?;
    let mut unique: Vec<Value> = Vec::new();
    for value in arguments.list(0)? {
        if !contains(&unique, value) {
            unique.push(value.clone());
        }
    }
    Ok(Value::list(unique))
}

fn without(arguments: &Arguments<'_>) -> Answer {
    let list = arguments.list(0)?;
    let unwanted = &arguments.values[1..];
    Ok(Value::list(
        list.iter()
            .filter(|value| !contains(unwanted, value))
            .cloned()
            .collect(),
    ))
}

fn has(arguments: &Arguments<'_>) -> Answer {
    arguments.count(2)?;
    if matches!(arguments.any(1)?, Value::Nil) {
        return Ok(Value::Bool(false));
    }
    Ok(Value::Bool(contains(arguments.list(1)?, arguments.any(0)?)))
}

fn compact(arguments: &Arguments<'_>) -> Answer {
    arguments.count(1)?;
    Ok(Value::list(
        arguments
            .list(0)?
            .iter()
            .filter(|value| !is_empty(value))
            .cloned()
            .collect(),
    ))
}

fn slice(arguments: &Arguments<'_>) -> Answer {
    let list = arguments.list(0)?;
    if list.is_empty() {
        return Ok(Value::Nil);
    }
    let at = |index: usize, otherwise: usize| match arguments.values.get(index) {
        Some(value) => {
            usize::try_from(to_int(value)).map_err(|_| "slice index out of range".to_owned())
        }
        None => Ok(otherwise),
    };
    let (start, end) = (at(1, 0)?, at(2, list.len())?);
    list.get(start..end)
        .map(|part| Value::list(part.to_vec()))
        .ok_or_else(|| format!("slice bounds out of range [{start}:{end}]"))
}

fn chunk(arguments: &Arguments<'_>) -> Answer {
    arguments.count(2)?;
    let size = usize::try_from(arguments.int(0)?)
        .ok()
        .filter(|size| *size > 0);
    let size = size.ok_or("chunk size must be positive")?;
    Ok(Value::list(
        arguments
            .list(1)?
            .chunks(size)
            .map(|part| Value::list(part.to_vec()))
            .collect(),
    ))
}

fn steps(start: i64, end: i64, step: i64) -> Answer {
    let none = Ok(Value::list(Vec::new()));
    if step == 0 || (end < start && step >= 0) || (end > start && step <= 0) {
        return none;
    }
    let count = (i128::from(end) - i128::from(start)) / i128::from(step);
    if count > i128::from(ITEMS_MAX) {
        return Err(format!("more than {ITEMS_MAX} items"));
    }
    let mut items = Vec::new();
    let mut at = start;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        items.push(Value::Int(at));
        at += step;
    }
    Ok(Value::list(items))
}

/// Numbers as the program `seq` prints them, in one line.
fn seq(arguments: &Arguments<'_>) -> Answer {
    let numbers: Vec<i64> = (0..arguments.values.len())
        .map(|index| arguments.int(index))
        .collect::<Result<_, _>>()?;
    let (start, step, end) = match numbers[..] {
        [end] => (1, if end < 1 { -1 } else { 1 }, end),
        [start, end] => (start, if end < start { -1 } else { 1 }, end),
        [start, step, end] => (start, step, end),
        _ => return Ok(Value::text("")),
    };
    let beyond = end + step.signum();
    let Value::List(list) = steps(start, beyond, step)? else {
        return Ok(Value::text(""));
    };
    let words: Vec<String> = list.iter().map(crate::print::value).collect();
    Ok(Value::text(words.join(" ")))
}
