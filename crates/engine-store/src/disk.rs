//! The durable half of the store: one redb file with the newest version of every object.
//! Every value carries a checksum; a file that does not add up is refused.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use tracing::warn;

use crate::history::{self, History};
use crate::layer::Source;
use crate::object::{Key, Object, Resource};
use crate::open_error::{OpenError, open_error};
use crate::snapshot::Snapshot;
use crate::store::Durability;

const OBJECTS: TableDefinition<(&str, &str, &str), &[u8]> = TableDefinition::new("objects");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Recent events by revision, as of a clean end.
const HISTORY: TableDefinition<u64, &[u8]> = TableDefinition::new("history");
/// Resources of which fewer events are known.
const FLOORS: TableDefinition<&str, u64> = TableDefinition::new("floors");

/// Layout of the tables above; a file with another one is refused.
pub(crate) const FORMAT: u64 = 1;
/// Revisions promised ahead on disk in relaxed mode; any number works, more means fewer syncs.
const RESERVED_BLOCK: u64 = 1 << 16;
/// revision, created, crc32 of the rest.
const HEADER: usize = 8 + 8 + 4;

/// What is to be at a place from now on; nothing means a deletion.
pub(crate) struct Record {
    pub(crate) key: Key,
    pub(crate) object: Option<Arc<Object>>,
}

/// What undoes a write of which nobody knows whether it reached the disk.
struct Undo {
    records: Vec<Record>,
    revision: u64,
}

/// What was found on disk.
pub(crate) struct Opened {
    pub(crate) disk: Disk,
    pub(crate) snapshot: Snapshot,
    pub(crate) history: History,
}

pub(crate) struct Disk {
    source: Source,
    cache_bytes: usize,
    /// Absent after a failed write, until the file could be opened again.
    database: Option<Database>,
    undo: Option<Undo>,
    durability: Durability,
    reserved: u64,
    synced: Instant,
    dirty: bool,
}

impl Disk {
    /// Opens or creates the file and reads everything in it.
    pub(crate) fn open(
        source: &Source,
        durability: Durability,
        cache_bytes: usize,
    ) -> Result<Opened, OpenError> {
        let path = source.path.as_path();
        if let Some(parent) = path.parent().filter(|_| source.layer.is_none()) {
            std::fs::create_dir_all(parent).map_err(|cause| OpenError::Directory {
                path: parent.to_owned(),
                cause,
            })?;
        }
        // The file library asserts some of its invariants; a damaged file must be an error here.
        let opened =
            std::panic::catch_unwind(AssertUnwindSafe(|| open_and_load(source, cache_bytes)));
        let (database, snapshot, history) = opened.unwrap_or_else(|_| {
            Err(OpenError::Damaged {
                path: path.to_owned(),
                what: "its index is broken".into(),
            })
        })?;
        let synced = Instant::now();
        let reserved = snapshot.revision;
        let mut disk = Self {
            source: source.clone(),
            cache_bytes,
            database: Some(database),
            undo: None,
            durability,
            reserved,
            synced,
            dirty: false,
        };
        disk.reserve(snapshot.revision)
            .map_err(|cause| open_error(path, cause))?;
        Ok(Opened {
            disk,
            snapshot,
            history,
        })
    }

    fn reserve(&mut self, revision: u64) -> Result<(), redb::Error> {
        self.reserved = match self.durability {
            Durability::Strict => revision,
            Durability::Relaxed { .. } => revision + RESERVED_BLOCK,
        };
        let reserved = self.reserved;
        self.transact(redb::Durability::Immediate, |transaction| {
            let mut meta = transaction.open_table(META)?;
            meta.insert("format", FORMAT)?;
            meta.insert("reserved", reserved)?;
            Ok(())
        })
    }

    fn transact(
        &mut self,
        durability: redb::Durability,
        fill: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        let database = self.database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        let mut transaction = database.begin_write()?;
        transaction.set_durability(durability)?;
        fill(&transaction)?;
        transaction.commit()?;
        if matches!(durability, redb::Durability::Immediate) {
            self.synced = Instant::now();
            self.dirty = false;
        } else {
            self.dirty = true;
        }
        Ok(())
    }

