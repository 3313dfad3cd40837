//! `foreshore artifact`: what was built, and building it.

mod describe;

use clap::{Args, Subcommand};
use foreshore_artifact::PublicKey;
use foreshore_image::ClientError;
use foreshore_model::api::{ArtifactSummary, Info};
use foreshore_model::{ArtifactId, ArtifactRecord, ExitCode, ServiceName};
use serde::Serialize;

use self::describe::{describe, list};
use super::build_args::{BuildArgs, prepare, run_actions};
use super::get::ProjectArgs;
use super::run::words;
use crate::build::{self, Sources, Target, client_failure, fetch_failure, registry_client};
use crate::context::Context;
use crate::failure::Failure;
use crate::project::Project;
use crate::terminal::Outcome;
use crate::wait::path_segment;

/// Build, push, list, describe and verify artifacts
#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactCommand {
    /// Build image and manifests on this machine; nothing is pushed
    Build {
        #[command(flatten)]
        project: ProjectArgs,

        #[command(flatten)]
        build: BuildArgs,

        /// Registry that image references name, `host:port`; the server's, if not given
        #[arg(long, value_name = "HOST")]
        registry: Option<String>,
    },
    /// Build and push; the same source and plan are not built twice
    Push {
        #[command(flatten)]
        project: ProjectArgs,

        #[command(flatten)]
        build: BuildArgs,
    },
    /// List the artifacts of a service, the newest first
    List {
        /// Service
        service: ServiceName,

        /// Only those of this branch
        #[arg(short, long, value_name = "NAME")]
        branch: Option<String>,
    },
    /// Show what an artifact holds and where it came from
    Describe {
        /// Service
        service: ServiceName,

        /// Artifact
        id: ArtifactId,
    },
    /// Check every byte of an artifact, its images, and who signed it
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Service
    service: ServiceName,

    /// Artifact
    id: ArtifactId,

    /// Public key that must have signed it (`ed25519:…`); the server's own, if not given
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// What an artifact was found to be.
#[derive(Debug, Serialize)]
struct Verified {
    id: ArtifactId,
    digest: foreshore_model::Digest,
    /// Images that are in the registry as the artifact names them.
    images: Vec<String>,
    signed_by: String,
}

/// What a build left on this machine.
#[derive(Debug, Serialize)]
struct OnThisMachine<'a> {
    digest: &'a foreshore_model::Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: &'a Option<String>,
    #[serde(flatten)]
    record: &'a ArtifactRecord,
}

pub(crate) async fn run(command: ArtifactCommand, context: &Context) -> Result<Outcome, Failure> {
    match command {
        ArtifactCommand::Build {
            project,
            build,
            registry,
        } => build_here(&project, &build, registry, context).await,
        ArtifactCommand::Push { project, build } => push(&project, &build, context).await,
        ArtifactCommand::List { service, branch } => {
            let branch = branch.map_or_else(String::new, |branch| {
                format!("&branch={}", path_segment(&branch))
            });
            let artifacts: Vec<ArtifactSummary> = context
                .client()?
                .get(&format!("/artifacts?service={service}{branch}"))
                .await?;
            Outcome::answer(&artifacts, list(&service, &artifacts))
        }
        ArtifactCommand::Describe { service, id } => {
            let path = format!("/artifacts/{service}/{id}");
            let record: ArtifactRecord = context.client()?.get(&path).await?;
            Outcome::answer(&record, describe(&record))
        }
        ArtifactCommand::Verify(args) => verify(&args, context).await,
    }
}

async fn read(project: &ProjectArgs) -> Result<Sources, Failure> {
    let found = Project::read(project.directory.as_deref())?;
    Sources::overloaded(&found.directory, project.plan.as_deref()).await
}

async fn build_here(
    project: &ProjectArgs,
    args: &BuildArgs,
    registry: Option<String>,
    context: &Context,
) -> Result<Outcome, Failure> {
    let sources = read(project).await?;
    let source = sources.source(args.branch.as_deref())?;
    let (registry, token) = if let Some(registry) = registry {
        (registry, String::new())
    } else {
        let client = context.client()?;
        let info: Info = client.get("/info").await?;
        (info.registry, client.token().to_owned())
    };
    let ran = run_actions(&sources, args, context).await?;
    let Some(made) = ran.made else {
        return Ok(Outcome::with_status(ran.code));
    };
    let target = Target {
        registry: &registry,
        token: &token,
    };
    let prepared = prepare(&sources, source, made, target, context).await?;
    let answer = OnThisMachine {
        digest: &prepared.digest,
        image: &prepared.reference,
        record: &prepared.record,
    };
    let text = format!(
        "{}\ndigest     {}",
        describe(&prepared.record),
        prepared.digest
    );
    Outcome::answer(&answer, text)
}

async fn push(
    project: &ProjectArgs,
    args: &BuildArgs,
    context: &Context,
) -> Result<Outcome, Failure> {
    let sources = read(project).await?;
    let source = sources.source(args.branch.as_deref())?;
    let client = context.client()?;
    let info: Info = client.get("/info").await?;
    let before = build::built_before(&sources, &source, &client, &info.registry).await?;
    let built = if let Some(built) = before {
        built
    } else {
        let ran = run_actions(&sources, args, context).await?;
        let Some(made) = ran.made else {
            return Ok(Outcome::with_status(ran.code));
        };
        let target = Target {
            registry: &info.registry,
            token: client.token(),
        };
        let prepared = prepare(&sources, source, made, target, context).await?;
        build::push(prepared, &client, &info.registry, &context.terminal).await?
    };
    context.terminal.say(&words(&built));
    Outcome::answer(&built, built.id.to_string())
}

async fn verify(args: &VerifyArgs, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    let info: Info = client.get("/info").await?;
    let key = public_key(args, &info)?;
    let registry = registry_client(&info.registry, &client)?;
    let service = &args.service;
    let fetched = foreshore_artifact::fetch(&registry, service, args.id.as_str())
        .await
        .map_err(|error| fetch_failure(&error, service))?;
    let mut images = Vec::new();
    for image in fetched.record.images.values() {
        let name = format!("{}@{}", image.repository, image.digest);
        match registry
            .manifest(&image.repository, image.digest.as_str())
            .await
        {
            Ok(_) => images.push(name),
            Err(ClientError::NotFound { .. }) => {
                return Err(Failure::new(
                    ExitCode::Failed,
                    format!(
                        "image `{name}` of artifact `{}` is not in the registry",
                        args.id
                    ),
                ));
            }
            Err(error) => return Err(client_failure(&error, &error, service)),
        }
    }
    foreshore_artifact::verify(&registry, service, &fetched.digest, &key)
        .await
        .map_err(|error| Failure::from_error(ExitCode::Failed, &error))?;
    let verified = Verified {
        id: fetched.record.id,
        digest: fetched.digest,
        images,
        signed_by: key.to_string(),
    };
    let text = format!(
        "{} is whole and signed by {}",
        verified.id, verified.signed_by
    );
    Outcome::answer(&verified, text)
}

fn public_key(args: &VerifyArgs, info: &Info) -> Result<PublicKey, Failure> {
    let text = args.key.as_ref().or(info.signing_key.as_ref());
    let text = text.ok_or_else(|| {
        Failure::usage("the server names no key that artifacts are signed with")
            .hint("give the key that you trust: --key ed25519:…")
    })?;
    text.parse()
        .map_err(|error| Failure::from_error(ExitCode::Usage, &error))
}
