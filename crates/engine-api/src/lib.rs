//! Serves the Kubernetes API over the store.
