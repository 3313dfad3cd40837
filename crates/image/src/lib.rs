//! Packs, unpacks and stores OCI images, and speaks to registries.
//!
//! A base adapter: it knows the OCI formats and one disk layout, and nothing
//! of services, plans or Kubernetes.
//!
//! ```text
//! pack ──▶ Store ──▶ push ──▶ RegistryClient ──▶ any registry
//!            ▲                                       │
//! unpacked ◀─┴───────────────── pull ◀───────────────┘
//! ```

mod blobs;
mod client;
mod manifest;
mod pack;
mod pull;
mod push;
mod reference;
mod store;
mod unpack;

pub use blobs::{BlobError, BlobStore, BlobWriter, Durability, ReceiveError, sync_directory};
pub use client::{
    ClientError, ClientOptions, Credentials, Fetched, PlainHttp, PushedBlob, RegistryClient,
};
pub use manifest::{
    Configuration, Descriptor, Index, Manifest, ManifestError, Platform, Runtime, media_type,
};
pub use pack::{Entry, PackError, PackOptions, Packed, USER_ID, pack};
pub use pull::{Policy, PullError, PullOptions};
pub use push::PushError;
pub use reference::{Reference, ReferenceError, check_repository, check_tag};
pub use store::{Garbage, Image, Store, StoreError};
pub use unpack::{UnpackError, UnpackLimits};
