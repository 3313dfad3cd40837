//! A kind in a namespace, as it is and as it changes.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::Api;
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::apply::without_bookkeeping;
use crate::call::Cluster;
use crate::discovery::Resource;

/// The server ends a watch after this time and it is opened again, so a
/// connection that died silently is noticed soon after.
const WATCH_SECONDS: u32 = 120;

/// Failures that are farther apart than this have nothing to do with each other.
const QUIET: Duration = Duration::from_secs(30);

/// Pauses between tries to open a broken watch: short at first, because most
/// servers are back at once, and never longer than ten seconds.
#[derive(Debug, Default)]
struct Pauses {
    tries: u32,
    last: Option<Instant>,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self
            .last
            .is_some_and(|last| now.duration_since(last) > QUIET)
        {
            self.tries = 0;
        }
        self.last = Some(now);
        let pause = Duration::from_millis(200 << self.tries.min(6)).min(Duration::from_secs(10));
        self.tries += 1;
        Some(pause)
    }
}

impl Backoff for Pauses {
    /// Does nothing: it is called for every item, and a watch that cannot even
    /// list yields one before each failure.
    fn reset(&mut self) {}
}

/// One step of a watch.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// All objects there are; whatever is not among them is gone.
    All(Vec<Value>),
    /// An object was added or changed.
    Put(Value),
    /// An object is gone; this was its last state.
    Gone(Value),
    /// The watch broke and is being opened again; what is known may be old.
    Broken(String),
    /// The server does not let us look; it is asked again all the same.
    Refused(String),
}

impl Cluster {
    /// Watches a kind in a namespace for ever, reconnecting with growing pauses.
    ///
    /// The first step is [`Change::All`], once the server has answered.
    pub fn watch(
        &self,
        resource: &Resource,
        namespace: &str,
        selector: &str,
    ) -> impl Stream<Item = Change> + Send + use<> {
        let api: Api<DynamicObject> = if namespace.is_empty() || !resource.namespaced {
            Api::all_with(self.client().clone(), &resource.for_kube())
        } else {
            Api::namespaced_with(self.client().clone(), namespace, &resource.for_kube())
        };
        let mut config = Config::default().timeout(WATCH_SECONDS);
        if !selector.is_empty() {
            config = config.labels(selector);
        }
        let resource = resource.clone();
        watcher(api, config)
            .backoff(Pauses::default())
            .scan(Vec::new(), move |listed, event| {
                let change = match event {
                    Ok(event) => step(&resource, listed, event),
                    Err(error) if is_refusal(&error) => Some(Change::Refused(error.to_string())),
                    Err(error) => Some(Change::Broken(error.to_string())),
                };
                std::future::ready(Some(change))
            })
            .filter_map(std::future::ready)
    }
}

/// Whether the caller may not look at the kind, or is not known at all.
fn is_refusal(error: &Error) -> bool {
    let code = match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchError(status) => status.code,
        _ => 0,
    };
    matches!(code, 401 | 403)
}

/// Collects the first list until it is whole.
fn step(
    resource: &Resource,
    listed: &mut Vec<Value>,
    event: Event<DynamicObject>,
) -> Option<Change> {
    let value = |object: DynamicObject| -> Option<Value> {
        let mut value = serde_json::to_value(object).ok()?;
        value["apiVersion"] = json!(resource.api_version);
        value["kind"] = json!(resource.kind);
        Some(without_bookkeeping(value))
    };
    match event {
        Event::Init => {
            listed.clear();
            None
        }
        Event::InitApply(object) => {
            listed.extend(value(object));
            None
        }
        Event::InitDone => Some(Change::All(std::mem::take(listed))),
        Event::Apply(object) => value(object).map(Change::Put),
        Event::Delete(object) => value(object).map(Change::Gone),
    }
}
