//! Reads the config repository and commits to it durably.
