//! Where each file of the config repository is.

use foreshore_model::{EnvironmentName, FreezeName, PolicyName, ServiceName};
use foreshore_release::Place;

/// What a path in the config repository stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Environment(EnvironmentName),
    Release(Place),
    Operations(Place),
    Manifest(Place),
    Policy(PolicyName),
    Hold(Place),
    Tombstone(Place),
    Freeze(FreezeName),
    /// A file that means nothing to us, like a README.
    Other,
}

impl Location {
    pub fn of(path: &str) -> Self {
        Self::parse(path).unwrap_or(Self::Other)
    }

    fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let place = |environment: &str, service: &str| -> Option<Place> {
            Some((
                EnvironmentName::new(environment).ok()?,
                ServiceName::new(service).ok()?,
            ))
        };
        Some(match parts[..] {
            ["environments", environment, "environment.yaml"] => {
                Self::Environment(EnvironmentName::new(environment).ok()?)
            }
            ["environments", environment, service, "release.yaml"] => {
                Self::Release(place(environment, service)?)
            }
            ["environments", environment, service, "operations.yaml"] => {
                Self::Operations(place(environment, service)?)
            }
            ["environments", environment, service, "manifests", _] => {
                Self::Manifest(place(environment, service)?)
            }
            ["policies", file] => Self::Policy(PolicyName::new(file.strip_suffix(".yaml")?).ok()?),
            ["freezes", file] => Self::Freeze(FreezeName::new(file.strip_suffix(".yaml")?).ok()?),
            ["retired", environment, file] => {
                Self::Tombstone(place(environment, file.strip_suffix(".yaml")?)?)
            }
            ["holds", environment, file] => {
                Self::Hold(place(environment, file.strip_suffix(".yaml")?)?)
            }
            _ => return None,
        })
    }
}

pub(crate) fn environment_file(environment: &EnvironmentName) -> String {
    format!("environments/{environment}/environment.yaml")
}

pub(crate) fn release_file((environment, service): &Place) -> String {
    format!("environments/{environment}/{service}/release.yaml")
}

pub(crate) fn operations_file((environment, service): &Place) -> String {
    format!("environments/{environment}/{service}/operations.yaml")
}

pub(crate) fn branch_of(request: &str) -> String {
    format!("{REQUESTS_REF}/{request}")
}

/// The branch that says what runs.
pub(crate) const MAIN_REF: &str = "refs/heads/main";

/// Below it each open request has its branch.
pub(crate) const REQUESTS_REF: &str = "refs/heads/requests";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_only_look_alike_mean_nothing() {
        let place = (
            EnvironmentName::new("dev").unwrap(),
            ServiceName::new("web").unwrap(),
        );
        assert_eq!(
            Location::of(&release_file(&place)),
            Location::Release(place.clone())
        );
        assert_eq!(Location::of("holds/dev/web.yaml"), Location::Hold(place));
        for path in [
            "release.yaml",
            "environments/Dev/web/release.yaml",
            "holds/dev/web.yml",
            "policies/a/b.yaml",
            "",
        ] {
            assert_eq!(Location::of(path), Location::Other, "{path}");
        }
    }
}
