//! Changes of a page as they happen: one stream per page, rows that changed and nothing else.
//!
//! Everybody who looks at the same page in the same state shares one view: it
//! is computed once, at most four times a second, and each stream sends what
//! differs from what it sent before. Who is slow gets the newest, not a queue.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::Stream;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::page::Page;
use crate::query::Query;
use crate::view::{Part, View};

/// Streams at once; who comes later reloads the page instead.
pub(crate) const STREAMS_MAX: usize = 200;
/// Between two looks at a page; people do not read faster.
const TICK: Duration = Duration::from_millis(250);
/// Some states change by time alone, like a heartbeat that grows old.
const IDLE: Duration = Duration::from_secs(5);
const BEAT: Duration = Duration::from_secs(10);

/// Which page, in which state, for readers with or without buttons.
pub(crate) type Key = (Page, Query, bool);
/// Makes a page as of now; nothing if it is about something that is gone.
pub(crate) type Make = Arc<dyn Fn(&Key) -> Option<View> + Send + Sync>;

/// A page as it was last computed: fingerprint and markup of everything in it.
#[derive(Debug, Default)]
struct Shown {
    parts: BTreeMap<&'static str, (u64, String)>,
    tables: BTreeMap<&'static str, Vec<(String, u64, String)>>,
    gone: bool,
    /// Something changed since what this is made of was looked at.
    stale: bool,
}

impl Shown {
    fn of(view: Option<View>) -> Self {
        let mut shown = Self {
            gone: view.is_none(),
            stale: view.as_ref().is_some_and(|view| view.stale),
            ..Self::default()
        };
        for part in view.into_iter().flat_map(|view| view.parts) {
            match part {
                Part::Fixed(_) => {}
                Part::Live(id, html) => {
                    shown
                        .parts
                        .insert(id, (html.fingerprint(), html.into_string()));
                }
                Part::Table(table) => {
                    let rows = table
                        .rows
                        .into_iter()
                        .map(|(key, html)| (key, html.fingerprint(), html.into_string()));
                    shown.tables.insert(table.id, rows.collect());
                }
            }
        }
        shown
    }
}

/// What one stream has sent.
#[derive(Debug, Default)]
struct Sent {
    parts: HashMap<&'static str, u64>,
    rows: HashMap<(&'static str, String), u64>,
    order: HashMap<&'static str, Vec<String>>,
}

impl Sent {
    /// Returns what differs, and takes it as sent; nothing if nothing does.
    fn difference(&mut self, shown: &Shown) -> Option<Value> {
        let mut parts = Map::new();
        for (id, (fingerprint, html)) in &shown.parts {
            if self.parts.insert(id, *fingerprint) != Some(*fingerprint) {
                parts.insert((*id).to_owned(), json!(html));
            }
        }
        let mut tables = Map::new();
        for (id, rows) in &shown.tables {
            let mut put = Map::new();
            let order: Vec<String> = rows.iter().map(|(key, _, _)| key.clone()).collect();
            for (key, fingerprint, html) in rows {
                if self.rows.insert((id, key.clone()), *fingerprint) != Some(*fingerprint) {
                    put.insert(key.clone(), json!(html));
                }
            }
            let moved = self.order.get(id) != Some(&order);
            if moved {
                let here: std::collections::HashSet<&String> = order.iter().collect();
                self.rows
                    .retain(|(table, key), _| table != id || here.contains(key));
            }
            if moved || !put.is_empty() {
                tables.insert((*id).to_owned(), json!({"order": order, "put": put}));
                self.order.insert(id, order);
            }
        }
        if parts.is_empty() && tables.is_empty() && !shown.gone {
            return None;
        }
        Some(json!({"parts": parts, "tables": tables, "gone": shown.gone}))
    }
}

/// All views that somebody looks at.
pub(crate) struct Views {
    make: Make,
    changed: watch::Receiver<u64>,
    running: Mutex<HashMap<Key, watch::Sender<Arc<Shown>>>>,
    streams: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl Views {
    pub(crate) fn new(
        make: Make,
        changed: watch::Receiver<u64>,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            make,
            changed,
            running: Mutex::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            shutdown,
        })
    }

    /// Answers with a stream of changes, or refuses when there are too many.
    pub(crate) fn stream(self: &Arc<Self>, key: Key) -> Response {
        let Some(permit) = self.permit() else {
            return too_many();
        };
        let receiver = self.subscribe(key);
        let stream = changes(receiver, permit, self.shutdown.clone());
        Sse::new(stream)
            .keep_alive(KeepAlive::new().interval(BEAT).event(beat()))
            .into_response()
    }

