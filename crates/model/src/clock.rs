//! The one place that asks the machine for the time.
//!
//! Decisions never call it: they get the time as a value, so that a test can
//! set it.

use jiff::Timestamp;

/// Returns the wall-clock time.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
