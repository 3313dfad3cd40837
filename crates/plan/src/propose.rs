//! A first `foreshore.yaml` for a repository, each value with where it came from.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use foreshore_model::name::NameError;
use foreshore_model::service::{EnvironmentOverride, Ingress, Resources};
use foreshore_model::{EnvironmentName, ServiceFile, ServiceName};
use serde::Deserialize;

/// The port that services listen on unless something says otherwise.
const PORT_DEFAULT: u16 = 8080;

/// A value and what it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced {
    pub field: &'static str,
    pub value: String,
    pub origin: String,
}

/// A proposed file and the origin of each of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    pub file: ServiceFile,
    pub values: Vec<Sourced>,
}

/// What the person said on the command line.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    pub name: Option<ServiceName>,
    pub owner: Option<String>,
    pub host: Option<String>,
}

/// Why nothing can be proposed.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot read `{path}`")]
    Cargo {
        path: PathBuf,
        #[source]
        cause: Box<toml::de::Error>,
    },
    #[error("`{path}` has no `[package]`; run this in the directory of the service itself")]
    NoPackage { path: PathBuf },
    #[error(
        "found nothing in `{directory}` that tells how the service is built (looked for Cargo.toml)"
    )]
    Nothing { directory: PathBuf },
    #[error("the name found in `{origin}` cannot be a service's name")]
    Name {
        origin: String,
        #[source]
        cause: NameError,
    },
}

#[derive(Debug, Deserialize)]
struct CargoFile {
    package: Option<CargoPackage>,
}

#[derive(Debug, Deserialize)]
struct CargoPackage {
    name: String,
}

/// Reads what a repository says about its service.
pub fn propose(
    directory: &Path,
    wishes: &Wishes,
    environments: &[EnvironmentName],
) -> Result<Proposal, ProposeError> {
    let mut values = Vec::new();
    let package = cargo_package(directory)?;
    let name = if let Some(name) = &wishes.name {
        sourced(&mut values, "name", name.clone(), "--name")
    } else {
        let name =
            ServiceName::new(package.replace('_', "-")).map_err(|cause| ProposeError::Name {
                origin: "Cargo.toml".to_owned(),
                cause,
            })?;
        sourced(&mut values, "name", name, "Cargo.toml [package] name")
    };
    let owner = match &wishes.owner {
        Some(owner) => sourced(&mut values, "owner", owner.clone(), "--owner"),
        None => sourced(
            &mut values,
            "owner",
            "unknown".to_owned(),
            "nothing found; say who answers for it with --owner",
        ),
    };
    let plan = sourced(
        &mut values,
        "plan",
        "rust-service".to_owned(),
        "Cargo.toml is there",
    );
    let port = match exposed_port(directory)? {
        Some(port) => sourced(&mut values, "ports.http", port, "Dockerfile EXPOSE"),
        None => sourced(
            &mut values,
            "ports.http",
            PORT_DEFAULT,
            "the plan's default",
        ),
    };
    let ingress = wishes.host.as_ref().map(|host| Ingress {
        host: sourced(&mut values, "ingress.host", host.clone(), "--host"),
        path: "/".to_owned(),
    });
    let mut variables = BTreeMap::new();
    if name.as_str() != package {
        let package = sourced(
            &mut values,
            "variables.package",
            package,
            "Cargo.toml [package] name",
        );
        variables.insert("package".to_owned(), package.into());
    }
    for environment in environments {
        sourced(
            &mut values,
            "environments",
            environment.clone(),
            "the platform's environments",
        );
    }
    let file = ServiceFile {
        name,
        owner,
        plan,
        ports: BTreeMap::from([("http".to_owned(), port)]),
        ingress,
        environment: BTreeMap::new(),
        resources: Resources::default(),
        state: None,
        variables,
        dependencies: Vec::new(),
        environments: environments
            .iter()
            .map(|environment| (environment.clone(), EnvironmentOverride::default()))
            .collect(),
    };
    Ok(Proposal { file, values })
}

fn sourced<T: ToString>(
    values: &mut Vec<Sourced>,
    field: &'static str,
    value: T,
    origin: &str,
) -> T {
    values.push(Sourced {
        field,
        value: value.to_string(),
        origin: origin.to_owned(),
    });
    value
}

fn read(path: &Path) -> Result<Option<String>, ProposeError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(ProposeError::Read {
            path: path.to_owned(),
            cause,
        }),
    }
}

fn cargo_package(directory: &Path) -> Result<String, ProposeError> {
    let path = directory.join("Cargo.toml");
    let Some(text) = read(&path)? else {
        return Err(ProposeError::Nothing {
            directory: directory.to_owned(),
        });
    };
    let file: CargoFile = toml::from_str(&text).map_err(|cause| ProposeError::Cargo {
        path: path.clone(),
        cause: Box::new(cause),
    })?;
    Ok(file.package.ok_or(ProposeError::NoPackage { path })?.name)
}

fn exposed_port(directory: &Path) -> Result<Option<u16>, ProposeError> {
    let Some(text) = read(&directory.join("Dockerfile"))? else {
        return Ok(None);
    };
    Ok(text.lines().find_map(|line| {
        let (word, rest) = line.trim().split_once(char::is_whitespace)?;
        let port = rest.trim().split(['/', ' ']).next()?;
        if word.eq_ignore_ascii_case("EXPOSE") {
            port.parse().ok()
        } else {
            None
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environments() -> Vec<EnvironmentName> {
        vec!["dev".parse().unwrap(), "prod".parse().unwrap()]
    }

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    #[test]
    fn each_value_tells_where_it_came_from() {
        let directory = repository(&[
            ("Cargo.toml", "[package]\nname = \"shop_cart\"\n"),
            ("Dockerfile", "FROM scratch\nexpose 9000/tcp\n"),
        ]);
        let wishes = Wishes {
            owner: Some("shop".into()),
            ..Wishes::default()
        };
        let proposal = propose(directory.path(), &wishes, &environments()).unwrap();
        assert_eq!(proposal.file.name.as_str(), "shop-cart");
        assert_eq!(proposal.file.ports["http"], 9000);
        assert_eq!(proposal.file.variables["package"], "shop_cart");
        let origin = |field| {
            &proposal
                .values
                .iter()
                .find(|value| value.field == field)
                .unwrap()
                .origin
        };
        assert_eq!(origin("ports.http"), "Dockerfile EXPOSE");
        assert_eq!(origin("owner"), "--owner");
    }

    #[test]
    fn a_repository_without_anything_known_is_told_so() {
        let directory = repository(&[]);
        let error = propose(directory.path(), &Wishes::default(), &environments()).unwrap_err();
        assert!(
            error.to_string().contains("looked for Cargo.toml"),
            "{error}"
        );
        let directory = repository(&[("Cargo.toml", "[workspace]\n")]);
        let error = propose(directory.path(), &Wishes::default(), &environments()).unwrap_err();
        assert!(matches!(error, ProposeError::NoPackage { .. }), "{error}");
    }
}
