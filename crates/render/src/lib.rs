//! Plan + variables -> manifests; template functions.
