//! The functions templates may call: Go's, sprig's, and shuttle's, which win.

mod arguments;
mod builtin;
mod convert;
mod encode;
mod lists;
mod maps;
mod math;
mod patterns;
mod shuttle;
mod text;
mod time;

use foreshore_model::nearest;

use crate::execute::Options;
use crate::value::Value;

pub(crate) use arguments::Arguments;

/// A function's answer, or what is wrong with its arguments.
pub(crate) type Answer = Result<Value, String>;

type Function = fn(&Arguments<'_>) -> Answer;

/// Later groups win, as the later of two maps of functions does in Go.
const GROUPS: &[&[(&str, Function)]] = &[
    shuttle::FUNCTIONS,
    builtin::FUNCTIONS,
    text::FUNCTIONS,
    lists::FUNCTIONS,
    maps::FUNCTIONS,
    math::FUNCTIONS,
    convert::FUNCTIONS,
    encode::FUNCTIONS,
    patterns::FUNCTIONS,
    time::FUNCTIONS,
];

/// Sprig's functions that are refused: a second rendering would not give the same, or a password would pass through.
pub const REFUSED: &[&str] = &[
    "bcrypt",
    "buildCustomCert",
    "decryptAES",
    "derivePassword",
    "encryptAES",
    "genCA",
    "genCAWithKey",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "getHostByName",
    "htpasswd",
    "md5sum",
    "randAlpha",
    "randAlphaNum",
    "randAscii",
    "randBytes",
    "randInt",
    "randNumeric",
    "sha1sum",
    "shuffle",
    "urlJoin",
    "urlParse",
    "uuidv4",
];

/// `and` and `or` do not look at all their arguments, so they are not among the functions.
const SHORT: [&str; 2] = ["and", "or"];

/// Returns the names of all functions, in no order.
pub fn names() -> impl Iterator<Item = &'static str> {
    GROUPS
        .iter()
        .flat_map(|group| group.iter().map(|(name, _)| *name))
        .chain(SHORT)
}

fn find(name: &str) -> Option<Function> {
    GROUPS
        .iter()
        .flat_map(|group| group.iter())
        .find(|(known, _)| *known == name)
        .map(|(_, function)| *function)
}

/// Says what is wrong with a function's name, if something is.
pub(crate) fn check(name: &str) -> Result<(), String> {
    if SHORT.contains(&name) || find(name).is_some() {
        return Ok(());
    }
    if REFUSED.contains(&name) {
        return Err(format!(
            "function `{name}` is refused: what is rendered must be the same every time and hold no secret"
        ));
    }
    Err(match nearest(name, names()) {
        Some(near) => format!("function `{name}` is not defined; did you mean `{near}`?"),
        None => format!("function `{name}` is not defined"),
    })
}

pub(crate) fn call(name: &str, values: &[Value], options: &Options<'_>) -> Answer {
    let function = find(name).ok_or("is not defined")?;
    function(&Arguments { values, options })
}
