//! News: a manifest is here, durably.

use foreshore_model::Digest;
use jiff::Timestamp;

/// One push that changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Grows with every change of the registry; never used twice.
    pub sequence: u64,
    pub at: Timestamp,
    pub repository: String,
    pub digest: Digest,
    pub tag: Option<String>,
    /// `artifactType`, or the configuration's media type.
    pub artifact_type: Option<String>,
}
