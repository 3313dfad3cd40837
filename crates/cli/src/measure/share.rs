//! Tells the server of a load run while it goes on, so that others can watch; the run never waits for it.

use std::time::Duration;

use foreshore_load::Live;
use foreshore_model::api::load::{LoadPoint, LoadRun, POINTS_MAX, Percentiles};
use foreshore_model::clock;
use foreshore_scenario::{Durations, Load, Moment, Report, Setup, Statistics, Timeline};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::context::Context;

/// Between two reports.
const EVERY: Duration = Duration::from_secs(1);
/// A server that needs longer than this is left alone; the run goes on.
const PATIENCE: Duration = Duration::from_secs(2);
/// Microseconds are enough for a page.
const NANOS_PER_MICRO: u128 = 1_000;

/// The run as it is to be told of next.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    run: LoadRun,
    load: Load,
    sender: watch::Sender<Option<LoadRun>>,
}

/// Word of a run on its way to the server.
#[derive(Debug)]
pub(super) struct Shared {
    client: Client,
    draft: Draft,
    sending: JoinHandle<()>,
}

impl Shared {
    /// Asks the server to take word of the run; says where it can be watched, or why it cannot.
    pub(super) async fn start(setup: &Setup, context: &Context) -> Option<Self> {
        let (credential, client) = (context.credential().ok()?, context.client().ok()?);
        let run = LoadRun {
            id: format!(
                "run-{}-{}",
                clock::now().as_millisecond(),
                std::process::id()
            ),
            scenario: setup.program.name.clone(),
            profile: setup.profile.name.clone(),
            targets: setup
                .targets
                .iter()
                .map(|target| target.address.to_string())
                .take(20)
                .collect(),
            started_at: clock::now(),
            elapsed_seconds: 0.0,
            length_seconds: setup.profile.load.length().map(|it| it.as_secs_f64()),
            shape_unit: match setup.profile.load {
                Load::Arrivals { .. } => "arrivals per second",
                _ => "users",
            }
            .to_owned(),
            requests: 0,
            failed: 0,
            undelivered: 0,
            in_flight: 0,
            latency: None,
            point_seconds: 1,
            points: Vec::new(),
            verdict: None,
            reasons: Vec::new(),
        };
        match put(&client, &run).await {
            Ok(()) => context.terminal.say(&format!(
                "watch it: {}/loads/{}",
                credential.server.trim_end_matches('/'),
                run.id
            )),
            Err(why) => {
                // Without a platform nobody expects a page; a server that was named is expected to have one.
                if context.names_a_server() {
                    context
                        .terminal
                        .warn(&format!("the run is not shown on a page: {why}"));
                }
                return None;
            }
        }
        let (sender, receiver) = watch::channel(None);
        let sending = tokio::spawn(send(client.clone(), receiver));
        Some(Self {
            client,
            draft: Draft {
                run,
                load: setup.profile.load.clone(),
                sender,
            },
            sending,
        })
    }

    pub(super) fn draft(&self) -> Draft {
        self.draft.clone()
    }

    /// Tells how the run ended.
    pub(super) async fn finish(self, report: &Report, context: &Context) {
        self.sending.abort();
        let outcome = &report.outcome;
        let together = Statistics::together(&outcome.statistics.steps).latency;
        let mut run = self.draft.run;
        run.elapsed_seconds = outcome.elapsed.as_secs_f64();
        run.requests = outcome.statistics.requests();
        run.failed = outcome.statistics.failed();
        run.undelivered = outcome.statistics.undelivered();
        run.latency = percentiles(&together);
        (run.point_seconds, run.points) = points(&outcome.timeline, &self.draft.load);
        run.verdict = Some(report.verdict.name().to_owned());
        run.reasons = report.reasons();
        run.reasons.truncate(20);
        for reason in &mut run.reasons {
            *reason = reason.chars().take(400).collect();
        }
        if let Err(why) = put(&self.client, &run).await {
            context
                .terminal
                .warn(&format!("the page does not show how the run ended: {why}"));
        }
    }
}

