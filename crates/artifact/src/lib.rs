//! Artifacts and their evidence, to and from a registry.
//!
//! An artifact is one OCI manifest of the type
//! [`foreshore_model::artifact::ARTIFACT_TYPE`] with one layer, the record in
//! its canonical form. The digest of the manifest names the artifact; its id is
//! the tag. The crate moves records and checks them; it builds and decides
//! nothing.

mod document;
mod fetch;
mod push;
mod signature;
mod tree;

pub use document::{
    Document, DocumentError, RECORD_BYTES_MAX, document, read, record_descriptor, repository,
};
pub use fetch::{FetchError, Fetched, fetch, list};
pub use push::{PushError, Pushed, push};
pub use signature::{
    PublicKey, SIGNATURE_TYPE, SignatureDocument, SigningKey, SigningKeyError, VerifyError, verify,
};
pub use tree::is_tree_of;
