//! The whole platform in one process, as `foreshore up` starts it.

mod ports;
mod record;

pub use ports::{PortError, Ports, WantedPorts, listen};
pub(crate) use record::write_private;
pub use record::{Record, RecordError};
