//! Measures a watch with many watchers: `watchers KUBECONFIG COUNT STOPPED`.
//!
//! Writes twenty objects of 1 KiB a second and prints, in milliseconds, the
//! 99th percentile of the time from the write being sent until a watcher has
//! read its event. Each watcher has a connection of its own. An event that is
//! skipped, repeated or out of order is an error. STOPPED further watchers
//! open their watch and never read.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Config,
    api::PostParams,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{
    sync::{Barrier, Semaphore, oneshot},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

const WRITES: usize = 300;
/// Twenty a second.
const PAUSE: Duration = Duration::from_millis(50);
/// Nothing here may take longer.
const LIMIT: Duration = Duration::from_mins(3);
const PATH: &str = "/api/v1/namespaces/default/configmaps";
const OPENED_AT_ONCE: usize = 50;
const PERCENTILE: usize = 99;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figure is this program's answer")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kubeconfig, count, stopped] = &arguments[..] else {
        bail!("usage: watchers KUBECONFIG COUNT STOPPED");
    };
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let config = config(Path::new(kubeconfig)).await?;
    let measured = measure(&config, count.parse()?, stopped.parse()?);
    let wait = timeout(LIMIT, measured).await.context("too slow")??;
    println!("{:.2}", wait.as_secs_f64() * 1000.0);
    Ok(())
}

async fn config(path: &Path) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.read_timeout = None;
    Ok(config)
}

async fn measure(config: &Config, count: usize, stopped: usize) -> Result<Duration> {
    let writer: Api<ConfigMap> = Api::namespaced(Client::try_from(config.clone())?, "default");
    let run = format!("w{}", std::process::id());
    let began = Instant::now();
    let since = version(&writer, &run).await?;
    let mut asleep = Vec::new();
    for _ in 0..stopped {
        asleep.push(open(config, &since).await?);
    }
    let mut watchers = opened(config, &since, count, began).await?;
    let sent = write(&writer, &run, began).await?;
    let mut waits = Vec::with_capacity(count * WRITES);
    while let Some(seen) = watchers.join_next().await {
        let seen = seen??;
        waits.extend(
            sent.iter()
                .zip(&seen)
                .map(|(sent, read)| read.saturating_sub(*sent)),
        );
    }
    drop(asleep);
    waits.sort();
    let place = waits.len() * PERCENTILE / 100;
    waits.get(place).copied().context("nothing was read")
}

/// A version to watch from: the one of a first object.
async fn version(api: &Api<ConfigMap>, run: &str) -> Result<String> {
    let first = serde_json::from_value(json!({"metadata": {"name": format!("{run}-first")}}))?;
    let created = api.create(&PostParams::default(), &first).await?;
    created.metadata.resource_version.context("no version")
}

type Seen = Result<Vec<Duration>>;

/// Starts so many watchers and waits until the watch of each is open.
async fn opened(
    config: &Config,
    since: &str,
    count: usize,
    began: Instant,
) -> Result<JoinSet<Seen>> {
    let all_are_open = Arc::new(Barrier::new(count + 1));
    let gate = Arc::new(Semaphore::new(OPENED_AT_ONCE));
    let mut watchers: JoinSet<Seen> = JoinSet::new();
    for _ in 0..count {
        let (config, since) = (config.clone(), since.to_owned());
        let (all_are_open, gate) = (Arc::clone(&all_are_open), Arc::clone(&gate));
        watchers.spawn(async move {
            let turn = gate.acquire().await.context("the gate is open")?;
            let body = open(&config, &since).await?;
            drop(turn);
            all_are_open.wait().await;
            follow(body, began).await
        });
    }
    let (tell, told) = oneshot::channel::<()>();
    tokio::spawn(async move {
        all_are_open.wait().await;
        tell.send(()).ok();
    });
    tokio::select! {
        told = told => told.context("nobody tells")?,
        Some(ended) = watchers.join_next() => {
            bail!("a watcher ended before the first write: {:?}", ended?.err());
        }
    }
    Ok(watchers)
}

/// Opens a watch over a connection of its own.
async fn open(config: &Config, since: &str) -> Result<Body> {
    let client = Client::try_from(config.clone())?;
    let request =
        http::Request::get(format!("{PATH}?watch=1&resourceVersion={since}")).body(Body::empty())?;
    let answer = client.send(request).await?;
    ensure!(
        answer.status().is_success(),
        "a watch was answered with {}",
        answer.status()
    );
    Ok(answer.into_body())
}

/// When each write was read, in order; anything else than each once is an error.
async fn follow(mut body: Body, began: Instant) -> Seen {
    let mut seen = Vec::with_capacity(WRITES);
    let mut rest = Vec::new();
    while seen.len() < WRITES {
        let frame = body.frame().await.context("the watch ended")??;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        rest.extend_from_slice(&data);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            // Reading the JSON would take the processor from the server.
            let text = std::str::from_utf8(&line)?;
            let expected = format!(r#""number":"{}""#, seen.len());
            ensure!(
                text.contains(&expected),
                "`{text}` where {expected} was next"
            );
            seen.push(began.elapsed());
        }
    }
    Ok(seen)
}

/// Writes one after the other and says when each was sent.
async fn write(api: &Api<ConfigMap>, run: &str, began: Instant) -> Result<Vec<Duration>> {
    let filling = "x".repeat(1024);
    let mut tick = interval(PAUSE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = Vec::with_capacity(WRITES);
    for number in 0..WRITES {
        tick.tick().await;
        let object = serde_json::from_value(json!({
            "metadata": {"name": format!("{run}-{number}")},
            "data": {"number": number.to_string(), "a": filling},
        }))?;
        sent.push(began.elapsed());
        api.create(&PostParams::default(), &object).await?;
    }
    Ok(sent)
}
