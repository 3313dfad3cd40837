//! What a scenario says, after every name and unit was checked.

use std::time::Duration;

use regex::Regex;

use crate::gate::Gate;
use crate::json_path::JsonPath;
use crate::shape::{Shape, Spacing};
use crate::template::Template;

/// A checked scenario.
#[derive(Debug, Clone)]
pub struct Program {
    pub name: String,
    /// What the file hashes to, in hex: names exactly this text.
    pub hash: String,
    pub targets: Vec<Target>,
    pub values: Vec<Setting>,
    pub secrets: Vec<Setting>,
    pub data: Vec<Data>,
    pub captures: Vec<Capture>,
    pub steps: Vec<Step>,
    pub flow: Vec<Operation>,
    pub loops: usize,
    pub profiles: Vec<Profile>,
    pub hosts: Vec<String>,
    pub production: Vec<String>,
    pub rate_max: Option<f64>,
    pub cookies: bool,
}

#[derive(Debug, Clone)]
pub struct Target {
    pub name: String,
    pub source: Source,
    /// File with the certificates to trust instead of the machine's.
    pub ca: Option<String>,
}

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Literal(String),
    Environment {
        variable: String,
        default: Option<String>,
    },
}

#[derive(Debug, Clone)]
pub struct Setting {
    pub name: String,
    pub source: Source,
}

/// Rows that users take values from.
#[derive(Debug, Clone)]
pub struct Data {
    pub name: String,
    pub format: Format,
    pub file: String,
    /// Every row is used by one user only.
    pub unique: bool,
    /// Columns that templates name, with the line that named them first; rows are kept in this order.
    pub columns: Vec<(String, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Json,
}

#[derive(Debug, Clone)]
pub struct Capture {
    pub name: String,
    pub secret: bool,
}

/// One instruction of the flow; places are indexes into [`Program::flow`].
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    Step(usize),
    Think {
        least: Duration,
        most: Duration,
    },
    /// Sets a counter.
    Repeat {
        counter: usize,
        times: u32,
    },
    /// Counts down and goes back unless it is done.
    Again {
        counter: usize,
        start: usize,
    },
    /// Goes on at one of these places, chosen by weight.
    Pick {
        branches: Vec<(u32, usize)>,
    },
    Jump(usize),
}

/// A request and what is expected of its answer.
#[derive(Debug, Clone)]
pub struct Step {
    pub name: String,
    pub line: u32,
    pub method: Method,
    pub url: Template,
    pub headers: Vec<(String, Template)>,
    pub body: Option<Template>,
    pub expect: Vec<Statuses>,
    pub captures: Vec<(usize, Subject)>,
    pub asserts: Vec<Assert>,
    pub timeout: Option<Duration>,
    pub redirects: u32,
    pub retry: Option<Retry>,
    pub stream: Option<Stream>,
    pub body_max: u64,
    /// Changes nothing at the target, so a smoke test may send it.
    pub safe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    pub const ALL: [Self; 7] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Options,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

impl Step {
    pub fn expects(&self, status: u16) -> bool {
        self.expect
            .iter()
            .any(|range| (range.first..=range.last).contains(&status))
    }

    /// Every template of the request and of what is expected.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let asserted = self.asserts.iter().filter_map(|assert| match &assert.test {
            Test::Compare(_, Operand::Text(text))
            | Test::Contains(text)
            | Test::StartsWith(text) => Some(text),
            _ => None,
        });
        std::iter::once(&self.url)
            .chain(self.headers.iter().map(|(_, value)| value))
            .chain(&self.body)
            .chain(asserted)
    }

    /// Captures that must have been made before.
    pub fn needs(&self) -> impl Iterator<Item = usize> + '_ {
        self.templates()
            .flat_map(Template::captures)
            // What a step captures itself is there when its answer is looked at.
            .filter(|slot| {
                !self.captures.iter().any(|(own, _)| own == slot) || self.request_needs(*slot)
            })
    }

    fn request_needs(&self, slot: usize) -> bool {
        std::iter::once(&self.url)
            .chain(self.headers.iter().map(|(_, value)| value))
            .chain(&self.body)
            .any(|template| template.captures().any(|needed| needed == slot))
    }
}

