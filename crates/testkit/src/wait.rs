//! Waiting for a condition until a deadline, instead of sleeping.

use std::{future::Future, time::Duration};

use anyhow::{Result, bail};
use tokio::time::Instant;

/// How often a condition is looked at. Short against every deadline a test
/// uses, long against the cost of one look.
const INTERVAL: Duration = Duration::from_millis(20);

/// Waits until `condition` answers `Some`, and returns what it answered.
///
/// An error names `what` was awaited and for how long.
pub async fn for_some<T, F>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Ok(Some(value)) = tokio::time::timeout_at(deadline, condition()).await {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {limit:?} for {what}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Waits until `condition` holds.
pub async fn until<F>(what: &str, limit: Duration, mut condition: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = bool>,
{
    for_some(what, limit, || {
        let holds = condition();
        async move { holds.await.then_some(()) }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        let seen = for_some("three looks", Duration::from_secs(5), || {
            looks += 1;
            let answer = (looks == 3).then_some(looks);
            async move { answer }
        })
        .await;
        assert_eq!(seen.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_condition_that_never_holds_names_itself() {
        let error = until("pigs to fly", Duration::from_millis(50), || async { false })
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "waited 50ms for pigs to fly");
    }

    #[tokio::test]
    async fn a_look_that_hangs_does_not_outlive_the_deadline() {
        let wait = until("an answer", Duration::from_millis(50), std::future::pending);
        assert!(wait.await.is_err());
    }
}
