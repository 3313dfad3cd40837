//! One step: the request, its answer, and what follows from it.

use std::sync::Arc;
use std::time::Duration;

use foreshore_scenario::{
    Address, Assert, Failed, FailureKind, Received, Sample, When, capture, check,
};

use super::Worker;
use super::user::{Detour, State};
use crate::plan::nanos;
use crate::render::{self, Filling, Line};
use crate::timers::Due;

impl Worker {
    pub(super) fn begin_step(&mut self, user: u32, step: usize, planned: u64) {
        let plan = Arc::clone(&self.plan);
        let definition = &plan.setup.program.steps[step];
        let it = &mut self.users[user as usize];
        it.step = step;
        it.planned = planned;
        it.sent = self.now;
        it.retries = 0;
        it.redirects = definition.redirects;
        it.detour = None;
        it.replaced = false;
        if !definition.asserts.is_empty() {
            it.draw = it.random.unit();
        }
        it.retry_until = definition
            .retry
            .map_or(0, |retry| self.now + nanos(retry.within));
        if let Some((gap, next)) = &mut self.pace {
            let turn = self.now.max(*next);
            *next = turn + *gap;
            if turn > self.now {
                it.state = State::Paced;
                return self.pause(user, turn);
            }
        }
        self.ask(user);
    }

    /// Sends the step's request as soon as there is a connection for it.
    pub(super) fn ask(&mut self, user: u32) {
        let place = match self.destination(user) {
            Ok(place) => place,
            Err(failed) => return self.fail(user, failed),
        };
        let it = &mut self.users[user as usize];
        it.sent = self.now;
        it.deadline = self.now + self.plan.timeouts[it.step];
        if it.deadline < it.armed {
            it.armed = it.deadline;
            self.timers.set(it.deadline, Due::Deadline { user });
        }
        self.connect(user, place);
    }

    /// Where a request goes that was on its way already.
    pub(super) fn destination_again(&mut self, user: u32) -> Option<usize> {
        match self.destination(user) {
            Ok(place) => Some(place),
            Err(failed) => {
                self.fail(user, failed);
                None
            }
        }
    }

    /// Where the request goes; an address that comes from an answer is looked at here.
    fn destination(&mut self, user: u32) -> Result<usize, Failed> {
        let it = &self.users[user as usize];
        if let Some(detour) = &it.detour {
            return Ok(detour.endpoint);
        }
        let plan = Arc::clone(&self.plan);
        let step = it.step;
        if let Some((place, _)) = &plan.prepared[step].fixed {
            return Ok(*place);
        }
        let mut url = String::new();
        self.fill(user, &plan.setup.program.steps[step].url, &mut url);
        let address = Address::parse(&url).map_err(unusable)?;
        let endpoint = self.endpoints.place(&address).map_err(unusable)?;
        self.users[user as usize].detour = Some(Box::new(Detour {
            endpoint,
            address,
            method: plan.setup.program.steps[step].method.name(),
            with_body: true,
        }));
        Ok(endpoint)
    }

    pub(super) fn fill(
        &mut self,
        user: u32,
        template: &foreshore_scenario::Template,
        out: &mut String,
    ) {
        let it = &mut self.users[user as usize];
        let millis = i64::try_from(self.now / 1_000_000).unwrap_or(0);
        let filling = Filling {
            captures: &it.captures,
            rows: &it.rows,
            user: it.number,
            iteration: it.iteration,
            unix_millis: self.plan.started_millis + millis,
        };
        render::fill(template, &self.plan.setup, &filling, &mut it.random, out);
    }

