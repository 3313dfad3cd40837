//! Watches: what is there now, if asked for, and every change after.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use foreshore_engine_store::{Event, EventKind, Object, Scope, Snapshot, Store, Watcher};
use futures::{Stream, stream};
use rand::RngExt;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, bad_list_option};
use crate::core::Core;
use crate::list;
use crate::negotiate::{Form, Format, View};
use crate::options::Clock;
use crate::reply::{Content, Reply, metadata_only, streamed};
use crate::selection::Selection;
use crate::status::{Answer, Failure};
use crate::{object, table};

/// Ends a watch whose client set no limit; spread, so that not all come back at once.
const SECONDS_MIN: u64 = 1800;
const SECONDS_MAX: u64 = 3600;
/// Time between bookmarks, and how long before the end the last one comes.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// Bytes of events sent in one part.
const CHUNK: usize = 64 << 10;
/// Tries to find a snapshot whose following events are all still known.
const START_TRIES: usize = 8;

/// Where a watch starts.
enum Start {
    /// Everything there is, then changes; the marker tells the client when the first part ends.
    State {
        marker: bool,
    },
    After(u64),
}

fn start(call: &Call) -> Answer<(Start, u64)> {
    let version = list::revision_of(call.query.get("resourceVersion"))?.unwrap_or(0);
    let rule = call.query.get("resourceVersionMatch");
    let initial = call.query.get("sendInitialEvents");
    if let Some(rule) = rule {
        if initial.is_none() {
            return Err(bad_list_option(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        if rule != "NotOlderThan" {
            return Err(bad_list_option(
                "resourceVersionMatch",
                &format!("{rule:?} is not supported: use \"NotOlderThan\""),
            ));
        }
    } else if initial.is_some() {
        return Err(bad_list_option(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if initial.is_some() && call.query.flag("sendInitialEvents")? {
        let marker = call.query.flag("allowWatchBookmarks")?;
        return Ok((Start::State { marker }, version));
    }
    match version {
        0 => Ok((Start::State { marker: false }, 0)),
        version => Ok((Start::After(version), 0)),
    }
}

/// What a running watch needs beside its sources.
struct Writing {
    call: Arc<Call>,
    /// Rows show ages as of their event, not of the request.
    clock: Clock,
    selection: Selection,
    /// The stored bytes can be sent as they are.
    verbatim: bool,
    /// A Table's columns are only sent once.
    headed: bool,
}

struct Watching {
    writing: Writing,
    initial: std::vec::IntoIter<Arc<Object>>,
    marker: Option<u64>,
    watcher: Watcher,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    closing: CancellationToken,
}

/// Opens a watch; what goes wrong after the request was understood is told as an event.
pub(crate) async fn watch(core: &Core, call: Call) -> Answer<Reply> {
    let (store, closing) = (&core.store, core.closing.clone());
    let selection = Selection::of(&call)?;
    let (start, not_before) = start(&call)?;
    if call.form.format != Format::Json {
        return Err(Failure::not_acceptable("application/json"));
    }
    let seconds: Option<u64> = call.query.number("timeoutSeconds")?;
    let seconds = seconds.filter(|seconds| *seconds > 0);
    let seconds = seconds.unwrap_or_else(|| rand::rng().random_range(SECONDS_MIN..SECONDS_MAX));
    let end = Instant::now() + Duration::from_secs(seconds.min(24 * SECONDS_MAX));
    let bookmarks = call.query.flag("allowWatchBookmarks")?;
    let scope = scope(&call, &selection);
    let opened = open(store, &call, &selection, start, not_before, scope).await;
    let (initial, marker, watcher) = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            let event = json!({"type": "ERROR", "object": failure.to_value()});
            let line = Bytes::from(format!("{event}\n"));
            return Ok(reply(stream::iter([Ok(line)])));
        }
    };
    let verbatim = call.form == Form::JSON && call.entry.is_verbatim();
    let writing = Writing {
        call: Arc::new(call),
        clock: core.clock.clone(),
        selection,
        verbatim,
        headed: true,
    };
    let initial = initial.into_iter();
    let next_bookmark = bookmark_after(Instant::now(), end);
    let watching = Watching {
        writing,
        initial,
        marker,
        watcher,
        bookmarks,
        next_bookmark,
        end,
        closing,
    };
    Ok(reply(stream::unfold(watching, |mut watching| async {
        let part = watching.next().await?;
        Some((Ok(part), watching))
    })))
}

fn reply(parts: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static) -> Reply {
    Reply::ok(Content::Raw("application/json", streamed(parts)))
}

fn scope(call: &Call, selection: &Selection) -> Scope {
    let namespaced = call.entry.resource.namespaced;
    let namespace = match call.path.namespace.as_str() {
        _ if !namespaced => None,
        "" => selection.namespace(),
        namespace => Some(namespace),
    };
    let name = match call.path.name.as_str() {
        "" => selection.name(),
        name => Some(name),
    };
    Scope {
        namespace: namespace.map(Arc::from),
        name: name.map(Arc::from),
    }
}

type Opened = (Vec<Arc<Object>>, Option<u64>, Watcher);

async fn open(
    store: &Store,
    call: &Call,
    selection: &Selection,
    start: Start,
    not_before: u64,
    scope: Scope,
) -> Answer<Opened> {
    let too_old = |revision: u64| {
        Failure::expired(format!(
            "too old resource version: {revision} ({})",
            store.revision()
        ))
    };
    let marker = match start {
        Start::After(revision) => {
            let watcher = store.watch(&call.entry.rows, scope, revision);
            let watcher = watcher.map_err(|_| too_old(revision))?;
            return Ok((vec![], None, watcher));
        }
        Start::State { marker } => marker,
    };
    list::wait_for(store, not_before).await?;
    for _ in 0..START_TRIES {
        let snapshot = store.snapshot();
        let revision = snapshot.revision();
        if let Ok(watcher) = store.watch(&call.entry.rows, scope.clone(), revision) {
            let objects = present(&snapshot, call, selection, &scope);
            return Ok((objects, marker.then_some(revision), watcher));
        }
    }
    Err(too_old(store.revision()))
}

fn present(
    snapshot: &Snapshot,
    call: &Call,
    selection: &Selection,
    scope: &Scope,
) -> Vec<Arc<Object>> {
    let all = snapshot.list(&call.entry.rows, scope.namespace.as_deref(), None);
    let named = all.filter(|object| {
        scope
            .name
            .as_ref()
            .is_none_or(|name| *name == object.key.name)
    });
    named
        .filter(|object| selection.matches(object))
        .cloned()
        .collect()
}

fn bookmark_after(now: Instant, end: Instant) -> Instant {
    let last = end.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(end);
    if now < last {
        (now + BOOKMARK_EVERY).min(last)
    } else {
        end + BOOKMARK_EVERY
    }
}

impl Watching {
    /// The next bytes to send; `None` ends the watch.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(part) = self.initial_part() {
            return Some(part);
        }
        if let Some(revision) = self.marker.take() {
            return Some(self.writing.bookmark(revision, true));
        }
        loop {
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return None,
                () = tokio::time::sleep_until(self.end) => return None,
                event = self.watcher.next() => {
                    // A watcher that fell behind is cut off; its client starts again.
                    let event = event.ok()?;
                    if let Some(part) = self.event_part(&event) {
                        return Some(part);
                    }
                }
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark = bookmark_after(Instant::now(), self.end);
                    if let Some(revision) = self.watcher.progress() {
                        return Some(self.writing.bookmark(revision, false));
                    }
                }
            }
        }
    }

    fn initial_part(&mut self) -> Option<Bytes> {
        let mut buffer = BytesMut::new();
        for object in self.initial.by_ref() {
            if let Some(line) = self.writing.line("ADDED", &object) {
                buffer.put_slice(&line);
            }
            if buffer.len() >= CHUNK {
                break;
            }
        }
        (!buffer.is_empty()).then(|| buffer.freeze())
    }

    /// One event, together with those already waiting behind it.
    fn event_part(&mut self, event: &Event) -> Option<Bytes> {
        let first = self.writing.event(event);
        let Some(second) = self.watcher.ready() else {
            return first;
        };
        let mut buffer = BytesMut::from(first.as_deref().unwrap_or_default());
        let mut next = Some(second);
        while let Some(event) = next {
            if let Some(line) = self.writing.event(&event) {
                buffer.put_slice(&line);
            }
            next = if buffer.len() < CHUNK {
                self.watcher.ready()
            } else {
                None
            };
        }
        (!buffer.is_empty()).then(|| buffer.freeze())
    }
}

