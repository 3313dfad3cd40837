//! Load shapes, and the moments they ask for: pure functions of seed, shape and number.

use std::time::Duration;

use crate::random::Random;

/// How a rate, or a number of users, changes over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub segments: Vec<Segment>,
}

/// From one level to another in a straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    pub from: f64,
    pub to: f64,
    pub length: Duration,
}

/// How arrivals lie around the line the shape draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    Even,
    /// Independent of each other, as people are.
    Poisson,
}

const NANOS: f64 = 1e9;

impl Shape {
    pub fn length(&self) -> Duration {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    pub fn peak(&self) -> f64 {
        self.segments
            .iter()
            .flat_map(|segment| [segment.from, segment.to])
            .fold(0.0, f64::max)
    }

    /// Level at a moment; nothing after the end.
    pub fn at(&self, moment: Duration) -> f64 {
        let mut start = Duration::ZERO;
        for segment in &self.segments {
            if moment < start + segment.length {
                let share =
                    moment.saturating_sub(start).as_secs_f64() / segment.length.as_secs_f64();
                return segment.from + (segment.to - segment.from) * share;
            }
            start += segment.length;
        }
        0.0
    }

    /// Arrivals the shape asks for as a whole.
    pub fn total(&self) -> f64 {
        self.segments.iter().map(Segment::area).sum()
    }

    /// Stretches of time in which user number `user` (from zero) is there.
    pub fn presence(&self, user: u64) -> Vec<(Duration, Duration)> {
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 users")]
        let level = user as f64;
        let mut found: Vec<(Duration, Duration)> = Vec::new();
        let mut start = Duration::ZERO;
        for segment in &self.segments {
            if let Some((from, to)) = segment.above(level) {
                let (from, to) = (start + from, start + to);
                match found.last_mut() {
                    Some(last) if last.1 == from => last.1 = to,
                    _ => found.push((from, to)),
                }
            }
            start += segment.length;
        }
        found
    }
}

impl Segment {
    fn area(&self) -> f64 {
        f64::midpoint(self.from, self.to) * self.length.as_secs_f64()
    }

