//! The count of visits, durable in SQLite.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

/// Visits counted so far.
#[derive(Debug)]
pub(crate) struct Visits {
    connection: Mutex<Connection>,
}

impl Visits {
    pub(crate) fn open(path: impl AsRef<Path>) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS visit (at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT",
        )?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Adds one visit and returns the count.
    pub(crate) fn add(&self) -> rusqlite::Result<u64> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connection.execute("INSERT INTO visit DEFAULT VALUES", [])?;
        Self::count_with(&connection)
    }

    pub(crate) fn count(&self) -> rusqlite::Result<u64> {
        Self::count_with(
            &self
                .connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn count_with(connection: &Connection) -> rusqlite::Result<u64> {
        connection.query_row("SELECT count(*) FROM visit", [], |row| {
            row.get::<_, i64>(0).map(i64::unsigned_abs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.db");
        let visits = Visits::open(&path).unwrap();
        assert_eq!((visits.add().unwrap(), visits.add().unwrap()), (1, 2));
        drop(visits);
        assert_eq!(Visits::open(&path).unwrap().count().unwrap(), 2);
    }
}