    /// Writes one batch; durable on return unless the store is relaxed.
    ///
    /// `before` tells what was at a place at revision `base`: after a failure the
    /// file is opened anew, and brought back to that before it takes the next batch.
    pub(crate) fn write(
        &mut self,
        records: &[Record],
        revision: u64,
        base: u64,
        before: impl Fn(&Key) -> Option<Arc<Object>>,
    ) -> Result<(), redb::Error> {
        self.recover()?;
        let durability = match self.durability {
            Durability::Relaxed { sync_every } if self.synced.elapsed() < sync_every => {
                redb::Durability::None
            }
            Durability::Strict | Durability::Relaxed { .. } => redb::Durability::Immediate,
        };
        let relaxed = matches!(self.durability, Durability::Relaxed { .. });
        let reserved = if relaxed && revision >= self.reserved {
            self.reserve(revision)
        } else {
            Ok(())
        };
        let written = reserved.and_then(|()| {
            self.transact(durability, |transaction| {
                put(transaction, records, revision)
            })
        });
        if written.is_err() {
            self.database = None;
            let undo = records.iter().map(|record| &record.key);
            let records = undo
                .map(|key| Record {
                    key: key.clone(),
                    object: before(key),
                })
                .collect();
            self.undo = Some(Undo {
                records,
                revision: base,
            });
        }
        written
    }

    /// Opens the file again after a failed write and removes what that write may have left.
    ///
    /// In relaxed mode unsynced batches before it may be lost on disk although
    /// they are in memory; the file is then refused until the next start.
    fn recover(&mut self) -> Result<(), redb::Error> {
        let Some(undo) = &self.undo else {
            return Ok(());
        };
        let database = self.source.open(self.cache_bytes)?;
        let on_disk = database.begin_read()?.open_table(META)?.get("revision")?;
        if on_disk.is_some_and(|on_disk| on_disk.value() < undo.revision) {
            return Err(redb::Error::Corrupted("unsynced writes are gone".into()));
        }
        self.database = Some(database);
        let undo = self.undo.take().expect("looked at above");
        let undone = self.transact(redb::Durability::Immediate, |transaction| {
            put(transaction, &undo.records, undo.revision)
        });
        if undone.is_err() {
            self.database = None;
            self.undo = Some(undo);
        }
        undone
    }

    /// Makes everything written so far durable.
    pub(crate) fn flush(&mut self) -> Result<(), redb::Error> {
        if self.dirty {
            self.transact(redb::Durability::Immediate, |_| Ok(()))?;
        }
        Ok(())
    }

    /// Time until unsynced writes should be made durable.
    pub(crate) fn sync_due(&self) -> Option<Duration> {
        match self.durability {
            Durability::Relaxed { sync_every } if self.dirty => {
                Some(sync_every.saturating_sub(self.synced.elapsed()))
            }
            _ => None,
        }
    }

    pub(crate) fn close(mut self, revision: u64, history: History) {
        self.durability = Durability::Strict;
        let history = history.bounded();
        let remembered = self.transact(redb::Durability::Immediate, |transaction| {
            remember(transaction, revision, &history)
        });
        if let Err(error) = remembered.and_then(|()| self.reserve(revision)) {
            warn!(
                error = &error as &dyn std::error::Error,
                "store file was not closed cleanly"
            );
        }
    }
}

fn put(
    transaction: &redb::WriteTransaction,
    records: &[Record],
    revision: u64,
) -> Result<(), redb::Error> {
    let mut objects = transaction.open_table(OBJECTS)?;
    for Record { key, object } in records {
        match object {
            Some(object) => drop(objects.insert(place(key), encode(object).as_slice())?),
            None => drop(objects.remove(place(key))?),
        }
    }
    let count = objects.len()?;
    let mut meta = transaction.open_table(META)?;
    meta.insert("revision", revision)?;
    meta.insert("objects", count)?;
    Ok(())
}

fn place(key: &Key) -> (&str, &str, &str) {
    (key.resource.as_str(), &key.namespace, &key.name)
}

fn encode(object: &Object) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER + object.bytes.len());
    value.extend_from_slice(&object.revision.to_le_bytes());
    value.extend_from_slice(&object.created.to_le_bytes());
    value.extend_from_slice(&crc32fast::hash(&object.bytes).to_le_bytes());
    value.extend_from_slice(&object.bytes);
    value
}

fn decode(key: Key, value: &[u8]) -> Result<Object, String> {
    let (header, bytes) = value
        .split_at_checked(HEADER)
        .ok_or_else(|| format!("`{key}` is cut short"))?;
    let number = |at: usize| {
        u64::from_le_bytes(
            header[at..at + 8]
                .try_into()
                .expect("the header is long enough"),
        )
    };
    let crc = u32::from_le_bytes(
        header[16..20]
            .try_into()
            .expect("the header is long enough"),
    );
    if crc32fast::hash(bytes) != crc {
        return Err(format!("the checksum of `{key}` does not match"));
    }
    Ok(Object::new(
        key,
        number(0),
        number(8),
        Bytes::copy_from_slice(bytes),
    ))
}

