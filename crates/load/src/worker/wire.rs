//! Connections of a worker: opened, shared, read, and closed.

use foreshore_scenario::{Failed, FailureKind, Method};
use rustix::event::epoll::{self, EventData, EventFlags};

use super::user::State;
use super::{Slot, Worker};
use crate::connection::{Broken, Connection};
use crate::http::ParseError;

impl Worker {
    /// Finds a connection for a user, opens one, or puts the user in line.
    pub(super) fn connect(&mut self, user: u32, place: usize) {
        let Some(most) = self.shared else {
            let own = self.users[user as usize].own.iter().copied();
            let known = own.into_iter().find(|slot| self.leads_to(*slot, place));
            return match known {
                Some(slot) => self.transmit(user, slot),
                None => self.open(user, place),
            };
        };
        while self.pools.len() <= place {
            self.pools.push(super::Pool::default());
        }
        let pool = &mut self.pools[place];
        if let Some(slot) = pool.idle.pop() {
            self.transmit(user, slot);
        } else if pool.open < most {
            self.open(user, place);
        } else {
            pool.waiting.push_back(user);
            self.users[user as usize].state = State::Waiting;
        }
    }

    fn leads_to(&self, slot: u32, place: usize) -> bool {
        self.slots[slot as usize]
            .connection
            .as_ref()
            .is_some_and(|connection| connection.endpoint == place)
    }

