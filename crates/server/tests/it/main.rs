//! The server through its API, with artifacts that the tests push and outcomes that they report.
#![expect(
    clippy::unwrap_used,
    reason = "all of it is tests, also where it is not marked as such"
)]

mod approvals;
mod automation;
mod contract;
mod deeds;
mod login;
mod news;
mod openapi;
mod operations;
mod rules;
mod served;
mod source;
mod stage;
mod trail;
mod whole;