    /// Writes the request's bytes into `self.request`.
    pub(super) fn write_request(&mut self, user: u32) -> Result<(), Failed> {
        let plan = Arc::clone(&self.plan);
        let it = &self.users[user as usize];
        let index = it.step;
        let step = &plan.setup.program.steps[index];
        self.request.clear();
        if let (Some(constant), None, true) = (
            &plan.prepared[index].constant,
            &it.detour,
            it.jar.is_empty(),
        ) {
            self.request.extend_from_slice(constant);
            return Ok(());
        }
        let detour = it.detour.clone();
        let endpoint = match (&detour, &plan.prepared[index].fixed) {
            (Some(detour), _) => detour.endpoint,
            (None, Some((place, _))) => *place,
            (None, None) => unreachable!("the destination was looked for before"),
        };
        let path = if let Some(detour) = &detour {
            detour.address.path.clone()
        } else {
            let mut url = String::new();
            self.fill(user, &step.url, &mut url);
            Address::parse(&url).map_err(unusable)?.path
        };
        let it = &self.users[user as usize];
        let end = self.endpoints.get(endpoint);
        let (authority, tls) = (end.authority.clone(), end.tls.is_some());
        let cookie = it.jar.header(&end.host, &path, tls);
        let line = Line {
            method: detour
                .as_ref()
                .map_or_else(|| step.method.name(), |detour| detour.method),
            authority: &authority,
            path: &path,
            cookie: cookie.as_deref(),
            with_body: detour.as_ref().is_none_or(|detour| detour.with_body),
        };
        let mut bytes = std::mem::take(&mut self.request);
        let written = render::write(
            step,
            line,
            |template, out| self.fill(user, template, out),
            &mut bytes,
        );
        self.request = bytes;
        written.map_err(unusable)
    }

    /// The answer is whole: follow it, judge it, and go on.
    pub(super) fn answered(&mut self, user: u32, host: &str) {
        let plan = Arc::clone(&self.plan);
        let it = &mut self.users[user as usize];
        let step = &plan.setup.program.steps[it.step];
        it.state = State::Ready;
        if plan.setup.program.cookies {
            let set: Vec<&(String, String)> = it
                .answer
                .headers
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
                .collect();
            for (_, value) in set {
                it.jar.set(host, value);
            }
        }
        if (300..400).contains(&it.answer.status) && it.redirects > 0 {
            return match self.redirect(user) {
                Ok(true) => self.ask(user),
                Ok(false) => self.judge(user),
                Err(failed) => self.fail(user, failed),
            };
        }
        if step.asserts.is_empty()
            && step.captures.is_empty()
            && !plan.functional
            && step.expects(it.answer.status)
        {
            return self.succeed(user);
        }
        self.judge(user);
    }

    fn judge(&mut self, user: u32) {
        let plan = Arc::clone(&self.plan);
        let index = self.users[user as usize].step;
        let step = &plan.setup.program.steps[index];
        // Taken out, because filling templates needs the user too.
        let answer = std::mem::take(&mut self.users[user as usize].answer);
        let it = &self.users[user as usize];
        let draw = it.draw;
        let duration = Duration::from_nanos(self.now.saturating_sub(it.sent));
        let body = if step.stream.is_some() {
            &answer.events.last
        } else {
            &answer.body
        };
        let received = Received::new(answer.status, &answer.headers, body, duration);
        let counts = |assert: &Assert| match assert.when {
            When::Always => true,
            When::Functional => plan.functional,
            When::Sample(share) => plan.functional || draw < share,
        };
        // Captures come first: an assertion may compare with them.
        let expected = step.expects(answer.status);
        let captured = if expected {
            step.captures.iter().try_for_each(|(slot, subject)| {
                let value = capture(&received, subject)?;
                self.users[user as usize].captures[*slot] = Some(value.into());
                Ok(())
            })
        } else {
            Ok(())
        };
        let result = captured.and_then(|()| {
            check(step, &received, counts, |template| {
                let mut text = String::new();
                self.fill(user, template, &mut text);
                text
            })
        });
        self.users[user as usize].answer = answer;
        match result {
            Ok(()) => self.succeed(user),
            Err(failed) => self.fail(user, failed),
        }
    }

