//! The steps of a build, each with how long it took.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use foreshore_action::{ActionError, Input, Output};
use foreshore_artifact::Pushed;
use foreshore_image::{
    ClientError, ClientOptions, Credentials, Entry, Image, PackOptions, Reference, RegistryClient,
    Store,
};
use foreshore_model::api::{ArrivalAnswer, ArrivalRequest};
use foreshore_model::artifact::{ImageStamp, PlanStamp, Source};
use foreshore_model::{ArtifactId, ArtifactRecord, Digest, ExitCode, ServiceName};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::perform::{Performed, perform};
use super::sources::Sources;
use crate::client::Client;
use crate::failure::{Failure, chain};
use crate::terminal::Terminal;

/// Where public authorities' certificates are on common systems.
const CA_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// What a build left in the registry.
#[derive(Debug, Serialize)]
pub(crate) struct Built {
    pub(crate) id: ArtifactId,
    pub(crate) digest: Digest,
    pub(crate) image: String,
    /// The same was in the registry already.
    pub(crate) reused: bool,
    #[serde(flatten)]
    pub(crate) arrival: ArrivalAnswer,
}

/// Runs the plan's build action and returns the program it made.
pub(crate) async fn build(
    sources: &Sources,
    environment: BTreeMap<String, String>,
    terminal: &Terminal,
    cancelled: CancellationToken,
) -> Result<(PathBuf, Performed), Failure> {
    let surroundings = (environment, Output::ToStderr, Input::None);
    let performed = perform(sources, "build", &[], surroundings, terminal, cancelled).await?;
    let output = performed.output.as_ref().ok_or_else(|| {
        Failure::usage(format!(
            "action `build` of plan `{}` does not say what it builds",
            sources.plan.file.name
        ))
        .hint("add `output` to the action")
    })?;
    Ok((sources.directory.join(output), performed))
}

pub(crate) fn action_failure(error: &ActionError) -> Failure {
    match error {
        ActionError::Interrupted { .. } => Failure::from_error(ExitCode::Interrupted, error),
        ActionError::NoProgram { program } => Failure::from_error(ExitCode::Usage, error)
            .hint(format!("install `{program}`, or set PATH")),
        _ => Failure::from_error(ExitCode::Failed, error),
    }
}

/// Packs the program, renders, pushes, and lets policies act.
pub(crate) async fn pack_and_push(
    sources: &Sources,
    source: Source,
    program: &Path,
    client: &Client,
    registry: &str,
    terminal: &Terminal,
) -> Result<Built, Failure> {
    let images = Path::new(&sources.host.cache).join("images");
    let store =
        Store::open(&images).map_err(|error| Failure::from_error(ExitCode::Failed, &error))?;
    let clock = Instant::now();
    let image = pack(&store, sources, program)?;
    let packed = clock.elapsed();
    let repository = sources.service.name.to_string();
    let reference = Reference::by_digest(registry, &repository, image.digest.clone())
        .map_err(|error| {
            Failure::from_error(ExitCode::Usage, &error)
                .hint("the server names the registry; see `foreshore up`")
        })?
        .to_string();
    let record = record(sources, source, &repository, &image.digest, &reference)?;
    let registry_client = registry_client(registry, client)?;

    let clock = Instant::now();
    store
        .push(&image, &registry_client, &repository, None)
        .await
        .map_err(|error| push_failure(&error, &sources.service.name))?;
    let pushed = foreshore_artifact::push(&registry_client, &record)
        .await
        .map_err(|error| artifact_failure(&error, &sources.service.name))?;
    terminal.say(&format!(
        "packed in {}, pushed in {}",
        seconds(packed),
        seconds(clock.elapsed())
    ));
    let request = ArrivalRequest {
        service: sources.service.name.clone(),
        digest: pushed.digest().clone(),
    };
    let arrival: ArrivalAnswer = client.post("/arrivals", &request).await?;
    let reused = matches!(pushed, Pushed::AlreadyThere { .. });
    Ok(Built {
        id: record.id,
        digest: pushed.digest().clone(),
        image: reference,
        reused,
        arrival,
    })
}

pub(crate) fn seconds(elapsed: Duration) -> String {
    format!("{:.2}s", elapsed.as_secs_f64())
}

