//! The loop every controller runs: take a key, decide, carry out, look again.

use std::sync::Arc;

use foreshore_controllers::Change;
use tracing::{debug, warn};

use super::Task;
use super::execute::{Executor, Outcome};
use super::queue::{Key, Queue};

/// Returns `count` tasks that work on the keys of `queue`.
///
/// `decide` reads caches and returns changes, or nothing when the object is
/// gone; `after` hears what came of them, before the key is taken again.
pub(crate) fn workers<K, D, A>(
    count: usize,
    queue: &Arc<Queue<K>>,
    executor: &Executor,
    decide: D,
    after: A,
) -> Vec<Task>
where
    K: Key,
    D: Fn(&K) -> Vec<Change> + Send + Sync + 'static,
    A: Fn(&K, &Outcome) + Send + Sync + 'static,
{
    let (decide, after) = (Arc::new(decide), Arc::new(after));
    (0..count)
        .map(|_| {
            let (queue, executor) = (Arc::clone(queue), executor.clone());
            let (decide, after) = (Arc::clone(&decide), Arc::clone(&after));
            let task: Task = Box::pin(async move {
                loop {
                    let key = queue.take().await;
                    let outcome = executor.carry_out(decide(&key)).await;
                    after(&key, &outcome);
                    settle(&queue, &key, &outcome);
                    queue.done(&key);
                }
            });
            task
        })
        .collect()
}

/// Decides from what came of the changes when the key is due again.
pub(crate) fn settle<K: Key>(queue: &Queue<K>, key: &K, outcome: &Outcome) {
    match &outcome.refusal {
        None => queue.forget(key),
        Some(error) => {
            if error.is_stale() {
                debug!(
                    ?key,
                    error = error as &dyn std::error::Error,
                    "decided from an old view; will retry"
                );
            } else {
                warn!(
                    ?key,
                    error = error as &dyn std::error::Error,
                    "changes were refused; will retry"
                );
            }
            queue.add_failed(key.clone());
        }
    }
    if let Some(again) = outcome.again {
        queue.add_after(key.clone(), again);
    }
}
