//! What all workers of a run share: the program laid out, the start, the brake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use foreshore_scenario::{Address, Connections, Load, Setup, Subject, When};

use crate::endpoint::Endpoints;
use crate::http::Keep;
use crate::render::{self, Line, Prepared};

/// Unless a step or profile says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Stops a run from outside; what was measured until then is kept.
#[derive(Debug, Clone, Default)]
pub struct Brake {
    pulled: Arc<AtomicBool>,
}

impl Brake {
    pub fn pull(&self) {
        self.pulled.store(true, Ordering::Relaxed);
    }

    pub fn is_pulled(&self) -> bool {
        self.pulled.load(Ordering::Relaxed)
    }
}

/// The run, as every worker sees it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    pub(crate) endpoints: Endpoints,
    pub(crate) prepared: Vec<Prepared>,
    pub(crate) keep: Vec<Keep>,
    pub(crate) timeouts: Vec<u64>,
    pub(crate) start: Instant,
    pub(crate) started_millis: i64,
    pub(crate) seed: u64,
    pub(crate) workers: usize,
    pub(crate) brake: Brake,
    pub(crate) functional: bool,
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Plan {
    /// Nanoseconds since the start; zero before it.
    pub(crate) fn now(&self) -> u64 {
        nanos(self.start.elapsed())
    }

    /// End of what the shape asks for; `None` for runs that end by themselves.
    pub(crate) fn end(&self) -> Option<u64> {
        self.setup.profile.load.length().map(nanos)
    }

    /// Users at once of one worker.
    pub(crate) fn in_flight_max(&self, worker: usize) -> u64 {
        share(self.setup.profile.in_flight_max, worker, self.workers)
    }

    /// Connections of one worker to one endpoint, if they are shared.
    pub(crate) fn shared_connections(&self, worker: usize) -> Option<usize> {
        match self.setup.profile.connections {
            Connections::Own => None,
            Connections::Shared(count) => {
                let count = share(count, worker, self.workers).max(1);
                Some(usize::try_from(count).unwrap_or(usize::MAX))
            }
        }
    }

    /// Nanoseconds between requests of one worker that keep a closed load below `max-rate`.
    pub(crate) fn pace(&self) -> Option<u64> {
        let rate = self.setup.program.rate_max?;
        if matches!(self.setup.profile.load, Load::Arrivals { .. }) {
            // The compiler holds the shape itself against the rate.
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "there are few workers")]
        let seconds = self.workers as f64 / rate;
        Some(nanos(Duration::from_secs_f64(seconds)))
    }
}

/// Part of a number that falls to one worker.
pub(crate) fn share(whole: u64, worker: usize, workers: usize) -> u64 {
    let (worker, workers) = (worker as u64, workers as u64);
    whole / workers + u64::from(worker < whole % workers)
}

/// Lays out the steps.
pub(crate) fn prepare(setup: &Setup, endpoints: &mut Endpoints) -> Vec<Prepared> {
    setup
        .program
        .steps
        .iter()
        .map(|step| {
            let address = origin(&step.url).and_then(|url| Address::parse(url).ok());
            let fixed = address.and_then(|address| {
                let place = endpoints.place(&address).ok()?;
                Some((place, address))
            });
            let changes = step.url.constant().is_none()
                || step
                    .headers
                    .iter()
                    .any(|(_, value)| value.constant().is_none())
                || step
                    .body
                    .as_ref()
                    .is_some_and(|body| body.constant().is_none());
            let constant = match &fixed {
                Some((place, address)) if !changes => {
                    let line = Line {
                        method: step.method.name(),
                        authority: &endpoints.get(*place).authority,
                        path: &address.path,
                        cookie: None,
                        with_body: true,
                    };
                    let mut bytes = Vec::new();
                    let fill = |template: &foreshore_scenario::Template, out: &mut String| {
                        out.push_str(template.constant().unwrap_or_default());
                    };
                    render::write(step, line, fill, &mut bytes)
                        .is_ok()
                        .then(|| bytes.into_boxed_slice())
                }
                _ => None,
            };
            Prepared { fixed, constant }
        })
        .collect()
}

/// The part of an address that never changes, if host and port are in it.
fn origin(url: &foreshore_scenario::Template) -> Option<&str> {
    if let Some(constant) = url.constant() {
        return Some(constant);
    }
    match url.parts.first()? {
        foreshore_scenario::Part::Text(text) => {
            let authority = text.find("://")? + 3;
            // Only when the path has begun is the authority whole.
            text[authority..].contains('/').then_some(text.as_str())
        }
        foreshore_scenario::Part::Hole(..) => None,
    }
}

/// What of each step's answer must be kept.
pub(crate) fn keeps(setup: &Setup, functional: bool) -> Vec<Keep> {
    let cookies = setup.program.cookies;
    setup
        .program
        .steps
        .iter()
        .map(|step| {
            let looked_at = step.asserts.iter().filter(|assert| match assert.when {
                When::Always | When::Sample(_) => true,
                When::Functional => functional,
            });
            let mut keep = Keep {
                cookies,
                body: functional,
                headers: step.redirects > 0,
                no_body: step.method == foreshore_scenario::Method::Head,
                body_max: step.body_max,
                events: step.stream.as_ref().map_or(0, |stream| stream.events),
            };
            let subjects = looked_at
                .map(|assert| &assert.subject)
                .chain(step.captures.iter().map(|(_, subject)| subject));
            for subject in subjects {
                keep.body |= subject.reads_body() || matches!(subject, Subject::Size);
                keep.headers |= matches!(subject, Subject::Header(_) | Subject::Cookie(_));
            }
            keep
        })
        .collect()
}

pub(crate) fn timeouts(setup: &Setup) -> Vec<u64> {
    let usual = setup.profile.timeout;
    setup
        .program
        .steps
        .iter()
        .map(|step| {
            let stream = step.stream.as_ref().map(|stream| stream.within);
            nanos(stream.or(step.timeout).or(usual).unwrap_or(TIMEOUT))
        })
        .collect()
}