fn verbatim_line(kind: &str, object: &Object) -> Bytes {
    let mut line = BytesMut::with_capacity(object.bytes.len() + 40);
    line.put_slice(b"{\"type\":\"");
    line.put_slice(kind.as_bytes());
    line.put_slice(b"\",\"object\":");
    line.put_slice(&object.bytes);
    line.put_slice(b"}\n");
    line.freeze()
}

impl Writing {
    /// A change as this watch sees it, if it does.
    fn event(&mut self, event: &Event) -> Option<Bytes> {
        let (before, after) = if self.selection.is_everything() {
            (
                event.kind != EventKind::Created,
                event.kind != EventKind::Deleted,
            )
        } else {
            let before = event.previous.as_ref();
            (
                before.is_some_and(|previous| self.selection.matches(previous)),
                event.kind != EventKind::Deleted && self.selection.matches(&event.object),
            )
        };
        let kind = match (before, after) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        match (&event.previous, kind, event.kind) {
            // It lives on, but no longer matches: the client sees what it knew, at this revision.
            (Some(previous), "DELETED", EventKind::Updated) => {
                let mut value = object::decode(previous).ok()?;
                object::metadata_mut(&mut value).insert(
                    "resourceVersion".into(),
                    event.revision().to_string().into(),
                );
                Some(self.value_line(kind, value))
            }
            (_, "ADDED", EventKind::Updated) => self.line(kind, &event.object),
            _ if self.verbatim => Some(event.encoded(|event| verbatim_line(kind, &event.object))),
            _ => self.line(kind, &event.object),
        }
    }