fn pack(store: &Store, sources: &Sources, program: &Path) -> Result<Image, Failure> {
    let inside = format!("/app/{}", sources.service.name);
    let options = PackOptions {
        entries: vec![Entry {
            source: program.to_owned(),
            target: inside.clone(),
        }],
        ca_bundle: CA_BUNDLES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file()),
        entrypoint: vec![inside],
        ports: sources.service.ports.values().copied().collect(),
        working_directory: "/".to_owned(),
        labels: BTreeMap::from([
            (
                "org.opencontainers.image.title".to_owned(),
                sources.service.name.to_string(),
            ),
            (
                "org.opencontainers.image.vendor".to_owned(),
                sources.service.owner.clone(),
            ),
        ]),
        ..PackOptions::default()
    };
    let packed = foreshore_image::pack(store, &options).map_err(|error| {
        Failure::from_error(ExitCode::Failed, &error)
            .hint("does the build action leave its program where `output` says?")
    })?;
    Ok(packed.image)
}

fn record(
    sources: &Sources,
    source: Source,
    repository: &str,
    image: &Digest,
    reference: &str,
) -> Result<ArtifactRecord, Failure> {
    // What is not committed cannot be named by its commit: its content names it.
    let commit = if source.modified {
        format!(
            "m{}",
            &Digest::of(format!("{image}\n{}", sources.text).as_bytes()).hex()[..9]
        )
    } else {
        source.commit.clone()
    };
    let id = ArtifactId::from_parts(&source.branch, &commit, sources.plan.hash.hex());
    let manifests =
        foreshore_render::environments(&sources.plan, &sources.service, reference, id.as_str())
            .map_err(|error| sources.explain(&error))?;
    Ok(ArtifactRecord {
        id,
        service: sources.service.name.clone(),
        owner: sources.service.owner.clone(),
        source,
        plan: PlanStamp {
            name: sources.plan.file.name.clone(),
            hash: sources.plan.hash.clone(),
            commit: sources.plan.commit.clone(),
            reference: sources.service.plan.clone(),
        },
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        images: BTreeMap::from([(
            sources.service.name.to_string(),
            ImageStamp {
                repository: repository.to_owned(),
                digest: image.clone(),
            },
        )]),
        manifests,
        stages: Vec::new(),
        ci: None,
        checks: Vec::new(),
        definition: sources.text.clone(),
    })
}

pub(crate) fn registry_client(registry: &str, client: &Client) -> Result<RegistryClient, Failure> {
    let options = ClientOptions {
        credentials: Credentials::Bearer(client.token().to_owned()),
        ..ClientOptions::default()
    };
    RegistryClient::new(registry, options).map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            format!("cannot speak to registry `{registry}`: {}", chain(&error)),
        )
    })
}

fn push_failure(error: &foreshore_image::PushError, service: &ServiceName) -> Failure {
    let foreshore_image::PushError::Client { cause, .. } = error else {
        return Failure::from_error(ExitCode::Failed, error);
    };
    client_failure(error, cause, service)
}

/// Sorts what a registry said into the product's exit codes.
pub(crate) fn client_failure(
    error: &dyn std::error::Error,
    cause: &ClientError,
    service: &ServiceName,
) -> Failure {
    if cause.is_unreachable() {
        return Failure::from_error(ExitCode::Unreachable, error)
            .hint("is the registry running? `foreshore up` starts it");
    }
    if matches!(
        cause,
        ClientError::Unauthorized { .. } | ClientError::Forbidden { .. }
    ) {
        return Failure::from_error(ExitCode::Refused, error).hint(format!(
            "the token must be allowed to push: `foreshore token issue NAME --push {service}`"
        ));
    }
    Failure::from_error(ExitCode::Failed, error)
}

fn artifact_failure(error: &foreshore_artifact::PushError, service: &ServiceName) -> Failure {
    match error {
        foreshore_artifact::PushError::Conflict { .. } => {
            Failure::from_error(ExitCode::Conflict, error)
                .hint("commit what changed, so that the artifact gets an id of its own")
        }
        foreshore_artifact::PushError::Client { cause, .. } => {
            client_failure(error, cause, service)
        }
        foreshore_artifact::PushError::Image { .. } => Failure::from_error(ExitCode::Failed, error),
    }
}
