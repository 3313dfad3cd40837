//! Serves the OCI distribution protocol from disk.
