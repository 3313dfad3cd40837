//! The sample services of a checkout, built and released as a developer would.

use std::path::{Path, PathBuf};

use foreshore_action::{Input, Output};
use foreshore_model::api::{Info, TokenAnswer, TokenRequest};
use foreshore_model::{ExitCode, ReleaseFile};
use foreshore_server::credentials::{self, OWNER};

use super::run::environment;
use crate::build::{self, Evidence, Jailed, Sources, Surroundings, Target};
use crate::client::Client;
use crate::failure::Failure;
use crate::terminal::Terminal;
use crate::wait::Awaited;

/// The branch that dev follows; CI systems check out none.
const BRANCH: &str = "main";

/// Returns the root of the checkout we stand in, if it has samples.
pub(crate) fn checkout() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors()
        .find(|root| root.join("apps/web/foreshore.yaml").is_file())
        .map(Path::to_owned)
}

const SAMPLES: [&str; 2] = ["api", "web"];

/// Builds and releases every sample; what fails is said and does not stop the platform.
pub(crate) async fn release(root: PathBuf, data: PathBuf, server: String, terminal: Terminal) {
    for name in SAMPLES {
        if let Err(failure) =
            release_one(&root.join("apps").join(name), &data, &server, &terminal).await
        {
            terminal.warn(&format!(
                "sample {name} is not released: {}",
                failure.message
            ));
            for hint in failure.hints {
                terminal.say(&format!("hint: {hint}"));
            }
        }
    }
}

/// Builds and releases every sample, and returns what is to be awaited; the first that fails ends it.
pub(crate) async fn release_all(
    root: &Path,
    data: &Path,
    server: &str,
    terminal: &Terminal,
) -> Result<Vec<Awaited>, Failure> {
    let mut released = Vec::new();
    for name in SAMPLES {
        let built = release_one(&root.join("apps").join(name), data, server, terminal).await?;
        released.extend(built.into_iter().map(|release| Awaited {
            service: release.service,
            environment: release.environment,
            sequence: None,
        }));
    }
    Ok(released)
}

async fn release_one(
    directory: &Path,
    data: &Path,
    server: &str,
    terminal: &Terminal,
) -> Result<Vec<ReleaseFile>, Failure> {
    let sources = Sources::read(directory).await?;
    let owner = credentials::read(data, OWNER)
        .ok_or_else(|| Failure::new(ExitCode::Failed, "the owner's credential is not there"))?;
    let owner = Client::new(server, &owner.token)?;
    let source = sources.source(Some(BRANCH))?;
    terminal.say(&format!("building sample {}", sources.service.name));
    let surroundings = Surroundings {
        environment: environment(),
        output: Output::ToStderr,
        input: Input::None,
        jail: Jailed::No,
    };
    let (made, performed) = build::build(
        &sources,
        surroundings,
        terminal,
        foreshore_action::Stop::default(),
    )
    .await?;
    if performed.code() != 0 {
        return Err(Failure::new(
            ExitCode::Failed,
            format!("its build ended with code {}", performed.code()),
        ));
    }
    // As in CI: the token can push this service and nothing else.
    let request = TokenRequest {
        name: format!("ci-{}", sources.service.name),
        push: sources.service.name.clone(),
    };
    let token: TokenAnswer = owner.post("/tokens", &request).await?;
    let client = Client::new(server, &token.token)?;
    let info: Info = owner.get("/info").await?;
    let target = Target {
        registry: &info.registry,
        token: &token.token,
    };
    let made = (&made, Evidence::default());
    let prepared = build::prepare(&sources, source, made, &environment(), target, terminal).await?;
    let built = build::push(prepared, &client, &info.registry, terminal).await?;
    terminal.say(&format!(
        "sample {} is built: {}",
        sources.service.name, built.id
    ));
    Ok(built.arrival.released)
}