/// Status codes from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses {
    pub first: u16,
    pub last: u16,
}

/// Sends the request again until its answer is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    pub within: Duration,
    pub every: Duration,
}

/// The answer is a stream of server-sent events.
#[derive(Debug, Clone)]
pub struct Stream {
    pub events: u32,
    pub within: Duration,
}

/// A part of an answer.
#[derive(Debug, Clone)]
pub enum Subject {
    Status,
    Duration,
    Size,
    Sha256,
    Body,
    Header(String),
    Cookie(String),
    Json(JsonPath),
    Regex(Regex),
}

impl Subject {
    /// Whether the body must be kept to answer.
    pub fn reads_body(&self) -> bool {
        matches!(
            self,
            Self::Sha256 | Self::Body | Self::Json(_) | Self::Regex(_)
        )
    }
}

/// Something that must hold for an answer.
#[derive(Debug, Clone)]
pub struct Assert {
    pub subject: Subject,
    pub test: Test,
    pub when: When,
    pub line: u32,
    /// As it was typed, for messages.
    pub text: String,
}

#[derive(Debug, Clone)]
pub enum Test {
    Exists,
    Missing,
    Compare(Comparison, Operand),
    Contains(Template),
    StartsWith(Template),
    Matches(Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

#[derive(Debug, Clone)]
pub enum Operand {
    Number(f64),
    Bool(bool),
    Null,
    Text(Template),
}

/// When an assertion is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    Always,
    /// Not under load.
    Functional,
    /// Under load on this share of the answers.
    Sample(f64),
}

/// One way to run the flow.
#[derive(Debug, Clone)]
pub struct Profile {
    pub name: String,
    pub line: u32,
    pub load: Load,
    pub timeout: Option<Duration>,
    pub stop_on_first_failure: bool,
    pub in_flight_max: u64,
    pub workers: Option<usize>,
    pub connections: Connections,
    pub seed: Option<u64>,
    /// How long answers are waited for after the last arrival.
    pub drain: Duration,
    pub resume_tls: bool,
    pub spin: bool,
    pub gates: Vec<Gate>,
    pub windows: Vec<Window>,
    /// Steps this profile leaves out, and why.
    pub skipped: Vec<(usize, String)>,
}

/// Who starts flows, and when.
#[derive(Debug, Clone, PartialEq)]
pub enum Load {
    Iterations {
        each: u64,
        users: u64,
    },
    Rows {
        data: usize,
        limit: Option<u64>,
        users: u64,
    },
    Users(Shape),
    Arrivals {
        shape: Shape,
        spacing: Spacing,
    },
}

impl Load {
    /// How long it goes on, where the file says it.
    pub fn length(&self) -> Option<Duration> {
        match self {
            Self::Users(shape) | Self::Arrivals { shape, .. } => Some(shape.length()),
            Self::Iterations { .. } | Self::Rows { .. } => None,
        }
    }

    /// A functional run: every assertion counts, nothing is sampled.
    pub fn is_functional(&self) -> bool {
        matches!(self, Self::Iterations { .. } | Self::Rows { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// Each user has its own, as browsers do.
    Own,
    /// All users share this many.
    Shared(u64),
}

/// A part of a run, by planned time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from: Duration,
    pub to: Duration,
}

impl Program {
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// Most requests one pass through the flow can send.
    pub fn requests_max(&self) -> u64 {
        let mut times = vec![1_u64; self.loops];
        let mut factor = 1_u64;
        let mut open = Vec::new();
        let mut count = 0_u64;
        for operation in &self.flow {
            match operation {
                Operation::Step(_) => count = count.saturating_add(factor),
                Operation::Repeat { counter, times: n } => {
                    times[*counter] = u64::from(*n);
                    open.push(factor);
                    factor = factor.saturating_mul(u64::from(*n));
                }
                Operation::Again { .. } => factor = open.pop().unwrap_or(1),
                _ => {}
            }
        }
        count
    }
}