impl Draft {
    /// Takes over how the run stands; what was not sent yet gives way.
    pub(super) fn look(&mut self, live: &Live<'_>) {
        let elapsed = live.elapsed.as_secs_f64();
        if elapsed - self.run.elapsed_seconds < EVERY.as_secs_f64() {
            return;
        }
        self.run.elapsed_seconds = elapsed;
        self.run.requests = live.requests;
        self.run.failed = live.failed;
        self.run.undelivered = live.undelivered;
        self.run.in_flight = live.in_flight;
        self.run.latency = percentiles(live.latency);
        (self.run.point_seconds, self.run.points) = points(live.timeline, &self.load);
        self.sender.send_replace(Some(self.run.clone()));
    }
}

async fn put(client: &Client, run: &LoadRun) -> Result<(), String> {
    let path = format!("/loads/{}", run.id);
    let put = client.put::<bool>(&path, run);
    match tokio::time::timeout(PATIENCE, put).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(failure)) => Err(failure.message),
        Err(_) => Err(format!("the server did not answer within {PATIENCE:?}")),
    }
}

/// Sends the newest word there is; one that does not arrive is followed by the next.
async fn send(client: Client, mut receiver: watch::Receiver<Option<LoadRun>>) {
    while receiver.changed().await.is_ok() {
        let run = receiver.borrow_and_update().clone();
        if let Some(run) = run
            && let Err(why) = put(&client, &run).await
        {
            tracing::debug!(why, "word of the run did not arrive");
        }
    }
}

fn percentiles(latency: &Durations) -> Option<Percentiles> {
    let at = |share| latency.quantile(share).map(micros);
    Some(Percentiles {
        p50: at(0.5)?,
        p90: at(0.9)?,
        p99: at(0.99)?,
        p999: at(0.999)?,
        max: latency.max().map(micros)?,
    })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos() / NANOS_PER_MICRO).unwrap_or(u64::MAX)
}

/// Returns the seconds of a point, and no more points than a report may have.
fn points(timeline: &Timeline, load: &Load) -> (u64, Vec<LoadPoint>) {
    let joined = timeline.moments.len().div_ceil(POINTS_MAX).max(1);
    let seconds = timeline.seconds * joined as u64;
    let points = timeline.moments.chunks(joined).zip(0_u32..);
    let points = points.map(|(moments, index)| {
        let middle = Duration::from_secs(seconds).mul_f64(f64::from(index) + 0.5);
        point(moments, shape(load, middle))
    });
    (seconds, points.collect())
}

fn point(moments: &[Moment], shape: f64) -> LoadPoint {
    let most = |of: fn(&Moment) -> Duration| moments.iter().map(of).max().map_or(0, micros);
    LoadPoint {
        requests: moments.iter().map(|moment| moment.requests).sum(),
        failed: moments.iter().map(|moment| moment.failed).sum(),
        p50: most(|moment| moment.p50),
        p99: most(|moment| moment.p99),
        shape,
    }
}

fn shape(load: &Load, moment: Duration) -> f64 {
    match load {
        Load::Arrivals { shape, .. } | Load::Users(shape) => shape.at(moment),
        Load::Iterations { .. } | Load::Rows { .. } => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use foreshore_scenario::{Segment, Shape};

    use super::*;

    #[test]
    fn a_long_run_fits_into_a_report_and_keeps_its_sums() {
        let mut timeline = Timeline::default();
        for second in 0..1_000 {
            let moment = Moment {
                requests: 3,
                p99: Duration::from_micros(second),
                ..Moment::default()
            };
            timeline.add(second, &moment);
        }
        let load = Load::Users(Shape {
            segments: vec![Segment {
                from: 7.0,
                to: 7.0,
                length: Duration::from_secs(1_000),
            }],
        });
        let (seconds, points) = points(&timeline, &load);
        assert!(points.len() <= POINTS_MAX);
        assert_eq!(seconds, 5);
        assert_eq!(points.iter().map(|it| it.requests).sum::<u64>(), 3_000);
        assert_eq!(points.last().unwrap().p99, 999);
        assert!(points.iter().all(|it| (it.shape - 7.0).abs() < 1e-9));
    }
}
