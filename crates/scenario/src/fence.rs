//! Fences around a load run: production is not met by accident.

use jiff::{Timestamp, ToSpan as _};

use crate::bind::Setup;
use crate::program::Load;
use crate::quantity::spell;

/// A stretch of time in which load on production was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Agreed {
    /// Reads `FROM..TO`, both as `2026-11-20T18:00:00Z`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let usage = "write it as `2026-11-20T18:00:00Z..2026-11-20T20:00:00Z`";
        let (from, to) = text
            .split_once("..")
            .ok_or_else(|| format!("`{text}` is not a stretch of time; {usage}"))?;
        let read = |part: &str| {
            part.parse::<Timestamp>()
                .map_err(|_| format!("`{part}` is not a moment; {usage}"))
        };
        let agreed = Self {
            from: read(from)?,
            to: read(to)?,
        };
        if agreed.from >= agreed.to {
            return Err(format!("`{text}` ends before it starts"));
        }
        Ok(agreed)
    }
}

/// Why a run is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("`{host}` is production; load on it needs an agreed time")]
    NoWindow { host: String },
    #[error("`{host}` is production, and the agreed time starts only at {from}")]
    TooEarly { host: String, from: Timestamp },
    #[error("`{host}` is production, and the agreed time ended at {to}")]
    TooLate { host: String, to: Timestamp },
    #[error(
        "`{host}` is production, and the run of {length} would end after the agreed time, at {to}"
    )]
    TooLong {
        host: String,
        length: String,
        to: Timestamp,
    },
}

/// Refuses load on production outside of an agreed time.
///
/// Functional runs pass: they send what one user would.
pub fn fence(setup: &Setup, agreed: Option<Agreed>, now: Timestamp) -> Result<(), Refusal> {
    if setup.profile.load.is_functional() {
        return Ok(());
    }
    let production = &setup.program.production;
    let Some(host) = setup
        .hosts
        .iter()
        .find(|host| production.iter().any(|name| within(host, name)))
        .cloned()
    else {
        return Ok(());
    };
    let Some(Agreed { from, to }) = agreed else {
        return Err(Refusal::NoWindow { host });
    };
    if now < from {
        return Err(Refusal::TooEarly { host, from });
    }
    if now >= to {
        return Err(Refusal::TooLate { host, to });
    }
    let length = Load::length(&setup.profile.load).unwrap_or_default() + setup.profile.drain;
    let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX / 2);
    match now.checked_add(seconds.seconds()) {
        Ok(end) if end <= to => Ok(()),
        _ => Err(Refusal::TooLong {
            host,
            length: spell(length),
            to,
        }),
    }
}

/// Whether a host is the named one or below it.
fn within(host: &str, name: &str) -> bool {
    host == name
        || host
            .strip_suffix(name)
            .is_some_and(|rest| rest.ends_with('.'))
}
