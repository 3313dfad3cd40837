//! Keeps asking a container how it is.

use std::time::Duration;

use tokio::task::AbortHandle;

use super::{News, Worker};
use crate::pod::probe::{ProbeKind, Series, Timing};
use crate::probing::Target;

/// First pause between early questions; it doubles up to the probe's period.
const EARLY: Duration = Duration::from_millis(50);

impl Worker {
    /// Starts the tasks that probe a container that has just come to run, or
    /// was found running.
    pub(super) fn watch_health(&mut self, target: &Target, attempt: u32) -> Vec<AbortHandle> {
        let is_started = self.state.container(&target.container.name).is_started;
        let kinds = [ProbeKind::Readiness, ProbeKind::Liveness];
        let present = kinds
            .into_iter()
            .filter(|kind| kind.of(&target.container).is_some());
        let mut tasks = Vec::new();
        if !is_started && ProbeKind::Startup.of(&target.container).is_some() {
            // The others wait for it, so one task does them all.
            let rest: Vec<ProbeKind> = present.collect();
            let (target, news) = (target.clone(), self.news.clone());
            tasks.push(self.spawn(async move {
                watch(&target, ProbeKind::Startup, attempt, &news).await;
                let all = rest
                    .into_iter()
                    .map(|kind| watch(&target, kind, attempt, &news));
                futures::future::join_all(all).await;
                None
            }));
            return tasks;
        }
        for kind in present.collect::<Vec<_>>() {
            let (target, news) = (target.clone(), self.news.clone());
            tasks.push(self.spawn(async move {
                watch(&target, kind, attempt, &news).await;
                None
            }));
        }
        tasks
    }
}

/// Asks until the startup probe has succeeded or, for the other kinds, for ever.
async fn watch(
    target: &Target,
    kind: ProbeKind,
    attempt: u32,
    news: &tokio::sync::mpsc::Sender<News>,
) {
    let Some(probe) = kind.of(&target.container) else {
        return;
    };
    let timing = Timing::of(probe);
    let container = target.container.name.clone();
    tokio::time::sleep(timing.initial_delay).await;
    let mut pace = Pace::new(kind, &timing);
    let mut series = Series::default();
    let mut told = None;
    loop {
        let outcome = target.probe(probe, timing.limit).await;
        let success = outcome.is_ok();
        let counts = pace.counts(success);
        if counts {
            if let Err(failure) = outcome {
                let item = News::ProbeFailed {
                    container: container.clone(),
                    kind,
                    message: failure.to_string(),
                };
                if news.send(item).await.is_err() {
                    return;
                }
            }
            if let Some(verdict) = series.take(success, &timing)
                && told != Some(verdict)
            {
                told = Some(verdict);
                let item = News::Verdict {
                    container: container.clone(),
                    attempt,
                    kind,
                    success: verdict,
                };
                if news.send(item).await.is_err() || (kind == ProbeKind::Startup && verdict) {
                    return;
                }
            }
        }
        tokio::time::sleep(pace.pause(success)).await;
    }
}

/// When to ask next.
///
/// Until the first success of a startup or readiness probe we ask more often
/// than the period says, so that a program that is ready after 200 ms is not
/// held back for ten seconds. Failures of these extra questions count for
/// nothing, so thresholds keep their meaning.
struct Pace {
    period: Duration,
    early: Option<Duration>,
    /// Time since the last question that counted.
    since_counted: Duration,
}

impl Pace {
    fn new(kind: ProbeKind, timing: &Timing) -> Self {
        let early = (kind != ProbeKind::Liveness).then_some(EARLY);
        let since_counted = Duration::ZERO;
        Self {
            period: timing.period,
            early,
            since_counted,
        }
    }

    fn counts(&mut self, success: bool) -> bool {
        let counts = success || self.early.is_none() || self.since_counted >= self.period;
        if counts {
            self.since_counted = Duration::ZERO;
        }
        counts
    }

    fn pause(&mut self, success: bool) -> Duration {
        if success {
            self.early = None;
        }
        let pause = match self.early {
            Some(early) if early < self.period => {
                self.early = Some(early * 2);
                early
            }
            _ => {
                self.early = None;
                self.period
            }
        };
        self.since_counted += pause;
        pause
    }
}
