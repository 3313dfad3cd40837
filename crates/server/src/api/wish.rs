//! What a caller asks for, as something that can be decided.

use foreshore_model::api::Selection;
use foreshore_model::{Actor, EnvironmentName, ServiceName};
use foreshore_release::{Wish, World, select};

use crate::problem::Problem;
use crate::state::State;

/// An artifact for an environment, however it is named.
pub(crate) struct Asked<'a> {
    pub(crate) service: &'a ServiceName,
    pub(crate) environment: &'a EnvironmentName,
    pub(crate) selection: &'a Selection,
    /// Back to an earlier artifact.
    pub(crate) rollback: bool,
}

/// Finds the artifact; reason, key and hold are the caller's to add.
pub(crate) async fn wish(
    state: &State,
    world: &World,
    actor: &Actor,
    asked: Asked<'_>,
) -> Result<Wish, Problem> {
    let Asked {
        service,
        environment,
        selection,
        rollback,
    } = asked;
    let selected = select(world, service, environment, selection, rollback)?;
    let (artifact, intent) = state.artifacts.find(service, selected).await?;
    Ok(Wish {
        service: service.clone(),
        environment: environment.clone(),
        artifact,
        intent,
        actor: actor.clone(),
        reason: String::new(),
        key: String::new(),
        expected: None,
        hold: false,
    })
}
