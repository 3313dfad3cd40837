//! One user: where in the flow, with what in hand.

use foreshore_scenario::{Address, Random};

use crate::cookies::Jar;
use crate::http::Answer;

/// What a user is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody is here.
    Free,
    /// Goes on as soon as it is its turn.
    Ready,
    /// Between two steps.
    Thinking,
    /// Between two stretches of presence.
    Away,
    /// Will send the same request again.
    Retrying,
    /// Holds back, so that a rate is not passed.
    Paced,
    /// In line for a connection.
    Waiting,
    /// An answer is awaited.
    Asking,
}

/// Where a redirect leads.
#[derive(Debug, Clone)]
pub(super) struct Detour {
    pub(super) endpoint: usize,
    pub(super) address: Address,
    pub(super) method: &'static str,
    pub(super) with_body: bool,
}

#[derive(Debug)]
pub(super) struct User {
    pub(super) state: State,
    /// Tells timers of an earlier pause from those of this one.
    pub(super) generation: u32,
    /// Number over all workers.
    pub(super) number: u64,
    pub(super) iteration: u64,
    pub(super) place: usize,
    pub(super) counters: Box<[u32]>,
    pub(super) captures: Box<[Option<Box<str>>]>,
    pub(super) rows: Box<[usize]>,
    pub(super) jar: Jar,
    pub(super) random: Random,
    /// Stretches of time in which the user is there, for closed loads.
    pub(super) presence: Vec<(u64, u64)>,

    /// The step whose answer is awaited.
    pub(super) step: usize,
    pub(super) planned: u64,
    pub(super) sent: u64,
    pub(super) deadline: u64,
    /// When the earliest deadline timer of this place fires; `u64::MAX` for none.
    pub(super) armed: u64,
    pub(super) retries: u32,
    pub(super) retry_until: u64,
    pub(super) redirects: u32,
    pub(super) detour: Option<Box<Detour>>,
    /// Decides which sampled assertions count this time.
    pub(super) draw: f64,
    /// Whether a connection that closed at once was replaced already.
    pub(super) replaced: bool,
    pub(super) slot: Option<u32>,
    /// Connections of its own.
    pub(super) own: Vec<u32>,
    pub(super) answer: Answer,
    /// The request as it was sent, where it may have to be shown.
    pub(super) shown: Vec<u8>,
}

impl User {
    pub(super) fn new(counters: usize, captures: usize, data: usize) -> Self {
        Self {
            state: State::Free,
            generation: 0,
            number: 0,
            iteration: 0,
            place: 0,
            counters: vec![0; counters].into_boxed_slice(),
            captures: vec![None; captures].into_boxed_slice(),
            rows: vec![0; data].into_boxed_slice(),
            jar: Jar::default(),
            random: Random::new(0, 0),
            presence: Vec::new(),
            step: 0,
            planned: 0,
            sent: 0,
            deadline: u64::MAX,
            armed: u64::MAX,
            retries: 0,
            retry_until: 0,
            redirects: 0,
            detour: None,
            draw: 0.0,
            replaced: false,
            slot: None,
            own: Vec::new(),
            answer: Answer::default(),
            shown: Vec::new(),
        }
    }
}
