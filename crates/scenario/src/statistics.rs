//! What was measured: counted in constant memory, merged without loss.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longer answers are counted as this long.
const HOUR_MICROS: u64 = 3_600_000_000;

/// Durations in microseconds with three digits.
#[derive(Debug, Clone, PartialEq)]
pub struct Durations {
    histogram: Histogram<u64>,
}

impl Default for Durations {
    fn default() -> Self {
        Self::with_digits(3)
    }
}

impl Durations {
    /// A smaller histogram with fewer digits, for the picture over time.
    pub fn coarse() -> Self {
        Self::with_digits(2)
    }

    fn with_digits(digits: u8) -> Self {
        Self {
            histogram: Histogram::new_with_bounds(1, HOUR_MICROS, digits)
                .expect("bounds and digits are constants that fit"),
        }
    }

    /// Counts a duration given in nanoseconds, to the nearest microsecond.
    pub fn record(&mut self, nanos: u64) {
        self.histogram
            .saturating_record(nanos.saturating_add(500) / 1000);
    }

    pub fn record_many(&mut self, micros: u64, count: u64) {
        self.histogram.saturating_record_n(micros, count);
    }

    /// Adds every sample of another; bucket for bucket what one would have counted.
    pub fn merge(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("histograms of one bound and precision add");
    }

    pub fn clear(&mut self) {
        self.histogram.reset();
    }

    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Value that this share of the samples does not exceed.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_micros(self.histogram.value_at_quantile(share)))
    }

    pub fn mean(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_secs_f64(self.histogram.mean() / 1e6))
    }

    pub fn max(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_micros(self.histogram.max()))
    }

    /// Buckets that hold samples: value in microseconds and count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.histogram
            .iter_recorded()
            .map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
    }

    /// Interval that holds the true value of a quantile with 95 % confidence.
    ///
    /// From the order of the samples alone: how many of `n` lie below the
    /// true quantile is binomial, whatever the distribution.
    pub fn interval(&self, share: f64) -> Option<(Duration, Duration)> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let n = count as f64;
        let spread = 1.96 * (share * (1.0 - share) / n).sqrt();
        Some((
            self.quantile((share - spread).max(0.0))?,
            self.quantile((share + spread + 1.0 / n).min(1.0))?,
        ))
    }
}

/// How a request failed; few and fixed, so that memory stays so too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    Connect,
    Tls,
    Timeout,
    Closed,
    Protocol,
    TooLarge,
    Redirect,
    Status,
    Assert,
    Capture,
    Render,
    Unfinished,
}

impl FailureKind {
    pub const ALL: [Self; 12] = [
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Closed,
        Self::Protocol,
        Self::TooLarge,
        Self::Redirect,
        Self::Status,
        Self::Assert,
        Self::Capture,
        Self::Render,
        Self::Unfinished,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::TooLarge => "too-large",
            Self::Redirect => "redirect",
            Self::Status => "status",
            Self::Assert => "assert",
            Self::Capture => "capture",
            Self::Render => "render",
            Self::Unfinished => "unfinished",
        }
    }

    /// Whether no answer came because nobody could be reached.
    pub fn is_unreachable(self) -> bool {
        matches!(self, Self::Connect | Self::Tls)
    }
}

/// What is known of one request when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When it should have been sent, in nanoseconds from the start.
    pub planned: u64,
    pub sent: u64,
    pub ended: u64,
    /// 0 when no answer came.
    pub status: u16,
    pub failure: Option<FailureKind>,
    pub bytes: u64,
    pub retries: u32,
}

/// Everything measured of one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepStatistics {
    /// From the planned moment to the end.
    pub latency: Durations,
    /// From the sending to the end.
    pub service: Durations,
    /// From the planned moment to the sending.
    pub slip: Durations,
    pub failures: [u64; FailureKind::ALL.len()],
    /// By hundreds: 1xx at 1 …; none at 0.
    pub statuses: [u64; 6],
    pub bytes: u64,
    pub retries: u64,
}

impl StepStatistics {
    pub fn record(&mut self, sample: &Sample) {
        self.latency
            .record(sample.ended.saturating_sub(sample.planned));
        self.service
            .record(sample.ended.saturating_sub(sample.sent));
        self.slip.record(sample.sent.saturating_sub(sample.planned));
        if let Some(kind) = sample.failure {
            self.failures[kind as usize] += 1;
        }
        self.statuses[usize::from(sample.status / 100).min(5)] += 1;
        self.bytes += sample.bytes;
        self.retries += u64::from(sample.retries);
    }

    pub fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.service.merge(&other.service);
        self.slip.merge(&other.slip);
        for (own, more) in self.failures.iter_mut().zip(other.failures) {
            *own += more;
        }
        for (own, more) in self.statuses.iter_mut().zip(other.statuses) {
            *own += more;
        }
        self.bytes += other.bytes;
        self.retries += other.retries;
    }

    pub fn requests(&self) -> u64 {
        self.latency.count()
    }

    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }
}

