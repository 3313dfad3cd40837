//! Generated tables of one Kubernetes minor: kinds, fields, list keys,
//! defaults, columns, protobuf numbers, and the pure functions that read
//! objects through them. Objects are `serde_json::Value`.
//!
//! A new built-in kind is a line in the generator's list plus, where the real
//! server computes something, a hook in [`defaults`]. Nothing here
//! knows requests, storage or time; the tables come from `data/`, which
//! `foreshore-engine-schema-generate` writes from a real API server's documents.

mod conform;
mod convert;
pub mod custom;
pub mod defaults;
mod fields;
pub mod json;
mod load;
pub mod openapi;
pub mod proto;
mod quantity;
mod resource;
mod schema;
pub mod table;
mod types;
mod violation;

pub use conform::conform;
pub use convert::convert;
pub use defaults::apply_defaults;
pub use fields::{Report, TypeMismatch, check_fields};
pub use json::{DuplicateKey, Limits, ParseError, parse_json, parse_json_with};
pub use quantity::{Quantity, QuantityError};
pub use resource::{Column, GroupVersion, GroupVersionKind, Resource, Subresource, Support};
pub use schema::Schema;
pub use types::{
    Field, ListKey, ListKind, ListType, MapType, PatchStrategy, Presence, Scalar, Shape,
    StructType, Type, TypeId, TypeRef, Types,
};
pub use violation::{Reason, Violation, check_required};
