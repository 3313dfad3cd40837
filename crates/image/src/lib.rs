//! Packs, unpacks, stores OCI images.
