//! Fetches the objects that environments and volumes are made from.

mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use kube::api::ListParams;
use kube::{Api, Client};

use crate::pod::environment::Sources;
use crate::pod::fields;
use crate::pod::volumes::{TokenWish, Wishes};

pub(crate) use tokens::Tokens;

/// How long the API may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("cannot get {what} from the API")]
    Api {
        what: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("the API did not give {what} within {LIMIT:?}")]
    Slow { what: String },
    #[error("the API gave no token for service account `{0}`")]
    NoToken(String),
}

pub(crate) async fn ask<T>(
    what: String,
    question: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, SourceError> {
    match tokio::time::timeout(LIMIT, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(SourceError::Api {
            what,
            source: Box::new(source),
        }),
        Err(_elapsed) => Err(SourceError::Slow { what }),
    }
}

/// Fetches what is named, as far as it exists.
pub(crate) async fn named(
    client: &Client,
    pod: &Pod,
    config_maps: &BTreeSet<String>,
    secrets: &BTreeSet<String>,
) -> Result<Sources, SourceError> {
    let namespace = fields::namespace(pod);
    let mut sources = Sources::default();
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    for name in config_maps {
        if let Some(found) = ask(format!("config map `{name}`"), api.get_opt(name)).await? {
            sources.config_maps.insert(name.clone(), found);
        }
    }
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    for name in secrets {
        if let Some(found) = ask(format!("secret `{name}`"), api.get_opt(name)).await? {
            sources.secrets.insert(name.clone(), found);
        }
    }
    Ok(sources)
}

/// Adds the services that containers learn of through their environment.
pub(crate) async fn add_services(
    client: &Client,
    pod: &Pod,
    sources: &mut Sources,
) -> Result<(), SourceError> {
    if fields::spec(pod).enable_service_links != Some(false) {
        let api: Api<Service> = Api::namespaced(client.clone(), fields::namespace(pod));
        sources.services = ask("services".to_owned(), api.list(&ListParams::default()))
            .await?
            .items;
    }
    let api: Api<Service> = Api::namespaced(client.clone(), "default");
    sources.api = ask("service `kubernetes`".to_owned(), api.get_opt("kubernetes")).await?;
    Ok(())
}

/// Fetches what a pod's volumes are made from.
pub(crate) async fn for_volumes(
    client: &Client,
    pod: &Pod,
    wishes: &Wishes,
    tokens: &tokio::sync::Mutex<Tokens>,
    now: jiff::Timestamp,
) -> Result<(Sources, BTreeMap<TokenWish, String>), SourceError> {
    let config_maps = wishes.config_maps.iter().cloned().collect();
    let secrets = wishes.secrets.iter().cloned().collect();
    let sources = named(client, pod, &config_maps, &secrets).await?;
    let mut tokens = tokens.lock().await;
    let tokens = tokens.get(client, pod, &wishes.tokens, now).await?;
    Ok((sources, tokens))
}
