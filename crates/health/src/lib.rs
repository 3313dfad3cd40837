//! What state a Kubernetes object is in, and why.
