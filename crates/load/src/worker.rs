//! One thread of a run: its users, its connections, and the loop that moves them.
//!
//! Workers share nothing but the plan and the brake, so there is no lock and
//! no message per request.

mod ledger;
mod pass;
mod step;
mod user;
mod wire;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use foreshore_scenario::{Arrivals, Load};
use rustix::event::epoll::{self, CreateFlags, Event};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::connection::Connection;
use crate::endpoint::Endpoints;
use crate::plan::Plan;
use crate::timers::{Due, Timers};

use ledger::Ledger;
pub(crate) use ledger::{Part, Tick};
use user::User;

/// The brake and the clock of the live view are looked at this often.
const TURN_MAX: u64 = 100_000_000;
/// Below this the poller's own clock, in milliseconds, is too coarse.
const COARSE: u64 = 4_000_000;
/// With `spin`, the last stretch before a moment is waited for without sleeping.
const SPIN: u64 = 60_000;
const EVENTS: usize = 256;
/// Every answer that matters for speed fits; larger ones come in pieces.
const SCRATCH: usize = 64 * 1024;

/// Connections to one endpoint that all users share.
#[derive(Debug, Default)]
struct Pool {
    idle: Vec<u32>,
    open: usize,
    /// Users in the order they came; each is here at most once.
    waiting: VecDeque<u32>,
}

/// A place for a connection, used by one after the other.
#[derive(Debug, Default)]
struct Slot {
    connection: Option<Connection>,
    /// Tells events of an earlier connection from those of this one.
    generation: u32,
}

type Stream = Box<dyn Iterator<Item = (u64, u64)> + Send>;

pub(crate) struct Worker {
    plan: Arc<Plan>,
    index: usize,
    endpoints: Endpoints,
    epoll: OwnedFd,
    slots: Vec<Slot>,
    free_slots: Vec<u32>,
    pools: Vec<Pool>,
    shared: Option<usize>,
    users: Vec<User>,
    free_users: Vec<u32>,
    active: u64,
    active_max: u64,
    /// Users that go on now, and since when they could.
    ready: VecDeque<(u32, u64)>,
    /// Users that are given a shared connection now: user, slot, and its generation.
    handed: VecDeque<(u32, u32, u32)>,
    timers: Timers,
    arrivals: Option<Stream>,
    next_arrival: Option<(u64, u64)>,
    /// Earliest next request, where a rate must not be passed.
    pace: Option<(u64, u64)>,
    ledger: Ledger,
    scratch: Vec<u8>,
    request: Vec<u8>,
    now: u64,
    idle_nanos: u64,
    halted: bool,
    /// The shape is over: nobody begins or goes on any more.
    closed: bool,
}

impl Worker {
    pub(crate) fn new(plan: Arc<Plan>, index: usize, ticks: SyncSender<Tick>) -> io::Result<Self> {
        let arrivals: Option<Stream> = match &plan.setup.profile.load {
            Load::Arrivals { shape, spacing } => {
                let all = Arrivals::new(shape.clone(), *spacing, plan.seed);
                Some(Box::new(all.share(index as u64, plan.workers as u64)))
            }
            _ => None,
        };
        Ok(Self {
            index,
            endpoints: plan.endpoints.clone(),
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            slots: Vec::new(),
            free_slots: Vec::new(),
            pools: Vec::new(),
            shared: plan.shared_connections(index),
            users: Vec::new(),
            free_users: Vec::new(),
            active: 0,
            active_max: plan.in_flight_max(index),
            ready: VecDeque::new(),
            handed: VecDeque::new(),
            timers: Timers::default(),
            arrivals,
            next_arrival: None,
            pace: plan.pace().map(|gap| (gap, 0)),
            ledger: Ledger::new(&plan, ticks),
            scratch: vec![0; SCRATCH],
            request: Vec::new(),
            now: 0,
            idle_nanos: 0,
            halted: false,
            closed: false,
            plan,
        })
    }

