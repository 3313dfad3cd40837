//! Artifacts and their evidence, to and from a registry.
