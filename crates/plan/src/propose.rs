//! A first `foreshore.yaml` for a repository, each value with where it came from.

mod compose;
mod facts;
mod files;
mod kubernetes;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use foreshore_model::name::NameError;
use foreshore_model::plan::Action;
use foreshore_model::service::{EnvironmentOverride, Ingress, Overrides, Resources, Secret};
use foreshore_model::yaml::YamlError;
use foreshore_model::{EnvironmentName, ServiceFile, ServiceName};

use self::facts::Facts;

/// The port that services listen on unless something says otherwise.
const PORT_DEFAULT: u16 = 8080;

/// A value and what it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced {
    pub field: String,
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
    pub plan: Option<String>,
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
    #[error("cannot read `{path}`")]
    Json {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error("`{path}` has no `[package]`; run this in the directory of the service itself")]
    NoPackage { path: PathBuf },
    #[error(
        "found nothing in `{directory}` that tells how the service is built (looked for {})", LOOKED_FOR.join(", ")
    )]
    Nothing { directory: PathBuf },
    #[error("the name found in `{origin}` cannot be a service's name")]
    Name {
        origin: String,
        #[source]
        cause: NameError,
    },
}

/// Files that tell how a service is built or run.
const LOOKED_FOR: [&str; 9] = [
    "Cargo.toml",
    "package.json",
    "go.mod",
    "Dockerfile",
    "compose.yaml",
    "shuttle.yaml",
    "Chart.yaml",
    "index.html",
    "Kubernetes manifests in k8s, deploy or kubernetes",
];

/// Reads what a repository says about its service.
pub fn propose(
    directory: &Path,
    wishes: &Wishes,
    environments: &[EnvironmentName],
) -> Result<Proposal, ProposeError> {
    let mut facts = Facts::default();
    files::read(directory, &mut facts)?;
    compose::read(directory, &mut facts)?;
    kubernetes::read(directory, &mut facts)?;
    if facts.plan.is_none() && wishes.plan.is_none() {
        return Err(ProposeError::Nothing {
            directory: directory.to_owned(),
        });
    }
    Proposer::default().file(directory, wishes, environments, facts)
}

/// Writes down each value as it is chosen.
#[derive(Default)]
struct Proposer {
    values: Vec<Sourced>,
}

impl Proposer {
    fn take<T: ToString>(&mut self, field: &str, value: T, origin: &str) -> T {
        self.values.push(Sourced {
            field: field.to_owned(),
            value: value.to_string(),
            origin: origin.to_owned(),
        });
        value
    }

    fn name(
        &mut self,
        directory: &Path,
        wishes: &Wishes,
        facts: &Facts,
    ) -> Result<ServiceName, ProposeError> {
        if let Some(name) = &wishes.name {
            return Ok(self.take("name", name.clone(), "--name"));
        }
        let (found, origin) = facts.name.clone().unwrap_or_else(|| {
            let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
            let name = absolute
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            (name.unwrap_or_default(), "the directory's name".to_owned())
        });
        let plain = found
            .rsplit('/')
            .next()
            .unwrap_or(&found)
            .replace(['_', '.'], "-")
            .to_lowercase();
        let name = ServiceName::new(plain).map_err(|cause| ProposeError::Name {
            origin: origin.clone(),
            cause,
        })?;
        Ok(self.take("name", name, &origin))
    }

