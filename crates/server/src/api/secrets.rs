//! `/secrets/<environment>/<service>`: sealed values; the server cannot open them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extract};
use foreshore_config_repo::{Answer, Snapshot, sealed_file};
use foreshore_identity::Right;
use foreshore_model::api::{SealedSecrets, SecretChange, SecretRequest};
use foreshore_model::{Actor, EnvironmentName, ExitCode, SecretName, ServiceName, clock};
use foreshore_release::{Commit, Decision, Step, TRAILER_KEY};

use super::body::Body;
use super::submit::{key_used_before, submit};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

/// Whom to seal for, and what is there.
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path((environment, service)): Path<(EnvironmentName, ServiceName)>,
) -> Result<Json<SealedSecrets>, Problem> {
    caller.must(&Right::Read, "list secrets")?;
    let snapshot = state.writer.current().snapshot;
    let recipients = recipients(&snapshot, &environment)?;
    let sealed = tokio::task::spawn_blocking(move || snapshot.sealed(&environment, &service))
        .await
        .expect("reading the config repository does not panic")
        .map_err(|error| Problem::internal("cannot read the config repository", &error))?;
    Ok(Json(SealedSecrets {
        recipients,
        names: sealed.into_keys().collect(),
    }))
}

pub(crate) async fn put(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path((environment, service, name)): Path<(EnvironmentName, ServiceName, SecretName)>,
    Body(request): Body<SecretRequest>,
) -> Result<Json<SecretChange>, Problem> {
    caller.must(&Right::Release, "store secrets")?;
    if !foreshore_secret::is_sealed(&request.sealed) {
        return Err(Problem::new(
            ExitCode::Usage,
            "not-sealed",
            "the value is not sealed; the server takes no plain values",
        )
        .hint("`foreshore secret set` seals it before it is sent"));
    }
    recipients(&state.writer.current().snapshot, &environment)?;
    let subject = format!("store secret {name} of {service} in {environment}");
    let step = Step::Write {
        path: sealed_file(&environment, &service, name.as_str()),
        text: request.sealed,
    };
    commit(&state, step, subject, caller.0.actor, request.reason).await
}

pub(crate) async fn delete(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path((environment, service, name)): Path<(EnvironmentName, ServiceName, SecretName)>,
) -> Result<Json<SecretChange>, Problem> {
    caller.must(&Right::Release, "remove secrets")?;
    let snapshot = state.writer.current().snapshot;
    let place = (environment.clone(), service.clone());
    let sealed = tokio::task::spawn_blocking(move || snapshot.sealed(&place.0, &place.1))
        .await
        .expect("reading the config repository does not panic")
        .map_err(|error| Problem::internal("cannot read the config repository", &error))?;
    if !sealed.contains_key(name.as_str()) {
        return Err(Problem::new(
            ExitCode::NotFound,
            "not-found",
            format!("`{service}` has no secret `{name}` in `{environment}`"),
        ));
    }
    let subject = format!("remove secret {name} of {service} in {environment}");
    let step = Step::Remove {
        path: sealed_file(&environment, &service, name.as_str()),
    };
    commit(&state, step, subject, caller.0.actor, String::new()).await
}

/// Whom values of an environment are sealed for.
fn recipients(snapshot: &Snapshot, environment: &EnvironmentName) -> Result<Vec<String>, Problem> {
    let found = snapshot.environment(environment).map_err(|_| {
        Problem::new(
            ExitCode::NotFound,
            "not-found",
            format!("there is no environment `{environment}`"),
        )
    })?;
    Ok(found.recipients)
}

async fn commit(
    state: &State,
    step: Step,
    subject: String,
    actor: Actor,
    reason: String,
) -> Result<Json<SecretChange>, Problem> {
    // Storing a value twice is two changes, so every call has a key of its own.
    let key = format!("{subject}/{}", clock::now().as_nanosecond());
    let made = Commit {
        steps: vec![step],
        trailers: vec![
            ("Actor", actor.to_string()),
            ("Reason", reason),
            (TRAILER_KEY, key.clone()),
        ],
        actor,
        subject,
        release: None,
        hold: None,
        closes: Vec::new(),
    };
    match submit(state, key, move |_, _| {
        Ok(Decision::Commit(Box::new(made.clone())))
    })
    .await?
    {
        Answer::Committed {
            commit, subject, ..
        } => Ok(Json(SecretChange { commit, subject })),
        _ => Err(key_used_before()),
    }
}