    fn open(&mut self, user: u32, place: usize) {
        self.users[user as usize].answer = crate::http::Answer::default();
        let opened = Connection::open(self.endpoints.get(place), place);
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(broken) => {
                let failed = self.broken_words(place, broken);
                return self.fail(user, failed);
            }
        };
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.slots.push(super::Slot::default());
            u32::try_from(self.slots.len() - 1).expect("open files are fewer")
        });
        let generation = self.slots[slot as usize].generation;
        let data = EventData::new_u64(u64::from(generation) << 32 | u64::from(slot));
        let added = epoll::add(
            &self.epoll,
            &connection,
            data,
            EventFlags::IN | EventFlags::OUT,
        );
        if let Err(errno) = added {
            self.free_slots.push(slot);
            let failed = self.broken_words(place, Broken::Connect(errno.into()));
            return self.fail(user, failed);
        }
        self.ledger.connected();
        if self.shared.is_some() {
            self.pools[place].open += 1;
        } else {
            connection.owner = Some(user);
            self.users[user as usize].own.push(slot);
        }
        self.slots[slot as usize].connection = Some(connection);
        self.transmit(user, slot);
    }

    /// Sends the user's request over a connection.
    fn transmit(&mut self, user: u32, slot: u32) {
        let it = &mut self.users[user as usize];
        it.sent = self.now;
        it.state = State::Asking;
        it.slot = Some(slot);
        it.answer.restart(self.plan.keep[it.step]);
        if let Err(failed) = self.write_request(user) {
            self.users[user as usize].slot = None;
            self.release(slot);
            return self.fail(user, failed);
        }
        if self.plan.functional || self.ledger.wants_requests() {
            let shown = &mut self.users[user as usize].shown;
            shown.clear();
            shown.extend_from_slice(&self.request);
        }
        let connection = self.slots[slot as usize]
            .connection
            .as_mut()
            .expect("a user is given open connections only");
        connection.user = Some(user);
        let sent = connection.send(&self.request);
        match sent {
            Ok(()) => self.watch(slot),
            Err(broken) => self.broken(slot, broken),
        }
    }

    /// Waits for room to write only while there is something to write.
    fn watch(&mut self, slot: u32) {
        let Slot {
            connection: Some(connection),
            generation,
        } = &mut self.slots[slot as usize]
        else {
            return;
        };
        let wants = connection.wants_to_write();
        if wants == connection.waits_to_write {
            return;
        }
        connection.waits_to_write = wants;
        let flags = if wants {
            EventFlags::IN | EventFlags::OUT
        } else {
            EventFlags::IN
        };
        let data = EventData::new_u64(u64::from(*generation) << 32 | u64::from(slot));
        if let Err(errno) = epoll::modify(&self.epoll, &*connection, data, flags) {
            self.broken(slot, Broken::Closed(Some(errno.into())));
        }
    }

    pub(super) fn event(&mut self, data: u64, flags: EventFlags) {
        let slot = u32::try_from(data & 0xffff_ffff).unwrap_or(u32::MAX);
        let generation = u32::try_from(data >> 32).unwrap_or(u32::MAX);
        let Some(known) = self.slots.get_mut(slot as usize) else {
            return;
        };
        // An event of a connection that ended in this very turn.
        let (true, Some(connection)) = (known.generation == generation, &mut known.connection)
        else {
            return;
        };
        if connection.waits_to_write
            && flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP)
        {
            if let Err(broken) = connection.writable() {
                return self.broken(slot, broken);
            }
            self.watch(slot);
        }
        if flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP) {
            self.receive(slot);
            self.flush(slot);
        }
    }

    /// Sends what TLS has to say of itself, such as its part of the handshake.
    fn flush(&mut self, slot: u32) {
        let Some(connection) = &mut self.slots[slot as usize].connection else {
            return;
        };
        if connection.wants_to_write() {
            match connection.flush() {
                Ok(()) => self.watch(slot),
                Err(broken) => self.broken(slot, broken),
            }
        }
    }

    fn receive(&mut self, slot: u32) {
        loop {
            let Some(connection) = &mut self.slots[slot as usize].connection else {
                return;
            };
            let read = match connection.read(&mut self.scratch) {
                Ok(Some(read)) => read,
                Ok(None) => return,
                Err(broken) => return self.broken(slot, broken),
            };
            let more = read == self.scratch.len() || connection.may_hold_more();
            let Some(user) = connection.user else {
                // Nobody asked: the other side closed, or says what nobody wants to hear.
                return self.close(slot);
            };
            // Every answer is timed by itself, not by the turn it came in.
            self.now = self.plan.now();
            if read == 0 {
                return self.broken(slot, Broken::Closed(None));
            }
            let fed = self.users[user as usize].answer.feed(&self.scratch[..read]);
            match fed {
                Ok(false) if more => {}
                Ok(false) => return,
                Ok(true) => return self.complete(slot, user),
                Err(error) => {
                    self.forget(slot, user);
                    return self.fail(user, parse_words(&error));
                }
            }
        }
    }

    fn complete(&mut self, slot: u32, user: u32) {
        let keep_alive = self.users[user as usize].answer.keep_alive;
        self.users[user as usize].slot = None;
        let place = match &mut self.slots[slot as usize].connection {
            Some(connection) => {
                connection.user = None;
                connection.answers += 1;
                connection.endpoint
            }
            None => return,
        };
        if keep_alive {
            self.release(slot);
        } else {
            self.close(slot);
        }
        if self.plan.setup.program.cookies && !self.users[user as usize].answer.headers.is_empty() {
            let host = self.endpoints.get(place).host.clone();
            return self.answered(user, &host);
        }
        self.answered(user, "");
    }

    /// Takes the connection from its user and closes it.
    fn forget(&mut self, slot: u32, user: u32) {
        self.users[user as usize].slot = None;
        if let Some(connection) = &mut self.slots[slot as usize].connection {
            connection.user = None;
        }
        self.close(slot);
    }

    /// Gives a shared connection to who waits first.
    fn release(&mut self, slot: u32) {
        if self.shared.is_none() {
            return;
        }
        let Some(connection) = &mut self.slots[slot as usize].connection else {
            return;
        };
        connection.user = None;
        let pool = &mut self.pools[connection.endpoint];
        match pool.waiting.pop_front() {
            Some(next) => {
                // Not at once: a line of users that all fail must not pile up on the stack.
                self.users[next as usize].slot = Some(slot);
                let generation = self.slots[slot as usize].generation;
                self.handed.push_back((next, slot, generation));
            }
            None => pool.idle.push(slot),
        }
    }

    /// A user in line has a connection now, unless one of them is gone meanwhile.
    pub(super) fn take_over(&mut self, user: u32, slot: u32, generation: u32) {
        let it = &self.users[user as usize];
        if it.slot != Some(slot) || it.state != State::Waiting {
            return;
        }
        if self.slots[slot as usize].generation == generation {
            return self.transmit(user, slot);
        }
        self.users[user as usize].slot = None;
        if let Some(place) = self.destination_again(user) {
            self.connect(user, place);
        }
    }

    /// Takes back the connection of a user that waited too long to use it.
    pub(super) fn take_back(&mut self, user: u32) {
        self.users[user as usize].slot = None;
        let place = self.handed.iter().position(|(handed, ..)| *handed == user);
        if let Some((_, slot, generation)) = place.and_then(|place| self.handed.remove(place))
            && self.slots[slot as usize].generation == generation
        {
            self.release(slot);
        }
    }

    /// Closes a connection; a waiting user gets a new one in its place.
    pub(super) fn close(&mut self, slot: u32) {
        let known = &mut self.slots[slot as usize];
        let Some(connection) = known.connection.take() else {
            return;
        };
        known.generation = known.generation.wrapping_add(1);
        self.free_slots.push(slot);
        let place = connection.endpoint;
        if let Some(owner) = connection.owner {
            self.users[owner as usize].own.retain(|own| *own != slot);
        }
        drop(connection);
        if self.shared.is_some() {
            let pool = &mut self.pools[place];
            pool.open -= 1;
            pool.idle.retain(|idle| *idle != slot);
            if let Some(next) = pool.waiting.pop_front() {
                self.open(next, place);
            }
        }
    }

    /// A connection broke; its user learns why.
    fn broken(&mut self, slot: u32, broken: Broken) {
        let Some(connection) = &mut self.slots[slot as usize].connection else {
            return;
        };
        let place = connection.endpoint;
        let stale = connection.answers > 0;
        let Some(user) = connection.user.take() else {
            return self.close(slot);
        };
        let it = &mut self.users[user as usize];
        it.slot = None;
        if let Broken::Closed(cause) = &broken {
            if cause.is_none() && it.answer.end().is_ok() {
                self.close(slot);
                let host = self.endpoints.get(place).host.clone();
                return self.answered(user, &host);
            }
            // The other side gave up an idle connection just when it was used again.
            let method = self.plan.setup.program.steps[it.step].method;
            let harmless = !matches!(method, Method::Post | Method::Patch);
            if stale && harmless && !it.replaced && !it.answer.has_begun() {
                it.replaced = true;
                self.close(slot);
                return self.connect(user, place);
            }
        }
        let failed = match broken {
            Broken::Closed(cause) if it.answer.has_begun() || cause.is_none() => {
                let error = it.answer.end().err().unwrap_or(ParseError::Nothing);
                parse_words(&error)
            }
            broken => self.broken_words(place, broken),
        };
        self.close(slot);
        self.fail(user, failed);
    }

    fn broken_words(&self, place: usize, broken: Broken) -> Failed {
        let end = self.endpoints.get(place);
        let (kind, message) = match broken {
            Broken::Connect(error) => (
                FailureKind::Connect,
                format!("cannot connect to `{}`: {error}", end.authority),
            ),
            Broken::Tls(error) => (
                FailureKind::Tls,
                format!("TLS with `{}`: {error}", end.host),
            ),
            Broken::Closed(Some(error)) => (
                FailureKind::Closed,
                format!("the connection to `{}` broke: {error}", end.authority),
            ),
            Broken::Closed(None) => (
                FailureKind::Closed,
                format!("`{}` closed the connection", end.authority),
            ),
        };
        Failed { kind, message }
    }
}

fn parse_words(error: &ParseError) -> Failed {
    let kind = match error {
        ParseError::TooLarge(_) => FailureKind::TooLarge,
        ParseError::Closed { .. } | ParseError::Nothing => FailureKind::Closed,
        _ => FailureKind::Protocol,
    };
    Failed {
        kind,
        message: error.to_string(),
    }
}
