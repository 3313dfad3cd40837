//! Which service a command is about: named, named as hamctl names it, or the one of this directory.

use std::path::Path;

use clap::Args;
use foreshore_model::service::FILE_NAME;
use foreshore_model::{ServiceFile, ServiceName, yaml};

use crate::failure::Failure;

/// The service, in either way of naming it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServiceArg {
    /// Service; without it the one whose foreshore.yaml is in this directory
    service: Option<ServiceName>,

    /// The same as a flag
    #[arg(
        long = "service",
        value_name = "NAME",
        conflicts_with = "service",
        hide = true
    )]
    named: Option<ServiceName>,
}

impl ServiceArg {
    /// Returns the service that is meant.
    pub(crate) fn resolve(self) -> Result<ServiceName, Failure> {
        named_or_here(self.service.or(self.named))
    }
}

/// Returns the named service, or the one whose foreshore.yaml is in this directory.
pub(crate) fn named_or_here(service: Option<ServiceName>) -> Result<ServiceName, Failure> {
    if let Some(service) = service {
        return Ok(service);
    }
    let path = Path::new(FILE_NAME);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::usage("no service is named")
                .hint(format!("name one, or go to a directory with a {FILE_NAME}")));
        }
        Err(error) => {
            return Err(Failure::usage(format!(
                "cannot read `{FILE_NAME}`: {error}"
            )));
        }
    };
    let file: ServiceFile =
        yaml::read(FILE_NAME, &text).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(file.name)
}
