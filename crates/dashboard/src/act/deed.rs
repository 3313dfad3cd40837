//! The deeds there are, as their addresses name them.

use foreshore_model::{EnvironmentName, ServiceName};

use crate::query::{Query, href};

/// A service in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) environment: EnvironmentName,
    pub(crate) service: ServiceName,
}

/// One thing that can be done, with everything it is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    RestartPod {
        site: String,
        namespace: String,
        pod: String,
    },
    Restart(Place),
    Scale {
        place: Place,
        workload: String,
        replicas: u32,
    },
    Promote(Place),
    Rollback(Place),
    Approve {
        request: String,
    },
    Hold(Place),
    Lift(Place),
    Cordon {
        site: String,
        node: String,
    },
    Uncordon {
        site: String,
        node: String,
    },
    Drain {
        site: String,
        node: String,
    },
}

/// Why an address names no deed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeedError {
    #[error("there is no action `{0}`")]
    Unknown(String),
    #[error("the action `{verb}` needs `{key}`")]
    Missing { verb: String, key: &'static str },
    #[error("`{value}` is no {key}")]
    Invalid { key: &'static str, value: String },
}

impl Deed {
    pub(crate) fn parse(verb: &str, query: &Query) -> Result<Self, DeedError> {
        let need = |key: &'static str| {
            query
                .get(key)
                .map(str::to_owned)
                .ok_or_else(|| DeedError::Missing {
                    verb: verb.to_owned(),
                    key,
                })
        };
        // These become parts of paths of the Kubernetes API.
        let object = |key: &'static str| {
            let value = need(key)?;
            if is_object_name(&value) {
                Ok(value)
            } else {
                Err(DeedError::Invalid { key, value })
            }
        };
        let place = || {
            let (environment, service) = (need("environment")?, need("service")?);
            Ok(Place {
                environment: environment.parse().map_err(|_| DeedError::Invalid {
                    key: "environment",
                    value: environment,
                })?,
                service: service.parse().map_err(|_| DeedError::Invalid {
                    key: "service",
                    value: service,
                })?,
            })
        };
        Ok(match verb {
            "restart-pod" => Self::RestartPod {
                site: need("site")?,
                namespace: object("namespace")?,
                pod: object("pod")?,
            },
            "restart" => Self::Restart(place()?),
            "scale" => {
                let value = need("replicas")?;
                let replicas = value
                    .parse()
                    .ok()
                    .filter(|replicas| *replicas <= REPLICAS_MAX);
                let replicas = replicas.ok_or(DeedError::Invalid {
                    key: "replicas",
                    value,
                })?;
                Self::Scale {
                    place: place()?,
                    workload: object("workload")?,
                    replicas,
                }
            }
            "promote" => Self::Promote(place()?),
            "rollback" => Self::Rollback(place()?),
            "approve" => Self::Approve {
                request: object("request")?,
            },
            "hold" => Self::Hold(place()?),
            "lift" => Self::Lift(place()?),
            "cordon" => Self::Cordon {
                site: need("site")?,
                node: object("node")?,
            },
            "uncordon" => Self::Uncordon {
                site: need("site")?,
                node: object("node")?,
            },
            "drain" => Self::Drain {
                site: need("site")?,
                node: object("node")?,
            },
            _ => return Err(DeedError::Unknown(verb.to_owned())),
        })
    }

    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::RestartPod { .. } => "restart-pod",
            Self::Restart(_) => "restart",
            Self::Scale { .. } => "scale",
            Self::Promote(_) => "promote",
            Self::Rollback(_) => "rollback",
            Self::Approve { .. } => "approve",
            Self::Hold(_) => "hold",
            Self::Lift(_) => "lift",
            Self::Cordon { .. } => "cordon",
            Self::Uncordon { .. } => "uncordon",
            Self::Drain { .. } => "drain",
        }
    }

    /// What it is done to, as the audit trail says it.
    pub(crate) fn target(&self) -> String {
        match self {
            Self::RestartPod {
                site,
                namespace,
                pod,
            } => format!("pod {namespace}/{pod} in {site}"),
            Self::Restart(place)
            | Self::Promote(place)
            | Self::Rollback(place)
            | Self::Hold(place)
            | Self::Lift(place) => {
                format!("{} in {}", place.service, place.environment)
            }
            Self::Scale {
                place,
                workload,
                replicas,
            } => format!(
                "{workload} of {} in {} to {replicas}",
                place.service, place.environment
            ),
            Self::Approve { request } => format!("request {request}"),
            Self::Cordon { site, node }
            | Self::Uncordon { site, node }
            | Self::Drain { site, node } => format!("node {node} in {site}"),
        }
    }

    /// What undoes it, where something does.
    pub(crate) fn undo(&self, replicas_before: Option<i64>) -> Option<(String, &'static str)> {
        let at = |site: &str, node: &str| href("/act/uncordon", &[("site", site), ("node", node)]);
        match self {
            Self::Cordon { site, node } | Self::Drain { site, node } => {
                Some((at(site, node), "Uncordon"))
            }
            Self::Uncordon { site, node } => Some((
                href("/act/cordon", &[("site", site), ("node", node)]),
                "Cordon again",
            )),
            Self::Scale {
                place, workload, ..
            } => {
                let before = replicas_before?.to_string();
                let to = href(
                    "/act/scale",
                    &[
                        ("environment", place.environment.as_str()),
                        ("service", place.service.as_str()),
                        ("workload", workload),
                        ("replicas", &before),
                    ],
                );
                Some((to, "Back to the count before"))
            }
            Self::Hold(place) => Some((at_place("/act/lift", place), "Lift the hold")),
            Self::Promote(place) => Some((at_place("/act/rollback", place), "Roll back")),
            _ => None,
        }
    }
}