/// Everything measured of a run, or of one worker's part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    pub steps: Vec<StepStatistics>,
    /// The same once more for each window of the profile.
    pub windows: Vec<Vec<StepStatistics>>,
    pub planned: u64,
    pub started: u64,
    pub completed: u64,
    /// How late the generator itself was: timers that fired late, nothing else.
    pub lateness: Durations,
    /// Time the workers had work, and all the time they had, in nanoseconds.
    pub busy_nanos: u64,
    pub worker_nanos: u64,
    /// Time the workers waited for a processor, in nanoseconds.
    pub starved_nanos: u64,
    pub connections: u64,
}

impl Statistics {
    pub fn new(steps: usize, windows: usize) -> Self {
        let empty = vec![StepStatistics::default(); steps];
        Self {
            windows: vec![empty.clone(); windows],
            steps: empty,
            planned: 0,
            started: 0,
            completed: 0,
            lateness: Durations::default(),
            busy_nanos: 0,
            worker_nanos: 0,
            starved_nanos: 0,
            connections: 0,
        }
    }

    /// Adds another worker's part; the order of merging makes no difference.
    pub fn merge(&mut self, other: &Self) {
        let own = std::iter::once(&mut self.steps).chain(&mut self.windows);
        let more = std::iter::once(&other.steps).chain(&other.windows);
        for (own, more) in own.zip(more) {
            for (own, more) in own.iter_mut().zip(more) {
                own.merge(more);
            }
        }
        self.planned += other.planned;
        self.started += other.started;
        self.completed += other.completed;
        self.lateness.merge(&other.lateness);
        self.busy_nanos += other.busy_nanos;
        self.worker_nanos += other.worker_nanos;
        self.starved_nanos += other.starved_nanos;
        self.connections += other.connections;
    }

    pub fn requests(&self) -> u64 {
        self.steps.iter().map(StepStatistics::requests).sum()
    }

    pub fn failed(&self) -> u64 {
        self.steps.iter().map(StepStatistics::failed).sum()
    }

    /// Arrivals that were planned and never sent.
    pub fn undelivered(&self) -> u64 {
        self.planned.saturating_sub(self.started)
    }

    /// All steps of one list as if they were one.
    pub fn together(steps: &[StepStatistics]) -> StepStatistics {
        let mut all = StepStatistics::default();
        for step in steps {
            all.merge(step);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples() -> impl Strategy<Value = Vec<(usize, Sample)>> {
        let sample = (
            0..3_usize,
            0..10_000_000_000_u64,
            0..1_000_000_u64,
            0..5_000_000_000_u64,
            0..600_u16,
        );
        prop::collection::vec(sample, 0..200).prop_map(|all| {
            all.into_iter()
                .map(|(step, planned, slip, service, status)| {
                    let sample = Sample {
                        planned,
                        sent: planned + slip,
                        ended: planned + slip + service,
                        status,
                        failure: (status >= 400).then_some(FailureKind::Status),
                        bytes: service % 100,
                        retries: u32::from(status % 3),
                    };
                    (step, sample)
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn four_workers_merged_equal_one_bucket_for_bucket(samples in samples()) {
            let mut whole = Statistics::new(3, 0);
            let mut parts = vec![Statistics::new(3, 0); 4];
            for (index, (step, sample)) in samples.iter().enumerate() {
                whole.steps[*step].record(sample);
                parts[index % 4].steps[*step].record(sample);
            }
            let mut merged = Statistics::new(3, 0);
            for part in parts.iter().rev() {
                merged.merge(part);
            }
            for (one, many) in whole.steps.iter().zip(&merged.steps) {
                let one: Vec<_> = one.latency.buckets().collect();
                let many: Vec<_> = many.latency.buckets().collect();
                prop_assert_eq!(one, many);
            }
            prop_assert_eq!(whole, merged);
        }

        #[test]
        fn the_interval_of_a_quantile_holds_the_quantile(values in prop::collection::vec(1..1_000_000_u64, 1..300)) {
            let mut durations = Durations::default();
            for value in values {
                durations.record(value * 1000);
            }
            let (low, high) = durations.interval(0.9).unwrap();
            let middle = durations.quantile(0.9).unwrap();
            prop_assert!(low <= middle && middle <= high);
        }
    }

    #[test]
    fn a_freeze_of_one_second_in_twelve_shows_as_880_ms_at_p99() {
        // 1,000 a second for 12 s; what was planned during the freeze ends when it ends.
        let mut durations = Durations::default();
        for number in 0..12_000_u64 {
            let planned = number * 1_000_000;
            let frozen = (5_000_000_000..6_000_000_000).contains(&planned);
            let ended = if frozen {
                6_000_000_000
            } else {
                planned + 50_000
            };
            durations.record(ended - planned);
        }
        let p99 = durations.quantile(0.99).unwrap().as_secs_f64();
        assert!((p99 - 0.88).abs() < 0.88 * 0.02, "{p99}");
        assert_eq!(durations.quantile(0.5).unwrap(), Duration::from_micros(50));
    }

    #[test]
    fn nothing_measured_is_nothing_known() {
        let durations = Durations::default();
        assert_eq!(durations.quantile(0.5), None);
        assert_eq!(durations.mean(), None);
        assert_eq!(durations.interval(0.5), None);
    }

    #[test]
    fn longer_than_an_hour_counts_as_an_hour() {
        let mut durations = Durations::default();
        durations.record(u64::MAX);
        assert_eq!(durations.count(), 1);
        assert!(durations.max().unwrap() >= Duration::from_hours(1));
    }
}