    fn file(
        mut self,
        directory: &Path,
        wishes: &Wishes,
        environments: &[EnvironmentName],
        facts: Facts,
    ) -> Result<Proposal, ProposeError> {
        let name = self.name(directory, wishes, &facts)?;
        let owner = self.owner(wishes);
        let plan = self.plan(wishes, &facts);
        let ports = self.ports(&plan, facts.ports);
        let host = wishes.host.clone().map(|host| (host, "--host".to_owned()));
        let ingress = host.or(facts.host).map(|(host, origin)| Ingress {
            host: self.take("ingress.host", host, &origin),
            path: "/".to_owned(),
        });
        let environment = self.map("environment", facts.environment);
        let secrets = self.secrets(facts.secrets);
        self.resources(&facts.resources, &facts.resources_origin);
        let mut found = facts.variables;
        if let Some(package) = facts.package
            && name.as_str() != package
            && plan == "rust-service"
        {
            let origin = "Cargo.toml [package] name".to_owned();
            found.insert("package".to_owned(), (package.into(), origin));
        }
        let variables = self.map("variables", found);
        let actions = self.actions(facts.actions);
        let dependencies = self.dependencies(facts.dependencies);
        for (field, value, origin) in facts.notes {
            self.take(&field, value, &origin);
        }
        for environment in environments {
            let origin = "the platform's environments";
            self.take("environments", environment.clone(), origin);
        }
        let none =
            |environment: &EnvironmentName| (environment.clone(), EnvironmentOverride::default());
        let file = ServiceFile {
            name,
            owner,
            plan,
            ports,
            ingress,
            environment,
            secrets,
            resources: facts.resources,
            state: None,
            variables,
            overrides: Overrides {
                actions,
                templates: None,
            },
            checks: Vec::new(),
            dependencies,
            environments: environments.iter().map(none).collect(),
        };
        Ok(Proposal {
            file,
            values: self.values,
        })
    }

    fn owner(&mut self, wishes: &Wishes) -> String {
        match &wishes.owner {
            Some(owner) => self.take("owner", owner.clone(), "--owner"),
            None => self.take(
                "owner",
                "unknown".to_owned(),
                "nothing found; say who answers for it with --owner",
            ),
        }
    }

    fn plan(&mut self, wishes: &Wishes, facts: &Facts) -> String {
        match (&wishes.plan, &facts.plan) {
            (Some(plan), _) => self.take("plan", plan.clone(), "--plan"),
            (None, Some((plan, origin))) => self.take("plan", (*plan).to_owned(), origin),
            (None, None) => String::new(),
        }
    }

    /// Names them; their values stay where they are.
    fn secrets(&mut self, found: BTreeMap<String, String>) -> BTreeMap<String, Secret> {
        let named = found.into_iter().map(|(key, origin)| {
            let field = format!("secrets.{key}");
            self.take(&field, "its value is not taken over", &origin);
            (key, Secret::default())
        });
        named.collect()
    }

    fn ports(
        &mut self,
        plan: &str,
        found: BTreeMap<String, (u16, String)>,
    ) -> BTreeMap<String, u16> {
        let mut ports = self.map("ports", found);
        if !ports.contains_key("http") && !matches!(plan, "worker" | "cronjob" | "external") {
            let port = self.take("ports.http", PORT_DEFAULT, "the plan's default");
            ports.insert("http".to_owned(), port);
        }
        ports
    }

    fn map<T: ToString>(
        &mut self,
        field: &str,
        found: BTreeMap<String, (T, String)>,
    ) -> BTreeMap<String, T> {
        let taken = found.into_iter().map(|(key, (value, origin))| {
            let value = self.take(&format!("{field}.{key}"), value, &origin);
            (key, value)
        });
        taken.collect()
    }

    fn resources(&mut self, resources: &Resources, origin: &str) {
        for (field, value) in [("cpu", &resources.cpu), ("memory", &resources.memory)] {
            if let Some(value) = value {
                self.take(&format!("resources.{field}"), value.clone(), origin);
            }
        }
    }

    fn actions(&mut self, found: BTreeMap<String, (Action, String)>) -> BTreeMap<String, Action> {
        let taken = found.into_iter().map(|(key, (action, origin))| {
            let field = format!("overrides.actions.{key}");
            self.take(&field, action.command.join(" "), &origin);
            (key, action)
        });
        taken.collect()
    }

