//! A limit on waiting that is set for every request and costs a timer seldom.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The timer runs on while the limit moves; only when it rings is it compared
/// with the limit, and set again.
#[derive(Debug)]
pub(super) struct Patience {
    timer: Pin<Box<Sleep>>,
    /// None waits for ever.
    until: Option<Instant>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        let until = Instant::now() + limit;
        Self {
            timer: Box::pin(tokio::time::sleep_until(until)),
            until: Some(until),
        }
    }

    /// Waits for `limit` from now on.
    pub(super) fn restart(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        if self.timer.deadline() > until {
            self.timer.as_mut().reset(until);
        }
        self.until = Some(until);
    }

    pub(super) fn stop(&mut self) {
        self.until = None;
    }

    /// Ready once the limit is reached.
    pub(super) fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.until else {
            return Poll::Pending;
        };
        while self.timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until it is over; answers whether the clock says the same.
    async fn is_over_in_time(patience: &mut Patience) -> bool {
        let until = patience.until.unwrap();
        std::future::poll_fn(|context| patience.poll_over(context)).await;
        Instant::now() >= until
    }

    #[tokio::test]
    async fn it_ends_no_sooner_than_the_last_limit_set() {
        let mut patience = Patience::new(Duration::from_millis(1));
        patience.restart(Duration::from_millis(20));
        assert!(is_over_in_time(&mut patience).await);
        patience.restart(Duration::from_hours(1));
        patience.restart(Duration::from_millis(1));
        assert!(is_over_in_time(&mut patience).await);
    }

    #[tokio::test]
    async fn what_was_stopped_is_never_over() {
        let mut patience = Patience::new(Duration::from_millis(1));
        patience.stop();
        let over = std::future::poll_fn(|context| Poll::Ready(patience.poll_over(context)));
        assert_eq!(over.await, Poll::Pending);
    }
}
