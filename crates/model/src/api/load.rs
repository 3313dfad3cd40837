//! A load run as its generator tells the server of it, once a second, and as pages show it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::check_label;

/// The most points of time in one report; a longer run joins neighbours.
pub const POINTS_MAX: usize = 240;

/// `PUT /api/v1/loads/<id>`: a run from its first second to its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadRun {
    /// Chosen by the generator; a later report of the same run replaces the earlier one.
    pub id: String,
    pub scenario: String,
    pub profile: String,
    /// Addresses of the targets the profile uses.
    pub targets: Vec<String>,
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    pub elapsed_seconds: f64,
    /// How long the shape goes on, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_seconds: Option<f64>,
    /// What the shape is a number of: `arrivals per second` or `users`.
    pub shape_unit: String,
    pub requests: u64,
    pub failed: u64,
    pub undelivered: u64,
    pub in_flight: u64,
    /// From the planned moment, in microseconds; none without a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Percentiles>,
    /// Seconds that one point stands for.
    pub point_seconds: u64,
    pub points: Vec<LoadPoint>,
    /// What the run proved, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why it is not a pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Percentiles {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

/// One stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadPoint {
    pub requests: u64,
    pub failed: u64,
    /// In microseconds.
    pub p50: u64,
    pub p99: u64,
    /// What the shape asks for in its middle.
    pub shape: f64,
}

/// A run as the server knows it: who runs it, and when word of it came last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadRow {
    #[serde(flatten)]
    pub run: LoadRun,
    pub actor: String,
    #[schemars(with = "String")]
    pub heard_at: Timestamp,
}

/// `GET /api/v1/loads`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Loads {
    /// Grows with every report.
    pub version: u64,
    /// Newest first.
    pub runs: Vec<LoadRow>,
}

impl LoadRun {
    /// Says what is wrong with a report, if anything.
    pub fn check(&self) -> Result<(), String> {
        check_label("run", &self.id).map_err(|error| error.to_string())?;
        if self.points.len() > POINTS_MAX {
            return Err(format!(
                "a report has at most {POINTS_MAX} points, this one {}",
                self.points.len()
            ));
        }
        let texts = [&self.scenario, &self.profile, &self.shape_unit];
        let texts = texts.into_iter().chain(&self.targets).chain(&self.reasons);
        let numbers = self.points.iter().map(|point| point.shape);
        let numbers = numbers
            .chain([self.elapsed_seconds])
            .chain(self.length_seconds);
        if self.targets.len() > 20 || self.reasons.len() > 50 {
            return Err("a report has at most 20 targets and 50 reasons".to_owned());
        }
        if texts.map(String::len).any(|length| length > 2_000) {
            return Err("a text of a report has at most 2000 bytes".to_owned());
        }
        if numbers
            .into_iter()
            .any(|number| !number.is_finite() || number < 0.0)
        {
            return Err("a number of a report is negative or none at all".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_that_would_fill_the_server_are_refused() {
        let good = LoadRun {
            id: "r1".into(),
            scenario: "s".into(),
            profile: "p".into(),
            targets: vec!["http://a".into()],
            started_at: Timestamp::UNIX_EPOCH,
            elapsed_seconds: 1.0,
            length_seconds: None,
            shape_unit: "users".into(),
            requests: 1,
            failed: 0,
            undelivered: 0,
            in_flight: 0,
            latency: None,
            point_seconds: 1,
            points: vec![LoadPoint::default()],
            verdict: None,
            reasons: vec![],
        };
        assert_eq!(good.check(), Ok(()));
        let refused = |change: &dyn Fn(&mut LoadRun)| {
            let mut run = good.clone();
            change(&mut run);
            run.check().is_err()
        };
        assert!(refused(&|run| run.id = "../x".into()));
        assert!(refused(
            &|run| run.points = vec![LoadPoint::default(); POINTS_MAX + 1]
        ));
        assert!(refused(&|run| run.scenario = "x".repeat(2_001)));
        assert!(refused(&|run| run.elapsed_seconds = f64::NAN));
        assert!(refused(&|run| run.points[0].shape = -1.0));
        assert!(refused(&|run| run.reasons = vec![String::new(); 51]));
    }
}