    /// Part of the segment in which its line is above a level.
    fn above(&self, level: f64) -> Option<(Duration, Duration)> {
        let (low, high) = (self.from.min(self.to), self.from.max(self.to));
        if high <= level || self.length.is_zero() {
            return None;
        }
        if low > level || (low - high).abs() < f64::EPSILON {
            return Some((Duration::ZERO, self.length));
        }
        let share = ((level - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        let crossing = self.length.mul_f64(share);
        Some(if self.to > self.from {
            (crossing, self.length)
        } else {
            (Duration::ZERO, crossing)
        })
    }

    /// Moment within the segment by which `area` arrivals have come.
    fn when(&self, area: f64) -> f64 {
        let length = self.length.as_secs_f64();
        let slope = (self.to - self.from) / length;
        if slope.abs() < 1e-12 {
            return area / self.from;
        }
        // The root of slope/2 t² + from t = area, in the form that stays
        // exact when the slope is small.
        let inside = (self.from * self.from + 2.0 * slope * area).max(0.0);
        (2.0 * area / (self.from + inside.sqrt())).min(length)
    }
}

/// The moments of arrival, in order.
#[derive(Debug, Clone)]
pub struct Arrivals {
    shape: Shape,
    spacing: Spacing,
    random: Random,
    segment: usize,
    /// When the segment starts, in seconds.
    start: f64,
    /// Arrivals before the segment.
    before: f64,
    /// Where the next arrival lies on the line of all arrivals.
    next: f64,
    number: u64,
}

impl Arrivals {
    pub fn new(shape: Shape, spacing: Spacing, seed: u64) -> Self {
        let mut random = Random::new(seed, ARRIVALS);
        let next = match spacing {
            Spacing::Even => 0.0,
            Spacing::Poisson => exponential(&mut random),
        };
        Self {
            shape,
            spacing,
            random,
            segment: 0,
            start: 0.0,
            before: 0.0,
            next,
            number: 0,
        }
    }

    /// The part of worker `index` of `count`: every `count`-th arrival.
    pub fn share(self, index: u64, count: u64) -> impl Iterator<Item = (u64, u64)> + Send {
        self.filter(move |(number, _)| number % count == index)
    }
}

/// Stream of randomness that only arrivals draw from.
const ARRIVALS: u64 = 0xA881_7A15;

fn exponential(random: &mut Random) -> f64 {
    -(1.0 - random.unit()).ln()
}

impl Iterator for Arrivals {
    /// Number of the arrival, and its moment in nanoseconds from the start.
    type Item = (u64, u64);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let segment = self.shape.segments.get(self.segment)?;
            let area = segment.area();
            // A hair of tolerance, so that rounding neither adds nor loses an arrival at an edge.
            if area > 0.0 && self.next < self.before + area - 1e-9 {
                let moment = self.start + segment.when((self.next - self.before).max(0.0));
                let number = self.number;
                self.number += 1;
                self.next += match self.spacing {
                    Spacing::Even => 1.0,
                    Spacing::Poisson => exponential(&mut self.random),
                };
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a run is shorter than 2^63 nanoseconds and starts at zero"
                )]
                return Some((number, (moment * NANOS).round() as u64));
            }
            self.before += area;
            self.start += segment.length.as_secs_f64();
            self.segment += 1;
        }
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "the numbers of tests are small")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(from: f64, to: f64, millis: u64) -> Segment {
        Segment {
            from,
            to,
            length: Duration::from_millis(millis),
        }
    }

    fn moments(segments: &[Segment], spacing: Spacing) -> Vec<u64> {
        let shape = Shape {
            segments: segments.to_vec(),
        };
        Arrivals::new(shape, spacing, 1)
            .map(|(_, moment)| moment)
            .collect()
    }

    #[test]
    fn a_constant_rate_is_evenly_spaced_from_zero() {
        let moments = moments(&[segment(1000.0, 1000.0, 12_000)], Spacing::Even);
        assert_eq!(moments.len(), 12_000);
        assert_eq!(moments[..3], [0, 1_000_000, 2_000_000]);
        assert_eq!(moments[11_999], 11_999_000_000);
    }

    #[test]
    fn a_ramp_asks_for_the_area_under_its_line() {
        let moments = moments(
            &[
                segment(0.0, 100.0, 2_000),
                segment(100.0, 100.0, 1_000),
                segment(500.0, 500.0, 100),
            ],
            Spacing::Even,
        );
        assert_eq!(moments.len(), 100 + 100 + 50);
        // Half of the area of a ramp from zero lies after 1/√2 of its time.
        assert!((moments[50] as f64 / 1e9 - 2.0 * 0.5_f64.sqrt()).abs() < 1e-6);
        assert_eq!(moments[100], 2_000_000_000);
        assert_eq!(moments[200], 3_000_000_000);
    }

    #[test]
    fn silence_in_between_is_kept() {
        let moments = moments(
            &[
                segment(10.0, 10.0, 1_000),
                segment(0.0, 0.0, 1_000),
                segment(10.0, 10.0, 1_000),
            ],
            Spacing::Even,
        );
        assert_eq!(moments.len(), 20);
        assert_eq!(moments[10], 2_000_000_000);
    }

    #[test]
    fn users_come_and_go_with_the_line() {
        let shape = Shape {
            segments: vec![
                segment(0.0, 4.0, 4_000),
                segment(4.0, 4.0, 1_000),
                segment(4.0, 0.0, 4_000),
            ],
        };
        let seconds = |user| -> Vec<(f64, f64)> {
            shape
                .presence(user)
                .iter()
                .map(|(from, to)| (from.as_secs_f64(), to.as_secs_f64()))
                .collect()
        };
        assert_eq!(seconds(0), [(0.0, 9.0)]);
        assert_eq!(seconds(3), [(3.0, 6.0)]);
        assert_eq!(seconds(4), []);
    }

    #[test]
    fn poisson_arrivals_vary_as_much_as_their_mean() {
        let moments = moments(&[segment(500.0, 500.0, 200_000)], Spacing::Poisson);
        let mut seconds = vec![0.0; 200];
        for moment in moments {
            seconds[usize::try_from(moment / 1_000_000_000).unwrap()] += 1.0;
        }
        let mean = seconds.iter().sum::<f64>() / 200.0;
        let variance = seconds.iter().map(|n| (n - mean) * (n - mean)).sum::<f64>() / 200.0;
        assert!((mean - 500.0).abs() < 10.0, "{mean}");
        assert!(
            (0.6..1.6).contains(&(variance / mean)),
            "{}",
            variance / mean
        );
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        let parts = (0.0..200.0, 0.0..200.0, 1..3_000_u64);
        prop::collection::vec(parts, 1..5).prop_map(|segments| Shape {
            segments: segments
                .into_iter()
                .map(|(from, to, millis)| segment(from, to, millis))
                .collect(),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn arrivals_are_in_order_within_the_run_and_as_many_as_the_area(shape in shapes()) {
            let length = shape.length().as_nanos();
            let moments: Vec<u64> = Arrivals::new(shape.clone(), Spacing::Even, 0).map(|(_, moment)| moment).collect();
            prop_assert!(moments.is_sorted());
            prop_assert!(moments.iter().all(|moment| u128::from(*moment) <= length));
            prop_assert!((moments.len() as f64 - shape.total().ceil()).abs() <= 1.0);
        }

        #[test]
        fn the_shares_of_all_workers_are_the_whole(shape in shapes(), seed: u64, workers in 1..9_u64) {
            let whole: Vec<_> = Arrivals::new(shape.clone(), Spacing::Poisson, seed).collect();
            let mut parts: Vec<_> = (0..workers)
                .flat_map(|index| Arrivals::new(shape.clone(), Spacing::Poisson, seed).share(index, workers))
                .collect();
            parts.sort_unstable();
            prop_assert_eq!(whole, parts);
        }

        #[test]
        fn users_that_are_there_are_as_many_as_the_level(shape in shapes(), at in 0.0..1.0_f64) {
            let moment = shape.length().mul_f64(at);
            let there = (0..200_u64)
                .filter(|user| shape.presence(*user).iter().any(|(from, to)| (*from..*to).contains(&moment)))
                .count();
            prop_assert!((there as f64 - shape.at(moment).ceil()).abs() <= 1.0);
        }
    }
}
