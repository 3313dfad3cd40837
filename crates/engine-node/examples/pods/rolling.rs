//! Updates of a replicated service while people call it through the ingress.

use anyhow::{Context as _, Result};
use foreshore_testkit::wait;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::Amount;
use super::callers::{Callers, Wish};
use super::numbers::{count, tell};
use super::restart::until_served;
use super::stage::{LIMIT, PORT, Stage};

const NAME: &str = "shop";

pub(crate) async fn measure(stage: &Stage, amount: Amount) -> Result<()> {
    let mut spec = stage.pod_spec(&["web", NAME]);
    spec["containers"][0]["env"] = json!([{ "name": "REVISION", "value": "0" }]);
    spec["containers"][0]["readinessProbe"] =
        json!({ "httpGet": { "path": "/", "port": PORT }, "periodSeconds": 1 });
    let object = json!({
        "metadata": { "name": NAME },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "app": NAME } },
            "template": { "metadata": { "labels": { "app": NAME } }, "spec": spec },
        },
    });
    stage.create::<Deployment>(object).await?;
    let host = format!("{NAME}.local");
    stage.open(NAME, &host).await?;
    until_rolled_out(stage).await?;
    until_served(stage, &host).await?;
    let callers = Callers::start(&Wish {
        address: stage.ingress,
        host,
        per_second: amount.per_second,
        connections: 16,
    });
    let api: Api<Deployment> = stage.api();
    for revision in 1..=amount.updates {
        let variable = json!([{ "name": "REVISION", "value": revision.to_string() }]);
        let container = json!({ "name": "main", "env": variable });
        let patch = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
        api.patch(NAME, &PatchParams::default(), &Patch::Strategic(patch))
            .await?;
        until_rolled_out(stage).await?;
    }
    let tally = callers.stop().await;
    for words in &tally.words {
        foreshore_testkit::environment::say(words);
    }
    let updates = amount.updates;
    tell(
        &format!("failed requests in {updates} updates"),
        "requests",
        &[count(tally.failed)],
    );
    tell(
        &format!("answered requests in {updates} updates"),
        "requests",
        &[count(tally.answered)],
    );
    tell(
        "slowest request of the updates",
        "s",
        &[tally.slowest.as_secs_f64()],
    );
    api.delete(NAME, &DeleteParams::foreground()).await?;
    Ok(())
}

async fn until_rolled_out(stage: &Stage) -> Result<()> {
    let api: Api<Deployment> = stage.api();
    wait::until("the update to be through", LIMIT, || async {
        let Ok(found) = api.get(NAME).await else {
            return false;
        };
        let status = found.status.unwrap_or_default();
        status.observed_generation == found.metadata.generation
            && [
                status.updated_replicas,
                status.available_replicas,
                status.replicas,
            ]
            .iter()
            .all(|number| *number == Some(3))
    })
    .await
    .context("cannot update")
}
