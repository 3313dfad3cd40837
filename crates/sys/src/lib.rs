//! Namespaces, mounts, signals: the one crate with unsafe code.