    fn dependencies(&mut self, found: BTreeMap<String, String>) -> Vec<ServiceName> {
        let names = found.into_iter().filter_map(|(name, origin)| {
            let name = ServiceName::new(name.replace('_', "-")).ok()?;
            Some(self.take("dependencies", name, &origin))
        });
        names.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn environments() -> Vec<EnvironmentName> {
        vec!["dev".parse().unwrap(), "prod".parse().unwrap()]
    }

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
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

    #[test]
    fn a_compose_file_tells_ports_settings_secrets_and_needs() {
        let compose = "services:\n  shop:\n    build: .\n    ports: [\"127.0.0.1:8080:3000/tcp\"]\n    environment:\n      - LOG=info\n      - DB_PASSWORD=hunter2\n      - DATABASE_URL=postgres://a:b@db/x\n    depends_on: [db, api]\n  db:\n    image: postgres:17\n  api:\n    build: ../api\n";
        let directory = repository(&[
            ("compose.yaml", compose),
            ("Dockerfile", "FROM x\n"),
            ("Makefile", "test: x\n\ttrue\n"),
        ]);
        let proposal = propose(directory.path(), &Wishes::default(), &environments()).unwrap();
        let file = &proposal.file;
        assert_eq!(
            (file.name.as_str(), file.plan.as_str()),
            ("shop", "container")
        );
        assert_eq!(file.ports["http"], 3000);
        assert_eq!(file.environment.keys().collect::<Vec<_>>(), ["LOG"]);
        assert_eq!(
            file.secrets.keys().collect::<Vec<_>>(),
            ["DATABASE_URL", "DB_PASSWORD"]
        );
        assert_eq!(file.dependencies, ["api".parse().unwrap()]);
        assert_eq!(file.overrides.actions["test"].command, ["make", "test"]);
        let told: String = proposal
            .values
            .iter()
            .map(|value| format!("{} {} {}", value.field, value.value, value.origin))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(told.contains("db (postgres:17)"), "{told}");
        assert!(
            !told.contains("hunter2") && !told.contains("a:b@"),
            "{told}"
        );
    }

    #[test]
    fn manifests_that_are_there_tell_what_they_say() {
        let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec:\n  template:\n    spec:\n      containers:\n      - name: shop\n        ports: [{containerPort: 9000}, {containerPort: 9001, name: admin}]\n        env: [{name: A, value: b}, {name: S, valueFrom: {secretKeyRef: {name: x, key: y}}}]\n        resources: {requests: {cpu: 100m}}\n        readinessProbe: {httpGet: {path: /ready, port: 9000}}\n---\nkind: Ingress\nspec: {rules: [{host: shop.example.org}]}\n";
        let directory = repository(&[
            ("k8s/all.yaml", deployment),
            ("k8s/broken.yaml", "{{ no yaml\n"),
        ]);
        let file = propose(directory.path(), &Wishes::default(), &environments())
            .unwrap()
            .file;
        assert_eq!((file.ports["http"], file.ports["admin"]), (9000, 9001));
        assert_eq!(file.resources.cpu.as_deref(), Some("100m"));
        assert_eq!(file.ingress.unwrap().host, "shop.example.org");
        assert_eq!(file.variables["health-path"], "/ready");
        assert!(file.secrets.contains_key("S") && file.environment.contains_key("A"));
    }

    #[test]
    fn each_language_is_known_by_its_file() {
        for (files, name, plan) in [
            (
                &[(
                    "package.json",
                    "{\"name\": \"@team/shop\", \"scripts\": {\"build\": \"vite\"}}",
                )][..],
                "shop",
                "static-site",
            ),
            (
                &[(
                    "package.json",
                    "{\"name\": \"shop\", \"scripts\": {\"start\": \"node\"}}",
                )],
                "shop",
                "container",
            ),
            (
                &[("go.mod", "module example.org/team/shop\n")],
                "shop",
                "container",
            ),
            (
                &[("shuttle.yaml", "plan: false\nvars: {service: shop}\n")],
                "shop",
                "container",
            ),
            (&[("chart/Chart.yaml", "name: shop\n")], "shop", "container"),
        ] {
            let directory = repository(files);
            let file = propose(directory.path(), &Wishes::default(), &environments())
                .unwrap()
                .file;
            assert_eq!(
                (file.name.as_str(), file.plan.as_str()),
                (name, plan),
                "{files:?}"
            );
            let text = foreshore_model::yaml::write(&file).unwrap();
            let read: ServiceFile = foreshore_model::yaml::read_strict("f", &text).unwrap();
            assert_eq!(read, file, "what is written can be read");
        }
    }

    #[test]
    fn a_broken_file_is_named() {
        for files in [
            &[("package.json", "{")][..],
            &[("compose.yaml", "a: [")],
            &[("shuttle.yaml", "x: 1\n")],
            &[("Cargo.toml", "[")],
        ] {
            let directory = repository(files);
            let error = propose(directory.path(), &Wishes::default(), &environments()).unwrap_err();
            assert!(!matches!(error, ProposeError::Nothing { .. }), "{error}");
        }
    }
}
