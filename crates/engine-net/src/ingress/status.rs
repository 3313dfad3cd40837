//! Writes where an Ingress is reached, and warns of what is not done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use foreshore_model::clock;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tracing::{debug, warn};

use crate::service::ServiceName;
use crate::view::{View, Views};

/// Wait before writes are tried again that the API refused.
const RETRY: Duration = Duration::from_secs(5);
const COMPONENT: &str = "foreshore-ingress";

/// Keeps the status of every served Ingress true, for ever.
pub(crate) async fn run(client: Client, mut views: Views) {
    let mut written: BTreeSet<ServiceName> = BTreeSet::new();
    let mut warned: BTreeSet<(ServiceName, String)> = BTreeSet::new();
    loop {
        let view = views.borrow_and_update().clone();
        let complete = match view {
            Some(view) => {
                written.retain(|name| view.routes.served.contains(name));
                write_all(&client, &view, &mut written).await
                    && warn_all(&client, &view, &mut warned).await
            }
            None => true,
        };
        let changed = if complete {
            views.changed().await
        } else {
            tokio::time::timeout(RETRY, views.changed())
                .await
                .unwrap_or(Ok(()))
        };
        if changed.is_err() {
            return;
        }
    }
}

async fn write_all(client: &Client, view: &Arc<View>, written: &mut BTreeSet<ServiceName>) -> bool {
    let mut complete = true;
    for name in &view.routes.served {
        if written.contains(name) {
            continue;
        }
        let api: Api<Ingress> = Api::namespaced(client.clone(), &name.0);
        let status = json!({"status": {"loadBalancer": {"ingress": [
            {"ip": "127.0.0.1", "hostname": "localhost"},
        ]}}});
        match api
            .patch_status(&name.1, &PatchParams::default(), &Patch::Merge(&status))
            .await
        {
            Ok(_) => {
                written.insert(name.clone());
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    ?name,
                    "ingress status was not written; will retry"
                );
                complete = false;
            }
        }
    }
    complete
}

async fn warn_all(
    client: &Client,
    view: &Arc<View>,
    warned: &mut BTreeSet<(ServiceName, String)>,
) -> bool {
    let mut complete = true;
    for (name, whats) in &view.routes.unsupported {
        for what in whats {
            let key = (name.clone(), what.clone());
            if warned.contains(&key) {
                continue;
            }
            warn!(?name, what, "ingress asks for something that is not done");
            match tell(client, name, what).await {
                Ok(()) => {
                    warned.insert(key);
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    debug!(
                        error = &error as &dyn std::error::Error,
                        "event was not recorded; will retry"
                    );
                    complete = false;
                }
            }
        }
    }
    complete
}

async fn tell(client: &Client, name: &ServiceName, what: &str) -> kube::Result<()> {
    let ingress = Api::<Ingress>::namespaced(client.clone(), &name.0)
        .get(&name.1)
        .await?;
    let now = Time(clock::now());
    let event = Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}.", name.1)),
            namespace: Some(name.0.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("networking.k8s.io/v1".to_owned()),
            kind: Some("Ingress".to_owned()),
            name: Some(ingress.name_any()),
            namespace: ingress.namespace(),
            uid: ingress.uid(),
            ..ObjectReference::default()
        },
        type_: Some("Warning".to_owned()),
        reason: Some("NotSupported".to_owned()),
        message: Some(format!("not supported by this ingress: {what}")),
        source: Some(EventSource {
            component: Some(COMPONENT.to_owned()),
            host: None,
        }),
        reporting_component: Some(COMPONENT.to_owned()),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        count: Some(1),
        ..Event::default()
    };
    Api::<Event>::namespaced(client.clone(), &name.0)
        .create(&PostParams::default(), &event)
        .await?;
    Ok(())
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