    /// Runs to the end of the plan, or until the brake is pulled.
    pub(crate) fn run(mut self) -> io::Result<Part> {
        // The kernel may wake a thread 50 us late to save power, unless asked not to.
        if let Err(errno) = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)) {
            tracing::debug!(%errno, "timers stay coarse");
        }
        let starved_before = starved();
        self.next_arrival = self.arrivals.as_mut().and_then(Iterator::next);
        self.wait_for_start();
        self.admit_all();
        let mut events = Vec::with_capacity(EVENTS);
        while !self.is_over() {
            self.end_shape();
            self.start_due();
            self.fire_timers();
            self.go_on();
            self.ledger.tick(self.now, self.active);
            self.wait(&mut events)?;
        }
        self.count_rest();
        self.ledger.unfinished(self.now, &self.users);
        let starved = starved().saturating_sub(starved_before);
        Ok(self
            .ledger
            .close(self.now, self.idle_nanos, starved, self.active))
    }

    fn wait_for_start(&mut self) {
        let left = self
            .plan
            .start
            .saturating_duration_since(std::time::Instant::now());
        std::thread::sleep(left);
        self.now = self.plan.now();
    }

    fn is_over(&mut self) -> bool {
        if self.halted || self.plan.brake.is_pulled() {
            return true;
        }
        if let Some(end) = self.plan.end() {
            let drain = crate::plan::nanos(self.plan.setup.profile.drain);
            if self.now >= end.saturating_add(drain) {
                return true;
            }
        }
        self.active == 0 && self.next_arrival.is_none() && self.ready.is_empty()
    }

    fn fire_timers(&mut self) {
        while let Some((at, due)) = self.timers.take(self.now) {
            match due {
                Due::Wake { user, generation } => {
                    if self.users[user as usize].generation == generation {
                        self.ledger.late(self.now - at);
                        self.wake(user, at);
                    }
                }
                Due::Deadline { user } => self.deadline(user, at),
            }
        }
    }

    /// Moves the users that wait for nothing; those that become so meanwhile have their turn next.
    fn go_on(&mut self) {
        for _ in 0..self.handed.len() {
            if let Some((user, slot, generation)) = self.handed.pop_front() {
                self.take_over(user, slot, generation);
            }
        }
        for _ in 0..self.ready.len() {
            if let Some((user, since)) = self.ready.pop_front() {
                self.resume(user, since);
            }
        }
    }

    /// Sleeps until something happens or is due, then handles what happened.
    fn wait(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let before = self.plan.now();
        let next = [
            self.next_arrival.map(|(_, due)| due),
            self.timers.next(),
            Some(self.ledger.next_tick()),
            Some(before + TURN_MAX),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(before);
        let left = if self.ready.is_empty() && self.handed.is_empty() {
            next.saturating_sub(before)
        } else {
            0
        };
        events.clear();
        if left > COARSE {
            self.poll(events, left - COARSE / 2)?;
        } else {
            self.poll(events, 0)?;
            if events.is_empty() && left > 0 {
                self.wait_finely(before + left)?;
                self.poll(events, 0)?;
            }
        }
        self.now = self.plan.now();
        self.idle_nanos += if left > 0 { self.now - before } else { 0 };
        for event in &*events {
            self.event(event.data.u64(), event.flags);
            self.go_on();
        }
        Ok(())
    }

    /// Takes what has happened, waiting at most so many nanoseconds, in steps of milliseconds.
    fn poll(&self, events: &mut Vec<Event>, nanos: u64) -> io::Result<()> {
        let timeout = timespec(nanos / 1_000_000 * 1_000_000);
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(events),
            Some(&timeout),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits until a moment or an event, to the nanosecond.
    fn wait_finely(&self, until: u64) -> io::Result<()> {
        let left = until.saturating_sub(self.plan.now());
        let spin = self.plan.setup.profile.spin;
        let sleep = if spin {
            left.saturating_sub(SPIN)
        } else {
            left
        };
        let mut polled = [PollFd::new(&self.epoll, PollFlags::IN)];
        if sleep > 0 {
            match rustix::event::poll(&mut polled, Some(&timespec(sleep))) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
        while spin && self.plan.now() < until {
            match rustix::event::poll(&mut polled, Some(&timespec(0))) {
                Ok(0) | Err(rustix::io::Errno::INTR) => std::hint::spin_loop(),
                Ok(_) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

fn timespec(nanos: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(nanos % 1_000_000_000).unwrap_or(0),
    }
}

/// Nanoseconds this thread was ready to run and had no processor; 0 where the kernel does not say.
fn starved() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
