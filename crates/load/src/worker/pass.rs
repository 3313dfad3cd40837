//! Passes through the flow: who starts one, when, and what comes next in it.

use foreshore_scenario::{Load, Operation, Random};

use super::Worker;
use super::user::{State, User};
use crate::plan::nanos;
use crate::timers::Due;

impl Worker {
    /// Lets in the users that are there from the beginning.
    pub(super) fn admit_all(&mut self) {
        let plan = std::sync::Arc::clone(&self.plan);
        let own = |count: u64| {
            let (index, workers) = (self.index as u64, plan.workers as u64);
            (0..count).filter(move |number| number % workers == index)
        };
        match &plan.setup.profile.load {
            Load::Arrivals { .. } => {}
            Load::Iterations { users, .. } | Load::Rows { users, .. } => {
                for number in own(*users).collect::<Vec<_>>() {
                    let has_row = !matches!(plan.setup.profile.load, Load::Rows { .. })
                        || number < self.rows_wanted();
                    if has_row {
                        let user = self.admit(number);
                        self.begin_pass(user, self.now);
                    }
                }
            }
            Load::Users(shape) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the compiler bounds the number of users"
                )]
                let most = shape.peak().ceil() as u64;
                for number in own(most).collect::<Vec<_>>() {
                    let mut presence: Vec<(u64, u64)> = shape
                        .presence(number)
                        .into_iter()
                        .map(|(from, to)| (nanos(from), nanos(to)))
                        .collect();
                    presence.reverse();
                    let user = self.admit(number);
                    self.users[user as usize].presence = presence;
                    self.come_back(user);
                }
            }
        }
    }

    /// Starts the arrivals that are due; those that find no room are undelivered.
    pub(super) fn start_due(&mut self) {
        while let Some((number, due)) = self.next_arrival
            && due <= self.now
        {
            self.ledger.late(self.now - due);
            self.next_arrival = self.arrivals.as_mut().and_then(Iterator::next);
            if self.active >= self.active_max {
                self.ledger.undelivered();
                continue;
            }
            let user = self.admit(number);
            self.begin_pass(user, due);
        }
    }

    /// Counts arrivals that were due and that nobody came to start.
    pub(super) fn count_rest(&mut self) {
        while let Some((_, due)) = self.next_arrival
            && due <= self.now
        {
            self.ledger.undelivered();
            self.next_arrival = self.arrivals.as_mut().and_then(Iterator::next);
        }
    }

    fn admit(&mut self, number: u64) -> u32 {
        let program = &self.plan.setup.program;
        let user = self.free_users.pop().unwrap_or_else(|| {
            self.users.push(User::new(
                program.loops,
                program.captures.len(),
                program.data.len(),
            ));
            u32::try_from(self.users.len() - 1).expect("users are bounded by a million")
        });
        let it = &mut self.users[user as usize];
        it.number = number;
        it.iteration = 0;
        it.random = Random::new(self.plan.seed, number);
        self.active += 1;
        user
    }

    /// Sends home who neither waits for an answer nor may begin anew, once a closed shape is over.
    pub(super) fn end_shape(&mut self) {
        let over = self.plan.end().is_some_and(|end| self.now >= end);
        if self.closed || !over || self.arrivals.is_some() {
            return;
        }
        self.closed = true;
        self.ready.clear();
        for user in 0..self.users.len() {
            let state = self.users[user].state;
            if !matches!(
                state,
                State::Free | State::Waiting | State::Asking | State::Retrying
            ) {
                self.leave(u32::try_from(user).expect("users are bounded by a million"));
            }
        }
    }

    /// It is the turn of a user that waits for nothing.
    pub(super) fn resume(&mut self, user: u32, since: u64) {
        if self.closed {
            self.leave(user);
        } else if self.users[user as usize].state == State::Away {
            self.begin_pass(user, since);
        } else {
            self.advance(user, since);
        }
    }

    fn leave(&mut self, user: u32) {
        for slot in std::mem::take(&mut self.users[user as usize].own) {
            self.close(slot);
        }
        let it = &mut self.users[user as usize];
        it.state = State::Free;
        it.generation = it.generation.wrapping_add(1);
        it.answer.shrink();
        self.free_users.push(user);
        self.active -= 1;
    }

    fn begin_pass(&mut self, user: u32, planned: u64) {
        let rows: Vec<usize> = (0..self.plan.setup.program.data.len())
            .map(|data| self.row(user, data))
            .collect();
        let it = &mut self.users[user as usize];
        it.place = 0;
        it.captures.fill(None);
        it.jar.clear();
        it.rows.copy_from_slice(&rows);
        it.state = State::Ready;
        self.ledger.started();
        self.advance(user, planned);
    }

    /// Row of the data that a user has in this pass.
    fn row(&self, user: u32, data: usize) -> usize {
        let it = &self.users[user as usize];
        let setup = &self.plan.setup;
        let count = setup.rows[data].len() as u64;
        let number = match &setup.profile.load {
            Load::Rows {
                data: each, users, ..
            } if *each == data => it.number + it.iteration * users,
            _ if setup.program.data[data].unique => it.number,
            Load::Rows { users, .. } | Load::Iterations { users, .. } => {
                it.number + it.iteration * users
            }
            _ => it.number.wrapping_add(it.iteration.wrapping_mul(7919)),
        };
        usize::try_from(number % count.max(1)).unwrap_or(0)
    }

    fn rows_wanted(&self) -> u64 {
        match &self.plan.setup.profile.load {
            Load::Rows { data, limit, .. } => {
                let rows = self.plan.setup.rows[*data].len() as u64;
                limit.map_or(rows, |limit| limit.min(rows))
            }
            _ => u64::MAX,
        }
    }

    /// Goes on through the flow until something must be waited for.
    ///
    /// `since` is when the user could have gone on: the planned moment of what comes next.
    pub(super) fn advance(&mut self, user: u32, since: u64) {
        let plan = std::sync::Arc::clone(&self.plan);
        let flow = &plan.setup.program.flow;
        loop {
            let it = &mut self.users[user as usize];
            let Some(operation) = flow.get(it.place) else {
                return self.end_pass(user, false);
            };
            it.place += 1;
            match operation {
                Operation::Step(step) => return self.begin_step(user, *step, since),
                Operation::Think { least, most } => {
                    let (least, most) = (nanos(*least), nanos(*most));
                    let pause = least + it.random.below(most - least + 1);
                    it.state = State::Thinking;
                    return self.pause(user, since + pause);
                }
                Operation::Repeat { counter, times } => it.counters[*counter] = *times,
                Operation::Again { counter, start } => {
                    it.counters[*counter] -= 1;
                    if it.counters[*counter] > 0 {
                        it.place = *start;
                    }
                }
                Operation::Pick { branches } => {
                    let total: u64 = branches.iter().map(|(weight, _)| u64::from(*weight)).sum();
                    let mut drawn = it.random.below(total);
                    for (weight, start) in branches {
                        if drawn < u64::from(*weight) {
                            it.place = *start;
                            break;
                        }
                        drawn -= u64::from(*weight);
                    }
                }
                Operation::Jump(to) => it.place = *to,
            }
        }
    }

    pub(super) fn pause(&mut self, user: u32, until: u64) {
        let it = &mut self.users[user as usize];
        it.generation = it.generation.wrapping_add(1);
        let due = Due::Wake {
            user,
            generation: it.generation,
        };
        self.timers.set(until, due);
    }

    /// A pause is over.
    pub(super) fn wake(&mut self, user: u32, at: u64) {
        match self.users[user as usize].state {
            State::Thinking => self.advance(user, at),
            State::Away => self.begin_pass(user, at),
            State::Retrying => self.ask(user),
            State::Paced => {
                self.users[user as usize].planned = at;
                self.ask(user);
            }
            State::Free | State::Ready | State::Waiting | State::Asking => {}
        }
    }

    /// A pass ended; the user begins anew, comes back later, or leaves.
    pub(super) fn end_pass(&mut self, user: u32, failed: bool) {
        if failed {
            self.halted |= self.plan.setup.profile.stop_on_first_failure;
        } else {
            self.ledger.completed();
        }
        let wanted = self.rows_wanted();
        let it = &mut self.users[user as usize];
        it.iteration += 1;
        let again = match &self.plan.setup.profile.load {
            Load::Arrivals { .. } => false,
            Load::Iterations { each, .. } => it.iteration < *each,
            Load::Rows { users, .. } => it.number + it.iteration * users < wanted,
            Load::Users(_) => return self.come_back(user),
        };
        if again && !self.halted {
            it.state = State::Away;
            self.ready.push_back((user, self.now));
        } else {
            self.leave(user);
        }
    }

    /// Begins the next pass of a closed load when the user is there again.
    fn come_back(&mut self, user: u32) {
        let now = self.now;
        let it = &mut self.users[user as usize];
        while it.presence.last().is_some_and(|(_, to)| *to <= now) {
            it.presence.pop();
        }
        match it.presence.last().copied() {
            Some((from, _)) => {
                it.state = State::Away;
                if from > now {
                    self.pause(user, from);
                } else {
                    // In the next turn, so that a pass that fails at once does not keep the others waiting.
                    self.ready.push_back((user, now));
                }
            }
            None => self.leave(user),
        }
    }
}
