//! Fetches the objects that environments and volumes are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

use crate::pod::environment::Sources;
use crate::pod::fields;
use crate::pod::volumes::{TokenWish, Wishes};

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

async fn ask<T>(
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
) -> Result<(Sources, BTreeMap<TokenWish, String>), SourceError> {
    let config_maps = wishes.config_maps.iter().cloned().collect();
    let secrets = wishes.secrets.iter().cloned().collect();
    let sources = named(client, pod, &config_maps, &secrets).await?;
    let mut tokens = BTreeMap::new();
    for wish in &wishes.tokens {
        tokens.insert(wish.clone(), token(client, pod, wish).await?);
    }
    Ok((sources, tokens))
}

async fn token(client: &Client, pod: &Pod, wish: &TokenWish) -> Result<String, SourceError> {
    let account = fields::spec(pod)
        .service_account_name
        .as_deref()
        .unwrap_or("default");
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(wish.audience.iter().cloned().collect()),
            expiration_seconds: Some(wish.seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
        }),
        ..TokenRequest::default()
    };
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), fields::namespace(pod));
    let what = format!("a token for service account `{account}`");
    let answer = ask(
        what,
        api.create_token_request(account, &PostParams::default(), &request),
    )
    .await?;
    answer
        .status
        .and_then(|status| status.token)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| SourceError::NoToken(account.to_owned()))
}