/// Writes the recent events in place of earlier ones.
fn remember(
    transaction: &redb::WriteTransaction,
    revision: u64,
    history: &History,
) -> Result<(), redb::Error> {
    transaction.delete_table(HISTORY)?;
    transaction.delete_table(FLOORS)?;
    let mut events = transaction.open_table(HISTORY)?;
    for event in &history.events {
        events.insert(event.revision(), history::encode(event).as_slice())?;
    }
    let mut floors = transaction.open_table(FLOORS)?;
    for (resource, floor) in &history.floors {
        floors.insert(resource.as_str(), *floor)?;
    }
    let mut meta = transaction.open_table(META)?;
    meta.insert("history_start", history.start)?;
    meta.insert("history_revision", revision)?;
    Ok(())
}

/// Reads the events written at a clean end, if nothing was written after.
fn recall(database: &Database, revision: u64) -> Result<Option<History>, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let number = |name| -> Result<Option<u64>, redb::Error> {
        Ok(meta.get(name)?.map(|guard| guard.value()))
    };
    let (written, start) = (number("history_revision")?, number("history_start")?);
    let Some(start) = start.filter(|_| written == Some(revision)) else {
        return Ok(None);
    };
    let mut history = History {
        start,
        ..History::default()
    };
    for entry in transaction.open_table(HISTORY)?.iter()? {
        let (_, value) = entry?;
        let Some(event) = history::decode(value.value()) else {
            return Ok(None);
        };
        history.events.push(Arc::new(event));
    }
    for entry in transaction.open_table(FLOORS)?.iter()? {
        let (resource, floor) = entry?;
        let resource = Resource::new(resource.value());
        history.floors.insert(resource, floor.value());
    }
    Ok(Some(history))
}

fn open_and_load(
    source: &Source,
    cache_bytes: usize,
) -> Result<(Database, Snapshot, History), OpenError> {
    let path = source.path.as_path();
    let mut database = source
        .create(cache_bytes)
        .map_err(|cause| open_error(path, cause.into()))?;
    // After a crash the file was brought to its last commit above. What does not add up now
    // is damage; a page that repeats another has sound values, and only its place is wrong.
    let sound = database.check_integrity();
    if !sound.map_err(|cause| open_error(path, cause.into()))? {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            what: "its pages do not match their checksums".into(),
        });
    }
    let snapshot = load(&database).map_err(|problem| match problem {
        Problem::File(cause) => open_error(path, *cause),
        Problem::Damaged(what) => OpenError::Damaged {
            path: path.to_owned(),
            what,
        },
        Problem::Format(found) => OpenError::Format {
            path: path.to_owned(),
            found,
        },
    })?;
    let history = match recall(&database, snapshot.revision) {
        Ok(Some(history)) => history,
        // Watches start anew: nothing but their backlog is lost.
        Ok(None) | Err(_) => History {
            start: snapshot.revision,
            ..History::default()
        },
    };
    Ok((database, snapshot, history))
}

enum Problem {
    File(Box<redb::Error>),
    Damaged(String),
    Format(u64),
}

impl<E: Into<redb::Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::File(Box::new(error.into()))
    }
}

fn load(database: &Database) -> Result<Snapshot, Problem> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Snapshot::default()),
        Err(cause) => return Err(cause.into()),
    };
    let number =
        |name| -> Result<Option<u64>, Problem> { Ok(meta.get(name)?.map(|guard| guard.value())) };
    match number("format")? {
        Some(FORMAT) => {}
        found => return Err(Problem::Format(found.unwrap_or(0))),
    }
    let mut snapshot = Snapshot::default();
    let mut count = 0_u64;
    match transaction.open_table(OBJECTS) {
        Ok(objects) => {
            let mut resource = Resource::new("");
            for entry in objects.iter()? {
                let (place, value) = entry?;
                let (kind, namespace, name) = place.value();
                if resource.as_str() != kind {
                    resource = Resource::new(kind);
                }
                let key = Key::new(resource.clone(), namespace, name);
                let object = decode(key, value.value()).map_err(Problem::Damaged)?;
                snapshot.put(Arc::new(object));
                count += 1;
            }
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(cause) => return Err(cause.into()),
    }
    let expected = number("objects")?.unwrap_or(0);
    if expected != count {
        return Err(Problem::Damaged(format!(
            "it holds {count} objects instead of {expected}"
        )));
    }
    let revision = number("revision")?.unwrap_or(0);
    if snapshot.revision > revision {
        return Err(Problem::Damaged(format!(
            "an object is newer than revision {revision}"
        )));
    }
    snapshot.revision = revision.max(number("reserved")?.unwrap_or(0));
    Ok(snapshot)
}
