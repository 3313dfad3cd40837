//! Changes at the API server, 200 a second: pods whose message changes, and one that tells the time.

use std::time::Duration;

use foreshore_model::clock;
use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::ground::{NAMESPACE, send};

const PODS: usize = 100;
/// Of these each writes so often that all together change 200 times a second.
const WRITERS: usize = 20;
const EVERY: Duration = Duration::from_millis(100);
/// The marker is one of many, and few enough to be told apart.
const MARK_EVERY: Duration = Duration::from_millis(700);

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}/status")
}

/// Nobody runs these: what they say of themselves is what is written here.
async fn make(kube: &Client, name: &str) -> Result<(), Failure> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "app", "image": "app"}]},
    });
    send(
        kube,
        "POST",
        &format!("/api/v1/namespaces/{NAMESPACE}/pods"),
        &pod,
    )
    .await?;
    Ok(())
}

fn message(text: &str) -> Value {
    json!({"status": {"message": text}})
}

/// Writes until it is told to stop; returns how many changes a second there were.
pub(crate) async fn run(kube: Client, stop: CancellationToken) -> Result<f64, Failure> {
    make(&kube, "marker").await?;
    for number in 0..PODS {
        make(&kube, &format!("churn-{number}")).await?;
    }
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (kube, stop) = (kube.clone(), stop.clone());
        writers.spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut count = 0_u32;
            while !stop.is_cancelled() {
                ticks.tick().await;
                let name = format!("churn-{}", (writer + WRITERS * count as usize) % PODS);
                send(
                    &kube,
                    "PATCH",
                    &path(&name),
                    &message(&format!("change {count}")),
                )
                .await?;
                count += 1;
            }
            Ok::<_, Failure>(count)
        });
    }
    let marker = async {
        while !stop.is_cancelled() {
            let moment = format!("m{}", clock::now().as_millisecond());
            send(&kube, "PATCH", &path("marker"), &message(&moment)).await?;
            tokio::time::sleep(MARK_EVERY).await;
        }
        Ok::<_, Failure>(())
    };
    marker.await?;
    let mut sum = 0_u32;
    while let Some(count) = writers.join_next().await {
        sum += count??;
    }
    Ok(f64::from(sum) / began.elapsed().as_secs_f64())
}