    fn line(&mut self, kind: &str, object: &Object) -> Option<Bytes> {
        if self.verbatim {
            return Some(verbatim_line(kind, object));
        }
        let value = object::decode(object).ok()?;
        Some(self.value_line(kind, value))
    }

    fn value_line(&mut self, kind: &str, stored: Value) -> Bytes {
        let object = self.call.entry.present_value(stored);
        let shown = match &self.call.form.view {
            View::Whole => object,
            View::Metadata(version) => metadata_only(&object, version),
            View::Table(version) => {
                let row = table::row(&self.call, &object, self.clock.now());
                let revision = object::text(&object, "/metadata/resourceVersion");
                let metadata = json!({"resourceVersion": revision});
                let headed = std::mem::replace(&mut self.headed, false);
                table::table(&self.call, version, &[row], &metadata, headed)
            }
        };
        format!("{}\n", json!({"type": kind, "object": shown})).into()
    }

    fn bookmark(&mut self, revision: u64, initial_events_end: bool) -> Bytes {
        let resource = &self.call.entry.resource;
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match &self.call.form.view {
            View::Whole => json!({
                "kind": resource.kind, "apiVersion": self.call.entry.api_version,
                "metadata": metadata,
            }),
            View::Metadata(version) => metadata_only(&json!({"metadata": metadata}), version),
            View::Table(version) => {
                let headed = std::mem::replace(&mut self.headed, false);
                table::table(&self.call, version, &[], &metadata, headed)
            }
        };
        format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into()
    }
}
