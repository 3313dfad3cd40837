//! From the wish for a pod to its run: one, fifty at once, and what each costs.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};

use super::Amount;
use super::numbers::{count, memory_mib, percentile, tell};
use super::stage::{LIMIT, Stage};

/// Pods of one round of single starts.
const SINGLE: usize = 10;
const AT_ONCE: usize = 50;

pub(crate) async fn measure(stage: &mut Stage, amount: Amount) -> Result<()> {
    let mut medians = Vec::new();
    for round in 0..amount.rounds {
        let mut taken = Vec::new();
        for number in 0..SINGLE {
            let names = [format!("single-{round}-{number}")];
            taken.push(until_running(stage, &names).await? * 1000.0);
        }
        medians.push(percentile(&mut taken, 0.5));
        stage.remove_pods().await?;
    }
    tell("pod: create to Running, p50", "ms", &medians);

    let (mut all, mut cost, mut shim_own, mut shim_all) = (vec![], vec![], vec![], vec![]);
    for round in 0..amount.rounds {
        let agent = stage.node()?;
        let before = memory_mib(agent, "status", "VmRSS:")?;
        let names: Vec<String> = (0..AT_ONCE).map(|n| format!("many-{round}-{n}")).collect();
        all.push(until_running(stage, &names).await?);
        let pods = stage.api::<Pod>().list(&ListParams::default()).await?;
        let (mut own, mut whole) = (0.0, 0.0);
        for pod in &pods.items {
            let (shim, _) = stage.processes(pod)?;
            own += memory_mib(shim, "smaps_rollup", "Pss:")?;
            whole += memory_mib(shim, "status", "VmRSS:")?;
        }
        let grown = (memory_mib(agent, "status", "VmRSS:")? - before).max(0.0);
        let number = count(pods.items.len());
        cost.push((own + grown) / number);
        shim_own.push(own / number);
        shim_all.push(whole / number);
        stage.remove_pods().await?;
    }
    tell("pods: fifty at once until all run", "s", &all);
    tell(
        "overhead per idle pod: shim's share and agent's growth",
        "MiB",
        &cost,
    );
    tell("shim: memory, shared pages by share", "MiB", &shim_own);
    tell("shim: memory, shared pages in full", "MiB", &shim_all);
    Ok(())
}

/// Creates pods at the same time; answers the seconds until the API says that
/// all of them run.
async fn until_running(stage: &Stage, names: &[String]) -> Result<f64> {
    let api: Api<Pod> = stage.api();
    let version = api.list(&ListParams::default()).await?.metadata;
    let version = version.resource_version.context("a list has a version")?;
    let events = api.watch(&WatchParams::default(), &version).await?;
    let mut events = std::pin::pin!(events);
    let mut missing: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let began = Instant::now();
    let created = names
        .iter()
        .map(|name| stage.create_pod(name, &["sleep"], |_| {}));
    let create = futures::future::try_join_all(created);
    let hear = async {
        while !missing.is_empty() {
            let event = events.try_next().await?.context("a watch goes on")?;
            let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = event else {
                bail!("{event:?}");
            };
            let runs = pod.status.and_then(|status| status.phase).as_deref() == Some("Running");
            if let (true, Some(name)) = (runs, &pod.metadata.name) {
                missing.remove(name.as_str());
            }
        }
        Ok(began.elapsed().as_secs_f64())
    };
    let both = async { tokio::try_join!(create, hear) };
    let (_, seconds) = tokio::time::timeout(LIMIT, both).await??;
    Ok(seconds)
}
