//! The steps of a build, each with how long it took.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use foreshore_action::{ActionError, Input, Output, Stop};
use foreshore_artifact::Pushed;
use foreshore_image::{
    ClientError, ClientOptions, Credentials, Image, Reference, RegistryClient, Store,
};
use foreshore_model::api::{ArrivalAnswer, ArrivalRequest};
use foreshore_model::artifact::{ImageStamp, PlanStamp, Source};
use foreshore_model::{ArtifactId, ArtifactRecord, Digest, ExitCode, OWN_REGISTRY, ServiceName};
use serde::Serialize;

use super::evidence::Evidence;
use super::image::{Made, Maker};
use super::perform::{Performed, Surroundings, perform};
use super::sources::Sources;
use crate::client::Client;
use crate::failure::{Failure, chain};
use crate::terminal::Terminal;

/// What a build left in the registry.
#[derive(Debug, Serialize)]
pub(crate) struct Built {
    pub(crate) id: ArtifactId,
    pub(crate) digest: Digest,
    /// Reference of the image; none for a service that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    /// The same was in the registry already.
    pub(crate) reused: bool,
    #[serde(flatten)]
    pub(crate) arrival: ArrivalAnswer,
}

/// An artifact that is complete on this machine.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) record: ArtifactRecord,
    pub(crate) digest: Digest,
    pub(crate) reference: Option<String>,
    image: Option<Image>,
    store: Store,
}

/// Runs the plan's build action, if there is one, and says what an image is to be made of.
pub(crate) async fn build(
    sources: &Sources,
    surroundings: Surroundings,
    terminal: &Terminal,
    stop: Stop,
) -> Result<(Made, Performed), Failure> {
    // A check that cannot run after a rollout is told before anything is built.
    sources.checks()?;
    if !sources.plan.file.actions.contains_key("build") {
        return Ok((Made::of(sources, None)?, Performed::nothing()));
    }
    let surroundings = Surroundings {
        output: Output::ToStderr,
        input: Input::None,
        ..surroundings
    };
    let performed = perform(sources, "build", &[], surroundings, terminal, stop).await?;
    let made = Made::of(sources, performed.output.as_deref())?;
    Ok((made, performed))
}

pub(crate) fn action_failure(error: &ActionError) -> Failure {
    match error {
        ActionError::Interrupted { .. } => Failure::from_error(ExitCode::Interrupted, error),
        ActionError::NoProgram { program } => Failure::from_error(ExitCode::Usage, error)
            .hint(format!("install `{program}`, or set PATH")),
        _ => Failure::from_error(ExitCode::Failed, error),
    }
}

/// Who a build is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// `host:port` where images are pulled from and people find them.
    pub(crate) registry: &'a str,
    /// What the registry is shown.
    pub(crate) token: &'a str,
}

/// Makes the image and renders the manifests of every environment; nothing is pushed.
pub(crate) async fn prepare(
    sources: &Sources,
    source: Source,
    (made, evidence): (&Made, Evidence),
    environment: &BTreeMap<String, String>,
    target: Target<'_>,
    terminal: &Terminal,
) -> Result<Prepared, Failure> {
    let images = Path::new(&sources.host.cache).join("images");
    let store =
        Store::open(&images).map_err(|error| Failure::from_error(ExitCode::Failed, &error))?;
    let clock = Instant::now();
    let maker = Maker {
        sources,
        store: &store,
        environment,
        registry: (target.registry, target.token),
        terminal,
    };
    let image = maker.make(made, Stop::default()).await?;
    let repository = sources.service.name.to_string();
    let named = |registry: &str| {
        image
            .as_ref()
            .map(|image| Reference::by_digest(registry, &repository, image.digest.clone()))
            .transpose()
            .map(|reference| reference.map(|reference| reference.to_string()))
            .map_err(|error| {
                Failure::from_error(ExitCode::Usage, &error)
                    .hint("the server names the registry; see `foreshore up`")
            })
    };
    let reference = named(target.registry)?;
    // What is pushed says nothing of where it is pushed to: it is the same everywhere.
    let rendered = named(OWN_REGISTRY)?;
    let digest = image.as_ref().map(|image| &image.digest);
    let record = record(
        sources,
        source,
        evidence,
        (&repository, digest),
        rendered.as_deref(),
    )?;
    terminal.say(&format!("packed in {}", seconds(clock.elapsed())));
    Ok(Prepared {
        digest: foreshore_artifact::document(&record).digest,
        record,
        reference,
        image,
        store,
    })
}

