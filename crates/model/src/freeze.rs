//! `freezes/<name>.yaml`: times in which nothing is released, or the only times in which something is.

use jiff::civil::{DateTime, Time, Weekday};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{EnvironmentName, ServiceName};
use crate::operations::Changed;

/// A rule about time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    pub effect: Effect,
    /// The environments it is for; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentName>,
    /// The services it is for; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceName>,
    pub window: Window,
    /// IANA name of the zone that the window's clock stands in: `Europe/Copenhagen`.
    pub time_zone: String,
    pub changed: Changed,
}

/// What a window does to releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing is released while the window is open.
    Deny,
    /// Something is released only while the window, or another that allows, is open.
    Allow,
}

/// When it holds, by the clock on the wall of its time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Window {
    /// Once, from one moment to another.
    Once {
        #[schemars(with = "String")]
        from: DateTime,
        #[schemars(with = "String")]
        until: DateTime,
    },
    /// Every week; one that ends before it begins goes over midnight.
    Weekly {
        days: Vec<Day>,
        #[schemars(with = "String")]
        from: Time,
        #[schemars(with = "String")]
        until: Time,
    },
}

/// A day of the week on which a window opens.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Day {
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    pub fn of(day: Weekday) -> Self {
        let index = day.to_monday_zero_offset();
        Self::ALL[usize::try_from(index).expect("a weekday counts from zero to six")]
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Monday => "monday",
            Self::Tuesday => "tuesday",
            Self::Wednesday => "wednesday",
            Self::Thursday => "thursday",
            Self::Friday => "friday",
            Self::Saturday => "saturday",
            Self::Sunday => "sunday",
        }
    }
}

impl Freeze {
    /// Whether it is about this service in this environment.
    pub fn is_about(&self, environment: &EnvironmentName, service: &ServiceName) -> bool {
        (self.environments.is_empty() || self.environments.contains(environment))
            && (self.services.is_empty() || self.services.contains(service))
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Once { from, until } => write!(f, "{from} to {until}"),
            Self::Weekly { days, from, until } => {
                let days: Vec<&str> = days.iter().map(|day| day.word()).collect();
                let minutes = |time: &Time| format!("{:02}:{:02}", time.hour(), time.minute());
                write!(
                    f,
                    "every {} {} to {}",
                    days.join(", "),
                    minutes(from),
                    minutes(until)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_reads_as_people_write_it() {
        let text = "effect: deny\nenvironments: [prod]\nwindow:\n  kind: weekly\n  days: [friday]\n  from: '16:00:00'\n  until: '08:00:00'\n\
                    time_zone: Europe/Copenhagen\nchanged:\n  actor: {name: ada, email: ada@example.org}\n  at: 2026-11-20T12:00:00Z\n";
        let freeze: Freeze = crate::yaml::read("freezes/weekend.yaml", text).unwrap();
        assert_eq!(freeze.window.to_string(), "every friday 16:00 to 08:00");
        let prod = EnvironmentName::new("prod").unwrap();
        let dev = EnvironmentName::new("dev").unwrap();
        let web = ServiceName::new("web").unwrap();
        assert!(freeze.is_about(&prod, &web) && !freeze.is_about(&dev, &web));
        let written = crate::yaml::write(&freeze).unwrap();
        assert_eq!(
            crate::yaml::read::<Freeze>("again", &written).unwrap(),
            freeze
        );
    }
}
