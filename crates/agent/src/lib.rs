//! Brings one cluster to what the config repository says.
