//! From the violent end of a container to the next answer of its service.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Amount;
use super::callers::{self, Wish};
use super::numbers::tell;
use super::stage::{LIMIT, PORT, Stage};

pub(crate) async fn measure(stage: &Stage, amount: Amount) -> Result<()> {
    let probe = json!({ "httpGet": { "path": "/", "port": PORT }, "periodSeconds": 1 });
    for (kind, probe) in [
        ("without a probe", None),
        ("with a readiness probe", Some(probe)),
    ] {
        let app = if probe.is_some() { "probed" } else { "plain" };
        let host = format!("{app}.local");
        stage.open(app, &host).await?;
        let mut rounds = Vec::new();
        for round in 0..amount.rounds {
            // A new pod each time: one that ended before would back off.
            let name = format!("{app}-{round}");
            let change = |pod: &mut Value| {
                pod["metadata"]["labels"] = json!({ "app": app });
                if let Some(probe) = &probe {
                    pod["spec"]["containers"][0]["readinessProbe"] = probe.clone();
                }
            };
            stage.create_pod(&name, &["web", &name], change).await?;
            let pod = stage.until_ready(&name).await?;
            until_served(stage, &host).await?;
            let (_, container) = stage.processes(&pod)?;
            let pid = Pid::from_raw(i32::try_from(container)?).context("a container has an id")?;
            kill_process(pid, Signal::KILL)?;
            let began = Instant::now();
            until_served(stage, &host).await?;
            rounds.push(began.elapsed().as_secs_f64());
            stage.remove_pods().await?;
        }
        tell(
            &format!("container killed, to serving again, {kind}"),
            "s",
            &rounds,
        );
    }
    Ok(())
}

/// Asks through the ingress, over and over, until there is a good answer.
pub(crate) async fn until_served(stage: &Stage, host: &str) -> Result<()> {
    let began = Instant::now();
    let wish = Wish {
        address: stage.ingress,
        host: host.to_owned(),
        per_second: 1,
        connections: 1,
    };
    while began.elapsed() < LIMIT {
        if callers::ask(&wish, &mut None).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bail!("`{host}` was not served within {LIMIT:?}")
}
