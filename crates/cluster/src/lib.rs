//! Talks to any Kubernetes API: apply, inventory, watch, contexts.
