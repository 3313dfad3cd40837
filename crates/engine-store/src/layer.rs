//! The file under the store: a real one, or one of the caller's making, with which tests
//! cut the power or fill the disk.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use redb::{Database, DatabaseError, StorageBackend};

/// Opens the file anew, after a start and after every failed write.
#[derive(Clone)]
pub struct Layer(Arc<dyn Fn() -> io::Result<Box<dyn StorageBackend>> + Send + Sync>);

impl Layer {
    pub fn new<B: StorageBackend>(
        open: impl Fn() -> io::Result<B> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move || Ok(Box::new(open()?))))
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Layer")
    }
}

/// Where the file is and how it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Also names it in messages.
    pub(crate) path: PathBuf,
    pub(crate) layer: Option<Layer>,
}

impl Source {
    /// Opens the file; makes it when it is missing.
    pub(crate) fn create(&self, cache_bytes: usize) -> Result<Database, DatabaseError> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        match &self.layer {
            None => builder.create(&self.path),
            Some(layer) => {
                let file = (layer.0)().map_err(|cause| DatabaseError::Storage(cause.into()))?;
                builder.create_with_backend(Boxed(file))
            }
        }
    }

    /// Opens a file that is there.
    pub(crate) fn open(&self, cache_bytes: usize) -> Result<Database, DatabaseError> {
        if self.layer.is_some() {
            return self.create(cache_bytes);
        }
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        builder.open(&self.path)
    }
}

/// A boxed file as the database takes it.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}
