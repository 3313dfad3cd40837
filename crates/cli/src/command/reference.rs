//! `foreshore reference`: the page of all commands, and `own-image`: this program as an image.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use foreshore_image::{PackOptions, Reference, Store};
use foreshore_model::ExitCode;
use foreshore_model::api::Info;

use crate::build::{cache, own_program, registry_client};
use crate::context::Context;
use crate::failure::Failure;
use crate::reference;
use crate::terminal::Outcome;

/// Where the images of this program are in a registry.
const REPOSITORY: &str = "foreshore";

/// Print the reference of all commands
#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {}

pub(crate) fn run(_: &ReferenceArgs) -> Result<Outcome, Failure> {
    let page = reference::page();
    Outcome::answer(&page, page.as_str())
}

/// Pack this program into an image and push it to the server's registry
///
/// Answers with the image's name by digest, as `foreshore install --image`
/// takes it. Nothing else is needed: no Docker, no base image.
#[derive(Debug, Args)]
pub(crate) struct OwnImageArgs {}

pub(crate) async fn own_image(_: &OwnImageArgs, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    let info: Info = client.get("/info").await?;
    let failed = |error: &dyn std::error::Error| Failure::from_error(ExitCode::Failed, error);
    let store =
        Store::open(&Path::new(&cache()?).join("images")).map_err(|error| failed(&error))?;
    let entries = own_program().map_err(|error| failed(&error))?;
    let options = PackOptions {
        entries,
        entrypoint: vec!["/foreshore".to_owned()],
        working_directory: "/".to_owned(),
        labels: BTreeMap::from([(
            "org.opencontainers.image.version".to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        )]),
        ..PackOptions::default()
    };
    let image = foreshore_image::pack(&store, &options)
        .map_err(|error| failed(&error))?
        .image;
    let registry = registry_client(&info.registry, &client)?;
    store
        .push(&image, &registry, REPOSITORY, None)
        .await
        .map_err(|error| failed(&error))?;
    let name = Reference::by_digest(&info.registry, REPOSITORY, image.digest)
        .map_err(|error| failed(&error))?
        .to_string();
    Outcome::answer(&name, name.clone())
}
