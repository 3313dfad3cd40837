//! Real faults for the sample, to see what the platform says of them.
//!
//! A fault that a team would make travels as a team's mistake does: as an
//! artifact that is pushed, released by policy and applied by the agent. One
//! that befalls a machine is done to the machine.

mod change;
mod machine;

use serde::Serialize;

pub(crate) use change::{ChangeError, broken};
pub(crate) use machine::{Damage, MachineError};

/// Something that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    Image,
    Crash,
    Config,
    Readiness,
    Memory,
    Database,
    Node,
}

/// How a fault comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Road {
    /// Somebody releases it.
    Release,
    /// It happens to the machine.
    Machine,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] = [
        Self::Image,
        Self::Crash,
        Self::Config,
        Self::Readiness,
        Self::Memory,
        Self::Database,
        Self::Node,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Crash => "crash",
            Self::Config => "config",
            Self::Readiness => "readiness",
            Self::Memory => "memory",
            Self::Database => "database",
            Self::Node => "node",
        }
    }

    /// What is done.
    pub(crate) fn deed(self) -> &'static str {
        match self {
            Self::Image => "a release names an image that the registry does not have",
            Self::Crash => "a release looks for its database where there is none",
            Self::Config => "a release needs a secret that nobody has set",
            Self::Readiness => "a release is asked for its health at the wrong path",
            Self::Memory => "a release fills more memory than its pod may use",
            Self::Database => "the database file of the running service is overwritten",
            Self::Node => "the only node is taken out of service, and the pod with it",
        }
    }

    /// The reason by which status and dashboard know it.
    pub(crate) fn shows(self) -> &'static str {
        match self {
            Self::Image => "ErrImagePull",
            Self::Crash => "CrashLoopBackOff",
            Self::Config => "CreateContainerConfigError",
            Self::Readiness | Self::Database => "NotReady",
            Self::Memory => "OOMKilled",
            Self::Node => "Unschedulable",
        }
    }

    pub(crate) fn road(self) -> Road {
        match self {
            Self::Image | Self::Crash | Self::Config | Self::Readiness | Self::Memory => {
                Road::Release
            }
            Self::Database | Self::Node => Road::Machine,
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// Where a person looks, one command after the other.
    pub(crate) fn look(self, service: &str, environment: &str) -> Vec<String> {
        let status = format!("foreshore status {service} -e {environment}");
        let release = format!("foreshore describe release {service} -e {environment}");
        match self {
            Self::Node => vec![status, "kubectl get nodes".to_owned()],
            Self::Database => vec![
                status,
                format!("kubectl logs -n {environment} deployment/{service}"),
            ],
            _ => vec![status, release],
        }
    }

    /// What a person types to mend it, without this command.
    pub(crate) fn mend(self, service: &str, environment: &str) -> Vec<String> {
        match self.road() {
            Road::Release => vec![
                format!(
                    "foreshore rollback {service} -e {environment} --reason \"{}\"",
                    self.name()
                ),
                format!("foreshore hold {service} -e {environment} --lift"),
            ],
            Road::Machine if self == Self::Node => vec![format!("kubectl uncordon {NODE}")],
            Road::Machine => vec![format!(
                "kubectl delete pod -n {environment} -l app.kubernetes.io/name={service}"
            )],
        }
    }
}

/// The one node of the embedded engine.
pub(crate) const NODE: &str = "local";

/// What the message of a release made here starts with, so that it is known again.
pub(crate) const MARK: &str = "demo: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name_and_says_what_to_type() {
        for fault in Fault::ALL {
            assert_eq!(Fault::find(fault.name()), Some(fault));
            assert!(!fault.deed().is_empty() && !fault.shows().is_empty());
            for line in fault
                .look("api", "dev")
                .iter()
                .chain(&fault.mend("api", "dev"))
            {
                assert!(
                    line.starts_with("foreshore ") || line.starts_with("kubectl "),
                    "{line}"
                );
            }
        }
        assert_eq!(Fault::find("nothing"), None);
    }
}
