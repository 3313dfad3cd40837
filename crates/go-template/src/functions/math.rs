//! Sprig's functions of numbers.

use super::arguments::{Arguments, to_float, to_int};
use super::{Answer, Function};
use crate::value::Value;

pub(crate) const FUNCTIONS: &[(&str, Function)] = &[
    ("add", |a| fold(a, 0, i64::checked_add)),
    ("add1", |a| {
        a.count(1)?;
        number(to_int(a.any(0)?).checked_add(1))
    }),
    ("sub", |a| pair(a, i64::checked_sub)),
    ("div", |a| pair(a, i64::checked_div)),
    ("mod", |a| pair(a, i64::checked_rem)),
    ("mul", |a| {
        a.at_least(1)?;
        fold(a, 1, i64::checked_mul)
    }),
    ("max", |a| largest(a)),
    ("biggest", |a| largest(a)),
    ("min", |a| {
        a.at_least(1)?;
        Ok(Value::Int(a.values.iter().map(to_int).min().unwrap_or(0)))
    }),
    ("addf", |a| {
        Ok(Value::Float(a.values.iter().map(to_float).sum()))
    }),
    ("add1f", |a| {
        a.count(1)?;
        Ok(Value::Float(to_float(a.any(0)?) + 1.0))
    }),
    ("subf", |a| reduce(a, |x, y| x - y)),
    ("divf", |a| reduce(a, |x, y| x / y)),
    ("mulf", |a| reduce(a, |x, y| x * y)),
    ("maxf", |a| reduce(a, f64::max)),
    ("minf", |a| reduce(a, f64::min)),
    ("floor", |a| {
        a.count(1)?;
        Ok(Value::Float(to_float(a.any(0)?).floor()))
    }),
    ("ceil", |a| {
        a.count(1)?;
        Ok(Value::Float(to_float(a.any(0)?).ceil()))
    }),
    ("round", round),
];

fn number(value: Option<i64>) -> Answer {
    value
        .map(Value::Int)
        .ok_or_else(|| "the result is no 64-bit number".to_owned())
}

fn fold(arguments: &Arguments<'_>, start: i64, join: fn(i64, i64) -> Option<i64>) -> Answer {
    number(arguments.values.iter().map(to_int).try_fold(start, join))
}

fn pair(arguments: &Arguments<'_>, join: fn(i64, i64) -> Option<i64>) -> Answer {
    arguments.count(2)?;
    let (a, b) = (to_int(arguments.any(0)?), to_int(arguments.any(1)?));
    join(a, b).map(Value::Int).ok_or_else(|| {
        if b == 0 {
            "division by zero"
        } else {
            "the result is no 64-bit number"
        }
        .to_owned()
    })
}

fn largest(arguments: &Arguments<'_>) -> Answer {
    arguments.at_least(1)?;
    Ok(Value::Int(
        arguments.values.iter().map(to_int).max().unwrap_or(0),
    ))
}

fn reduce(arguments: &Arguments<'_>, join: fn(f64, f64) -> f64) -> Answer {
    arguments.at_least(1)?;
    let mut values = arguments.values.iter().map(to_float);
    let first = values.next().unwrap_or(0.0);
    Ok(Value::Float(values.fold(first, join)))
}

fn round(arguments: &Arguments<'_>) -> Answer {
    arguments.at_least(2)?;
    let half = arguments.values.get(2).map_or(0.5, to_float);
    let value = to_float(arguments.any(0)?);
    let places = i32::try_from(arguments.int(1)?).map_err(|_| "too many places")?;
    let scale = 10_f64.powi(places);
    let digit = scale * value;
    let fraction = digit - digit.trunc();
    let rounded = if fraction >= half {
        digit.ceil()
    } else {
        digit.floor()
    };
    Ok(Value::Float(rounded / scale))
}