    /// Prepares the request a redirect asks for; `false` if the answer names no place.
    fn redirect(&mut self, user: u32) -> Result<bool, Failed> {
        let it = &self.users[user as usize];
        let location = it
            .answer
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("location"))
            .map(|(_, value)| value.clone());
        let Some(location) = location else {
            return Ok(false);
        };
        let plan = Arc::clone(&self.plan);
        let here = match (&it.detour, &plan.prepared[it.step].fixed) {
            (Some(detour), _) => &detour.address,
            (None, Some((_, address))) => address,
            (None, None) => unreachable!("a request was sent somewhere"),
        };
        let refused = |message: String| Failed {
            kind: FailureKind::Redirect,
            message: format!("redirect to `{}`: {message}", location.escape_debug()),
        };
        let address = here.join(&location).map_err(refused)?;
        let endpoint = self.endpoints.place(&address).map_err(refused)?;
        let it = &mut self.users[user as usize];
        let (method, with_body) = match &it.detour {
            Some(detour) => (detour.method, detour.with_body),
            None => (plan.setup.program.steps[it.step].method.name(), true),
        };
        let keeps = matches!(it.answer.status, 307 | 308) || matches!(method, "GET" | "HEAD");
        it.redirects -= 1;
        it.detour = Some(Box::new(Detour {
            endpoint,
            address,
            method: if keeps { method } else { "GET" },
            with_body: with_body && keeps,
        }));
        Ok(true)
    }

    fn succeed(&mut self, user: u32) {
        self.record(user, None);
        self.ready.push_back((user, self.now));
    }

    /// The step failed, unless it may be tried again.
    pub(super) fn fail(&mut self, user: u32, failed: Failed) {
        let plan = Arc::clone(&self.plan);
        let it = &mut self.users[user as usize];
        let step = &plan.setup.program.steps[it.step];
        if let Some(retry) = step.retry
            && failed.kind != FailureKind::Render
            && self.now + nanos(retry.every) <= it.retry_until
        {
            it.retries += 1;
            it.detour = None;
            it.redirects = step.redirects;
            it.replaced = false;
            it.state = State::Retrying;
            return self.pause(user, self.now + nanos(retry.every));
        }
        self.record(user, Some(failed));
        self.end_pass(user, true);
    }

    fn record(&mut self, user: u32, failed: Option<Failed>) {
        let it = &self.users[user as usize];
        let sample = Sample {
            planned: it.planned,
            sent: it.sent,
            ended: self.now,
            status: it.answer.status,
            failure: failed.as_ref().map(|failed| failed.kind),
            bytes: it.answer.bytes,
            retries: it.retries,
        };
        let tls = it
            .detour
            .as_ref()
            .map(|detour| detour.endpoint)
            .or_else(|| {
                self.plan.prepared[it.step]
                    .fixed
                    .as_ref()
                    .map(|(place, _)| *place)
            })
            .is_some_and(|place| self.endpoints.get(place).tls.is_some());
        self.ledger.record(it, &sample, failed, tls);
    }

    /// A deadline timer fired: the answer is too late, or the timer is from an earlier request.
    pub(super) fn deadline(&mut self, user: u32, at: u64) {
        let it = &mut self.users[user as usize];
        if it.armed != at {
            return;
        }
        it.armed = u64::MAX;
        if !matches!(it.state, State::Asking | State::Waiting) {
            return;
        }
        if it.deadline > self.now {
            it.armed = it.deadline;
            self.timers.set(it.deadline, Due::Deadline { user });
            return;
        }
        let within = foreshore_scenario::spell(Duration::from_nanos(self.plan.timeouts[it.step]));
        if it.state == State::Waiting {
            self.take_back(user);
            let it = &mut self.users[user as usize];
            for pool in &mut self.pools {
                pool.waiting.retain(|waiting| *waiting != user);
            }
            it.answer = crate::http::Answer::default();
            return self.fail(
                user,
                Failed {
                    kind: FailureKind::Timeout,
                    message: format!("no connection was free within {within}"),
                },
            );
        }
        let slot = it.slot.take();
        let connecting = slot
            .and_then(|slot| self.slots[slot as usize].connection.as_ref())
            .is_some_and(crate::connection::Connection::is_connecting);
        let failed = if connecting {
            Failed {
                kind: FailureKind::Connect,
                message: format!("no connection within {within}"),
            }
        } else {
            Failed {
                kind: FailureKind::Timeout,
                message: format!(
                    "no whole answer within {within} ({} bytes came)",
                    it.answer.bytes
                ),
            }
        };
        if let Some(slot) = slot {
            self.close(slot);
        }
        self.fail(user, failed);
    }
}

/// No request can be made of the values.
fn unusable(message: String) -> Failed {
    Failed {
        kind: FailureKind::Render,
        message,
    }
}