fn at_place(path: &str, place: &Place) -> String {
    href(
        path,
        &[
            ("environment", place.environment.as_str()),
            ("service", place.service.as_str()),
        ],
    )
}

/// Nobody runs more pods of one workload on purpose; a slip of the finger would.
const REPLICAS_MAX: u32 = 1_000;

fn is_object_name(text: &str) -> bool {
    let allowed = |character: char| {
        character.is_ascii_lowercase()
            || character.is_ascii_digit()
            || matches!(character, '-' | '.' | '_')
    };
    !text.is_empty()
        && text.len() <= 253
        && text.chars().all(allowed)
        && !text.starts_with(['.', '-'])
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(verb: &str, query: &str) -> Result<Deed, DeedError> {
        Deed::parse(verb, &Query::parse(Some(query)))
    }

    #[test]
    fn an_address_names_a_deed_completely_or_not_at_all() {
        assert_eq!(
            parse("cordon", "site=local&node=n1"),
            Ok(Deed::Cordon {
                site: "local".into(),
                node: "n1".into()
            })
        );
        assert_eq!(
            parse("cordon", "site=local"),
            Err(DeedError::Missing {
                verb: "cordon".into(),
                key: "node"
            })
        );
        assert!(matches!(
            parse("delete-everything", ""),
            Err(DeedError::Unknown(_))
        ));
        assert!(matches!(
            parse(
                "scale",
                "environment=dev&service=web&workload=web&replicas=5000"
            ),
            Err(DeedError::Invalid {
                key: "replicas",
                ..
            })
        ));
        assert!(matches!(
            parse(
                "scale",
                "environment=dev&service=web&workload=web&replicas=-1"
            ),
            Err(DeedError::Invalid { .. })
        ));
    }

    #[test]
    fn names_that_would_leave_their_path_are_refused() {
        for name in ["../../secrets", "a/b", "a%2Fb", "x?y", "A", "", "a..b"] {
            assert!(
                parse(
                    "restart-pod",
                    &format!("site=local&namespace=dev&pod={name}")
                )
                .is_err(),
                "{name}"
            );
            assert!(
                parse("drain", &format!("site=local&node={name}")).is_err(),
                "{name}"
            );
        }
        assert!(parse("promote", "environment=../x&service=web").is_err());
    }

    #[test]
    fn what_can_be_undone_says_how() {
        let scale = parse(
            "scale",
            "environment=dev&service=web&workload=web&replicas=3",
        )
        .unwrap();
        assert!(scale.undo(Some(2)).unwrap().0.contains("replicas=2"));
        assert!(
            parse("restart", "environment=dev&service=web")
                .unwrap()
                .undo(None)
                .is_none()
        );
    }
}
