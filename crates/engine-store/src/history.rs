//! The recent events, kept across a clean restart so that watches go on where they were.
//!
//! They are written when the store is closed and believed only if nothing was written
//! after; whatever cannot be read is forgotten, and watches then start anew.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::hub::{Event, EventKind};
use crate::object::{Key, Object, Resource};

/// Events and bytes of contents that are written at most; the newest are.
const EVENTS_MAX: usize = 8192;
const BYTES_MAX: usize = 16 << 20;

/// What the hub remembers.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Every event after this revision is known, but for the floors.
    pub(crate) start: u64,
    /// Resources of which less is known: every event after the floor.
    pub(crate) floors: HashMap<Resource, u64>,
    /// By revision.
    pub(crate) events: Vec<Arc<Event>>,
}

impl History {
    /// Drops the oldest events until the rest may be written.
    pub(crate) fn bounded(mut self) -> Self {
        self.events.sort_by_key(|event| event.revision());
        let (mut count, mut bytes) = (0, 0);
        let kept = self.events.iter().rev().take_while(|event| {
            count += 1;
            bytes += size(event);
            count <= EVENTS_MAX && bytes <= BYTES_MAX
        });
        let dropped = self.events.len() - kept.count();
        for event in self.events.drain(..dropped) {
            let floor = self
                .floors
                .entry(event.object.key.resource.clone())
                .or_default();
            *floor = (*floor).max(event.revision());
        }
        self
    }
}

fn size(event: &Event) -> usize {
    let previous = event
        .previous
        .as_ref()
        .map_or(0, |previous| previous.bytes.len());
    event.object.bytes.len() + previous
}

/// One event as bytes, with a checksum.
pub(crate) fn encode(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(size(event) + 128);
    out.push(match event.kind {
        EventKind::Created => 0,
        EventKind::Updated => 1,
        EventKind::Deleted => 2,
    });
    let key = &event.object.key;
    for text in [key.resource.as_str(), &key.namespace, &key.name] {
        put_bytes(&mut out, text.as_bytes());
    }
    put_object(&mut out, &event.object);
    out.push(u8::from(event.previous.is_some()));
    if let Some(previous) = &event.previous {
        put_object(&mut out, previous);
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

fn put_object(out: &mut Vec<u8>, object: &Object) {
    out.extend_from_slice(&object.revision.to_le_bytes());
    out.extend_from_slice(&object.created.to_le_bytes());
    put_bytes(out, &object.bytes);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads an event back; nothing if it is damaged.
pub(crate) fn decode(bytes: &[u8]) -> Option<Event> {
    let (mut rest, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*crc) {
        return None;
    }
    let kind = match take(&mut rest, 1)? {
        [0] => EventKind::Created,
        [1] => EventKind::Updated,
        [2] => EventKind::Deleted,
        _ => return None,
    };
    let mut text = || {
        let bytes = take_bytes(&mut rest)?;
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    };
    let key = Key::new(Resource::new(text()?), text()?, text()?);
    let object = take_object(&mut rest, &key)?;
    let previous = match take(&mut rest, 1)? {
        [0] => None,
        _ => Some(Arc::new(take_object(&mut rest, &key)?)),
    };
    Some(Event::new(kind, Arc::new(object), previous))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let bytes = take(rest, 8)?;
    bytes.try_into().ok().map(u64::from_le_bytes)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let count = usize::try_from(take_number(rest)?).ok()?;
    take(rest, count)
}

fn take_object(rest: &mut &[u8], key: &Key) -> Option<Object> {
    let (revision, created) = (take_number(rest)?, take_number(rest)?);
    let bytes = Bytes::copy_from_slice(take_bytes(rest)?);
    Some(Object::new(key.clone(), revision, created, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(revision: u64) -> Event {
        let key = Key::new(Resource::new("things"), "a", "b");
        let object = |revision| {
            let text = format!("text {revision}");
            Arc::new(Object::new(key.clone(), revision, 1, Bytes::from(text)))
        };
        Event::new(
            EventKind::Updated,
            object(revision),
            Some(object(revision - 1)),
        )
    }

    #[test]
    fn an_event_comes_back_and_a_damaged_one_does_not() {
        let bytes = encode(&event(7));
        let back = decode(&bytes).expect("sound");
        assert_eq!((back.kind, back.revision()), (EventKind::Updated, 7));
        assert_eq!(back.object.key.to_string(), "things/a/b");
        assert_eq!(back.previous.expect("written").bytes, "text 6");
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            assert!(decode(&wrong).is_none(), "byte {at}");
            assert!(decode(&bytes[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn what_is_too_much_raises_the_floor() {
        let count = u64::try_from(EVENTS_MAX).expect("it fits") + 3;
        let events = (2..count + 2).map(|revision| Arc::new(event(revision)));
        let history = History {
            events: events.collect(),
            ..History::default()
        }
        .bounded();
        assert_eq!(history.events.len(), EVENTS_MAX);
        assert_eq!(history.floors[&Resource::new("things")], 4);
        assert_eq!(history.events[0].revision(), 5);
    }
}