    /// Takes the place of one stream.
    pub(crate) fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.streams.clone().try_acquire_owned().ok()
    }

    fn subscribe(self: &Arc<Self>, key: Key) -> watch::Receiver<Arc<Shown>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = running.get(&key) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(Arc::new(Shown::of((self.make)(&key))));
        running.insert(key.clone(), sender.clone());
        drop(running);
        tokio::spawn(self.clone().keep(key, sender));
        receiver
    }

    /// Computes one view anew while somebody looks at it.
    async fn keep(self: Arc<Self>, key: Key, sender: watch::Sender<Arc<Shown>>) {
        let mut changed = self.changed.clone();
        changed.mark_unchanged();
        loop {
            tokio::select! {
                () = async {
                    // Both ends are a reason to look: something changed, or time passed.
                    drop(tokio::time::timeout(IDLE, changed.changed()).await);
                    tokio::time::sleep(TICK).await;
                } => {}
                () = sender.closed() => {}
                () = self.shutdown.cancelled() => return,
            }
            {
                let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                if sender.is_closed() {
                    running.remove(&key);
                    return;
                }
            }
            changed.mark_unchanged();
            let shown = Shown::of((self.make)(&key));
            if shown.stale {
                changed.mark_changed();
            }
            sender.send_replace(Arc::new(shown));
        }
    }
}

fn beat() -> Event {
    Event::default().event("beat").data("1")
}

pub(crate) fn too_many() -> Response {
    let mut response = (
        StatusCode::SERVICE_UNAVAILABLE,
        "too many pages follow their changes; this one has to be reloaded\n",
    )
        .into_response();
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    response
}

fn changes(
    mut receiver: watch::Receiver<Arc<Shown>>,
    permit: OwnedSemaphorePermit,
    shutdown: CancellationToken,
) -> impl Stream<Item = Result<Event, Infallible>> {
    receiver.mark_changed();
    let state = (receiver, Sent::default(), permit, shutdown);
    futures::stream::unfold(
        state,
        |(mut receiver, mut sent, permit, shutdown)| async move {
            loop {
                tokio::select! {
                    changed = receiver.changed() => changed.ok()?,
                    () = shutdown.cancelled() => return None,
                }
                let shown = receiver.borrow_and_update().clone();
                if let Some(difference) = sent.difference(&shown) {
                    let event = Event::default()
                        .event("change")
                        .data(difference.to_string());
                    return Some((Ok(event), (receiver, sent, permit, shutdown)));
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use crate::html::Html;
    use crate::view::TableView;

    use super::*;

    fn shown(rows: &[(&str, &'static str)]) -> Shown {
        let rows = rows.iter().map(|(key, text)| {
            let mut html = Html::new();
            html.raw("<td>").text(text);
            ((*key).to_owned(), html)
        });
        let table = TableView {
            id: "rows",
            head: Html::new(),
            rows: rows.collect(),
            empty: String::new(),
        };
        Shown::of(Some(View {
            title: String::new(),
            parts: vec![Part::Table(table)],
            stale: false,
        }))
    }

    #[test]
    fn only_changed_rows_are_sent() {
        let mut sent = Sent::default();
        let first = sent.difference(&shown(&[("a", "1"), ("b", "2")])).unwrap();
        assert_eq!(first["tables"]["rows"]["put"].as_object().unwrap().len(), 2);
        assert_eq!(sent.difference(&shown(&[("a", "1"), ("b", "2")])), None);
        let next = sent.difference(&shown(&[("a", "1"), ("b", "3")])).unwrap();
        assert_eq!(next["tables"]["rows"]["put"], json!({"b": "<td>3"}));
    }

    #[test]
    fn a_row_that_left_and_came_back_is_sent_again() {
        let mut sent = Sent::default();
        sent.difference(&shown(&[("a", "1"), ("b", "2")]));
        let left = sent.difference(&shown(&[("b", "2")])).unwrap();
        assert_eq!(left["tables"]["rows"], json!({"order": ["b"], "put": {}}));
        let back = sent.difference(&shown(&[("b", "2"), ("a", "1")])).unwrap();
        assert_eq!(back["tables"]["rows"]["put"], json!({"a": "<td>1"}));
    }

    #[tokio::test]
    async fn a_view_is_computed_while_somebody_looks_and_not_after() {
        let (changed, receiver) = watch::channel(0);
        let shutdown = CancellationToken::new();
        let make: Make = Arc::new(|_| None);
        let views = Views::new(make, receiver, shutdown.clone());
        let key: Key = (Page::Pods, Query::default(), true);
        let one = views.subscribe(key.clone());
        let other = views.subscribe(key);
        assert_eq!(views.running.lock().unwrap().len(), 1);
        drop((one, other));
        changed.send_replace(1);
        tokio::time::timeout(Duration::from_secs(30), async {
            while !views.running.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn the_number_of_streams_is_bounded() {
        let (_changed, receiver) = watch::channel(0);
        let make: Make = Arc::new(|_| None);
        let views = Views::new(make, receiver, CancellationToken::new());
        let held: Vec<Response> = (0..STREAMS_MAX)
            .map(|_| views.stream((Page::Pods, Query::default(), true)))
            .collect();
        assert!(
            held.iter()
                .all(|response| response.status() == StatusCode::OK)
        );
        let refused = views.stream((Page::Pods, Query::default(), true));
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(held);
        assert_eq!(
            views.stream((Page::Pods, Query::default(), true)).status(),
            StatusCode::OK
        );
    }
}
