//! The scenario language and everything that follows from it without touching the world.
//!
//! [`compile()`] turns text into a checked [`Program`], [`bind()`] adds addresses,
//! secrets and rows; [`Arrivals`] says when each request is due,
//! [`Statistics`] holds what was measured, [`decide`] holds it against the
//! gates and [`judge`] gives the verdict. Nothing here sends a byte, reads a
//! clock or draws a random number.

mod address;
mod bind;
mod check;
mod compile;
mod explain;
mod fence;
mod gate;
mod json_path;
mod line;
mod problem;
mod program;
mod quantity;
mod random;
mod release_check;
mod report;
mod rows;
mod shape;
mod statistics;
mod template;
mod token;
mod verdict;
mod words;

pub use address::Address;
pub use bind::{BindError, BoundTarget, Inputs, Setup, bind};
pub use check::{Failed, Received, capture, check};
pub use compile::compile;
pub use fence::{Agreed, Refusal, fence};
pub use gate::{Answer, Baseline, Decision, Facts, Gate, Limit, Measure, Point, decide};
pub use json_path::JsonPath;
pub use problem::{Problem, Problems, Span};
pub use program::{
    Assert, Capture, Comparison, Connections, Data, Format, Load, Method, Operand, Operation,
    Profile, Program, Retry, Setting, Source, Statuses, Step, Stream, Subject, Target, Test, When,
    Window,
};
pub use quantity::{spell, spell_share};
pub use random::Random;
pub use release_check::{
    CheckError, EXPECTED_VERSION, RELEASE_VARIABLES, SMOKE, TARGET_URL, bind_check, compile_check,
    compile_with_smoke,
};
pub use report::{
    Failure, Moment, Outcome, Report, StepRun, TargetSample, TargetUse, Timeline, baseline,
};
pub use shape::{Arrivals, Segment, Shape, Spacing};
pub use statistics::{Durations, FailureKind, Sample, Statistics, StepStatistics};
pub use template::{Escape, Expression, Part, Template};
pub use verdict::{Verdict, judge};
