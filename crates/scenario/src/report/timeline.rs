//! The run over time, in a bounded number of points.

use std::time::Duration;

use crate::statistics::Durations;

/// More than a chart is wide; past it, neighbours become one point.
const POINTS_MAX: usize = 1200;

/// Points of equal length from the start.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// Seconds that one point stands for.
    pub seconds: u64,
    pub moments: Vec<Moment>,
}

/// What happened in one point's time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    pub requests: u64,
    pub failed: u64,
    pub undelivered: u64,
    /// Most users at once.
    pub in_flight: u64,
    /// The worst second of those the point stands for.
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            seconds: 1,
            moments: Vec::new(),
        }
    }
}

impl Moment {
    pub fn new(requests: u64, failed: u64, latency: &Durations) -> Self {
        let at = |share| latency.quantile(share).unwrap_or_default();
        Self {
            requests,
            failed,
            p50: at(0.5),
            p99: at(0.99),
            max: latency.max().unwrap_or_default(),
            ..Self::default()
        }
    }

    fn join(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.undelivered += other.undelivered;
        self.in_flight = self.in_flight.max(other.in_flight);
        self.p50 = self.p50.max(other.p50);
        self.p99 = self.p99.max(other.p99);
        self.max = self.max.max(other.max);
    }
}

impl Timeline {
    /// Adds what happened in one second of the run.
    pub fn add(&mut self, second: u64, moment: &Moment) {
        let mut place = usize::try_from(second / self.seconds).unwrap_or(usize::MAX);
        while place >= POINTS_MAX {
            self.halve();
            place /= 2;
        }
        if self.moments.len() <= place {
            self.moments.resize(place + 1, Moment::default());
        }
        self.moments[place].join(moment);
    }

    fn halve(&mut self) {
        self.seconds *= 2;
        self.moments = self
            .moments
            .chunks(2)
            .map(|pair| {
                let mut joined = pair[0];
                if let Some(second) = pair.get(1) {
                    joined.join(second);
                }
                joined
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_its_sums_in_few_points() {
        let mut timeline = Timeline::default();
        for second in 0..100_000 {
            let moment = Moment {
                requests: 2,
                max: Duration::from_secs(second),
                ..Moment::default()
            };
            timeline.add(second, &moment);
        }
        assert!(timeline.moments.len() <= POINTS_MAX);
        assert_eq!(
            timeline.moments.iter().map(|it| it.requests).sum::<u64>(),
            200_000
        );
        assert_eq!(
            timeline.moments.last().unwrap().max,
            Duration::from_secs(99_999)
        );
        assert_eq!(timeline.seconds, 128);
    }

    #[test]
    fn a_second_without_news_is_an_empty_point() {
        let mut timeline = Timeline::default();
        timeline.add(2, &Moment::default());
        assert_eq!(timeline.moments.len(), 3);
    }
}
