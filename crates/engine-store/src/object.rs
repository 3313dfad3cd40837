//! Names and contents of what is stored. Contents are bytes; only the place of the
//! revision inside them is known here.

use std::borrow::Borrow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// The name of a collection, such as `deployments.apps`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource(Arc<str>);

impl Resource {
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Resource {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where an object lives; the namespace is empty for cluster-wide objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub resource: Resource,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    pub fn new(
        resource: Resource,
        namespace: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            resource,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(formatter, "{}/{}", self.resource, self.name)
        } else {
            write!(
                formatter,
                "{}/{}/{}",
                self.resource, self.namespace, self.name
            )
        }
    }
}

/// Contents to be written, with the place where the store puts the revision in.
///
/// The revision is only known at commit, and readers want the finished bytes
/// without decoding them, so the committer inserts the decimal digits itself.
#[derive(Clone, Debug)]
pub struct Body {
    bytes: Vec<u8>,
    revision_at: Option<usize>,
}

impl Body {
    /// Contents that do not mention their revision.
    pub fn opaque(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            revision_at: None,
        }
    }

    /// Contents in which the revision is inserted at byte `revision_at`.
    ///
    /// An offset behind the end means the end.
    pub fn with_revision_at(bytes: impl Into<Vec<u8>>, revision_at: usize) -> Self {
        let bytes = bytes.into();
        let revision_at = Some(revision_at.min(bytes.len()));
        Self { bytes, revision_at }
    }

    pub(crate) fn finish(self, revision: u64) -> Bytes {
        let Some(at) = self.revision_at else {
            return Bytes::from(self.bytes);
        };
        let digits = revision.to_string();
        let mut whole = Vec::with_capacity(self.bytes.len() + digits.len());
        whole.extend_from_slice(&self.bytes[..at]);
        whole.extend_from_slice(digits.as_bytes());
        whole.extend_from_slice(&self.bytes[at..]);
        Bytes::from(whole)
    }
}

/// What selectors look at: pairs of a name and a value, worked out once per object.
pub type Facts = Box<[(Box<str>, Box<str>)]>;

/// One version of one object.
#[derive(Debug)]
pub struct Object {
    pub key: Key,
    /// Revision of this version.
    pub revision: u64,
    /// Revision at which the object came into being.
    pub created: u64,
    pub bytes: Bytes,
    facts: OnceLock<Facts>,
}

impl Object {
    pub(crate) fn new(key: Key, revision: u64, created: u64, bytes: Bytes) -> Self {
        Self {
            key,
            revision,
            created,
            bytes,
            facts: OnceLock::new(),
        }
    }

    /// Returns the object's facts; `extract` runs at most once per version.
    pub fn facts(&self, extract: impl FnOnce(&Self) -> Facts) -> &Facts {
        self.facts.get_or_init(|| extract(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_inserted_where_the_body_says() {
        let body = Body::with_revision_at(*br#"{"rv":""}"#, 7);
        assert_eq!(&body.finish(42)[..], br#"{"rv":"42"}"#);
        assert_eq!(&Body::opaque(*b"x").finish(42)[..], b"x");
        assert_eq!(&Body::with_revision_at(*b"x", 99).finish(7)[..], b"x7");
    }
}
