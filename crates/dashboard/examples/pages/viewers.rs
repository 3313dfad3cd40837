//! Fifty people: each keeps a page open and turns to another one every two seconds.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Failure;

const VIEWERS: u64 = 50;
const TURN_EVERY: Duration = Duration::from_secs(2);

pub(crate) struct Times {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
}

pub(crate) async fn run(url: &str, length: Duration) -> Result<Times, Failure> {
    let end = Instant::now() + length;
    let mut viewers = JoinSet::new();
    for viewer in 0..VIEWERS {
        viewers.spawn(view(url.to_owned(), viewer, end));
    }
    let mut all = Vec::new();
    while let Some(times) = viewers.join_next().await {
        all.extend(times??);
    }
    Ok(Times {
        p50: percentile(all.clone(), 0.5),
        p95: percentile(all, 0.95),
    })
}

async fn view(url: String, viewer: u64, end: Instant) -> Result<Vec<f64>, Failure> {
    let http = reqwest::Client::builder()
        .pool_max_idle_per_host(4)
        .build()?;
    // Not all in the same moment.
    tokio::time::sleep(TURN_EVERY.mul_f64(f64::from(u32::try_from(viewer)?) / 50.0)).await;
    let open = format!("{url}/live/pods?page={}", viewer + 1);
    let stream = http.get(open).send().await?.error_for_status()?;
    let reading = tokio::spawn(async move {
        let mut parts = stream.bytes_stream();
        while let Some(Ok(_)) = parts.next().await {}
    });
    let mut times = Vec::new();
    let mut turn = 0;
    while Instant::now() < end {
        let page = format!("{url}/pods?page={}", (viewer * 7 + turn) % 50 + 1);
        turn += 1;
        let began = Instant::now();
        let request = http.get(page).header("accept-encoding", "gzip");
        request.send().await?.error_for_status()?.bytes().await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(TURN_EVERY).await;
    }
    reading.abort();
    Ok(times)
}

/// The value that this share of all does not exceed.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a short list"
)]
pub(crate) fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * share).ceil() as usize;
    values
        .get(place.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}