/// Pushes image and artifact, and lets policies act.
pub(crate) async fn push(
    prepared: Prepared,
    client: &Client,
    registry: &str,
    terminal: &Terminal,
) -> Result<Built, Failure> {
    let service = prepared.record.service.clone();
    let registry = registry_client(registry, client)?;
    let clock = Instant::now();
    if let Some(image) = &prepared.image {
        prepared
            .store
            .push(image, &registry, service.as_str(), None)
            .await
            .map_err(|error| push_failure(&error, &service))?;
    }
    let pushed = foreshore_artifact::push(&registry, &prepared.record)
        .await
        .map_err(|error| artifact_failure(&error, &service))?;
    terminal.say(&format!("pushed in {}", seconds(clock.elapsed())));
    let reused = matches!(pushed, Pushed::AlreadyThere { .. });
    arrive(
        (prepared.record.id, pushed.digest().clone()),
        service,
        (prepared.reference, reused),
        client,
    )
    .await
}

/// Returns the artifact if the registry has it: the same source and plan are not built twice.
pub(crate) async fn built_before(
    sources: &Sources,
    source: &Source,
    client: &Client,
    registry: &str,
) -> Result<Option<Built>, Failure> {
    // What is not committed may have changed since.
    if source.modified {
        return Ok(None);
    }
    let service = &sources.service.name;
    let id = ArtifactId::from_parts(&source.branch, &source.commit, sources.plan.hash.hex());
    let registry_client = registry_client(registry, client)?;
    let fetched = match foreshore_artifact::fetch(&registry_client, service, id.as_str()).await {
        Ok(fetched) => fetched,
        Err(foreshore_artifact::FetchError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(fetch_failure(&error, service)),
    };
    let image = fetched
        .record
        .images
        .values()
        .next()
        .map(|image| format!("{registry}/{}@{}", image.repository, image.digest));
    let built = arrive((id, fetched.digest), service.clone(), (image, true), client);
    built.await.map(Some)
}

async fn arrive(
    (id, digest): (ArtifactId, Digest),
    service: ServiceName,
    (image, reused): (Option<String>, bool),
    client: &Client,
) -> Result<Built, Failure> {
    let request = ArrivalRequest {
        service,
        digest: digest.clone(),
    };
    let arrival: ArrivalAnswer = client.post("/arrivals", &request).await?;
    Ok(Built {
        id,
        digest,
        image,
        reused,
        arrival,
    })
}

pub(crate) fn seconds(elapsed: Duration) -> String {
    format!("{:.2}s", elapsed.as_secs_f64())
}

fn record(
    sources: &Sources,
    source: Source,
    evidence: Evidence,
    (repository, image): (&str, Option<&Digest>),
    reference: Option<&str>,
) -> Result<ArtifactRecord, Failure> {
    // What is not committed cannot be named by its commit: its content names it.
    let commit = if source.modified {
        let image = image.map_or("none", Digest::as_str);
        format!(
            "m{}",
            &Digest::of(format!("{image}\n{}", sources.text).as_bytes()).hex()[..9]
        )
    } else {
        source.commit.clone()
    };
    let id = ArtifactId::from_parts(&source.branch, &commit, sources.plan.hash.hex());
    let manifests = foreshore_render::environments(
        &sources.plan,
        &sources.service,
        reference.unwrap_or_default(),
        id.as_str(),
    )
    .map_err(|error| sources.explain(&error))?;
    let images = image.map(|digest| {
        let stamp = ImageStamp {
            repository: repository.to_owned(),
            digest: digest.clone(),
        };
        (sources.service.name.to_string(), stamp)
    });
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
        images: images.into_iter().collect(),
        manifests,
        stages: evidence.stages,
        ci: evidence.ci,
        checks: sources.checks()?,
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

pub(crate) fn fetch_failure(
    error: &foreshore_artifact::FetchError,
    service: &ServiceName,
) -> Failure {
    match error {
        foreshore_artifact::FetchError::NotFound { .. } => {
            Failure::from_error(ExitCode::NotFound, error).hint(format!(
                "`foreshore artifact list {service}` shows what there is"
            ))
        }
        foreshore_artifact::FetchError::Client { cause, .. }
        | foreshore_artifact::FetchError::List { cause, .. } => {
            client_failure(error, cause, service)
        }
        _ => Failure::from_error(ExitCode::Failed, error),
    }
}
