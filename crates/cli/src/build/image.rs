//! The image of a service: packed of what its build made, taken over as it is, or made of a Dockerfile.

mod layout;
mod own_program;
mod tool;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foreshore_action::Stop;
use foreshore_image::{
    ClientOptions, Credentials, Entry, Image, PackOptions, Platform, Policy, PullOptions,
    Reference, Store,
};
use foreshore_model::ExitCode;
use foreshore_model::own_registry::located;
use foreshore_model::plan::ImageFrom;
use serde_json::Value;

use super::sources::Sources;
use crate::failure::Failure;
use crate::terminal::Terminal;
pub(crate) use own_program::own_program;

/// Where public authorities' certificates are on common systems.
const CA_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// Where the files of a site are in its image.
const SITE: &str = "/site";

/// What an image is to be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Made {
    /// A static program.
    Program(PathBuf),
    /// A directory of files, with a server for them.
    Files(PathBuf),
    /// An image that exists, by digest.
    Existing(Box<Reference>),
    /// A Dockerfile.
    Dockerfile(PathBuf),
    /// The service has no image.
    Nothing,
}

impl Made {
    /// Reads from plan and service what there will be once action `build` left `output`.
    pub(crate) fn of(sources: &Sources, output: Option<&str>) -> Result<Self, Failure> {
        let left = || {
            output
                .map(|output| sources.directory.join(output))
                .ok_or_else(|| {
                    Failure::usage(format!(
                        "action `build` of plan `{}` does not say what it builds",
                        sources.plan.file.name
                    ))
                    .hint("add `output` to the action")
                })
        };
        Ok(match sources.plan.file.image {
            ImageFrom::Program => Self::Program(left()?),
            ImageFrom::Files => Self::Files(left()?),
            ImageFrom::Container => return container(sources),
            ImageFrom::None => Self::Nothing,
        })
    }
}

fn variables(sources: &Sources) -> Result<BTreeMap<String, Value>, Failure> {
    foreshore_render::variables(&sources.plan.file, &sources.service, None)
        .map_err(|error| sources.explain(&error))
}

fn container(sources: &Sources) -> Result<Made, Failure> {
    let variables = variables(sources)?;
    let text = |name: &str| {
        variables
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let image = text("image");
    if !image.is_empty() {
        let reference: Reference = image
            .parse()
            .map_err(|error| Failure::from_error(ExitCode::Usage, &error))?;
        if reference.digest().is_none() {
            return Err(Failure::usage(format!(
                "image `{image}` is named by a tag, which may mean something else tomorrow"
            ))
            .hint("name it by its digest: `host/name@sha256:…`"));
        }
        return Ok(Made::Existing(Box::new(reference)));
    }
    let name = match text("dockerfile") {
        "" => "Dockerfile",
        name => name,
    };
    let path = sources.directory.join(name);
    if !path.is_file() {
        return Err(Failure::new(
            ExitCode::NotFound,
            format!("there is no `{name}` in `{}`", sources.directory.display()),
        )
        .hint(
            "write one, or name an image that exists: `variables: {image: host/name@sha256:…}`",
        ));
    }
    Ok(Made::Dockerfile(path))
}

/// Who makes an image, and with what.
#[derive(Debug)]
pub(crate) struct Maker<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) store: &'a Store,
    /// The environment that a container tool sees.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// The registry of ours with the token for it: images there are ours already.
    pub(crate) registry: (&'a str, &'a str),
    pub(crate) terminal: &'a Terminal,
}

impl Maker<'_> {
    /// Makes the image; none for a service that has none.
    pub(crate) async fn make(&self, made: &Made, stop: Stop) -> Result<Option<Image>, Failure> {
        match made {
            Made::Program(program) => self.pack_program(program).map(Some),
            Made::Files(directory) => self.pack_files(directory).map(Some),
            Made::Existing(reference) => self.take_over(reference).await.map(Some),
            Made::Dockerfile(path) => {
                let archive = tool::build(self, path, stop).await?;
                self.terminal.say("taking the image over");
                layout::import(self.store, archive.path()).map(Some)
            }
            Made::Nothing => Ok(None),
        }
    }

    fn pack_program(&self, program: &Path) -> Result<Image, Failure> {
        let inside = format!("/app/{}", self.sources.service.name);
        let entries = vec![Entry {
            source: program.to_owned(),
            target: inside.clone(),
        }];
        self.pack(entries, vec![inside])
    }

    fn pack_files(&self, directory: &Path) -> Result<Image, Failure> {
        if !directory.is_dir() {
            return Err(Failure::new(
                ExitCode::NotFound,
                format!("there is no directory `{}`", directory.display()),
            )
            .hint("does the build leave its files where the plan's `output` says?"));
        }
        let server = own_program::file_server().map_err(|error| {
            Failure::new(
                ExitCode::Failed,
                format!("cannot tell what the server of files is made of: {error}"),
            )
        })?;
        let site = Entry {
            source: directory.to_owned(),
            target: SITE.to_owned(),
        };
        let entries = server.entries.into_iter().chain([site]).collect();
        let mut words = server.words;
        words.push(SITE.to_owned());
        // The probes ask where the plan says.
        let variables = variables(self.sources)?;
        if let Some(path) = variables.get("health-path").and_then(Value::as_str) {
            words.extend(["--health-path".to_owned(), path.to_owned()]);
        }
        self.pack(entries, words)
    }

    fn pack(&self, entries: Vec<Entry>, entrypoint: Vec<String>) -> Result<Image, Failure> {
        let service = &self.sources.service;
        let label = |name: &str, value: &str| {
            (format!("org.opencontainers.image.{name}"), value.to_owned())
        };
        let options = PackOptions {
            entries,
            ca_bundle: CA_BUNDLES
                .iter()
                .map(PathBuf::from)
                .find(|path| path.is_file()),
            entrypoint,
            ports: service.ports.values().copied().collect(),
            working_directory: "/".to_owned(),
            labels: BTreeMap::from([
                label("title", service.name.as_str()),
                label("vendor", &service.owner),
            ]),
            ..PackOptions::default()
        };
        let packed = foreshore_image::pack(self.store, &options).map_err(|error| {
            Failure::from_error(ExitCode::Failed, &error)
                .hint("does the build action leave its program where `output` says?")
        })?;
        if packed.reused {
            self.terminal.say("the same was packed before");
        }
        Ok(packed.image)
    }

    /// Copies an image of somewhere else, so that a release does not depend on that place.
    async fn take_over(&self, reference: &Reference) -> Result<Image, Failure> {
        let (registry, token) = self.registry;
        let located = located(&reference.to_string(), registry);
        let located: Option<Reference> = located
            .map(|text| text.parse())
            .transpose()
            .map_err(|error| Failure::from_error(ExitCode::Usage, &error))?;
        let reference = located.as_ref().unwrap_or(reference);
        let client = if reference.registry() == registry {
            ClientOptions {
                credentials: Credentials::Bearer(token.to_owned()),
                ..ClientOptions::default()
            }
        } else {
            ClientOptions::default()
        };
        let options = PullOptions {
            policy: Policy::IfNotPresent,
            client,
            platform: Platform::host(),
        };
        self.store.pull(reference, &options).await.map_err(|error| {
            let code = match error.reason() {
                "RegistryUnavailable" => ExitCode::Unreachable,
                _ => ExitCode::Failed,
            };
            Failure::from_error(code, &error)
        })
    }
}
