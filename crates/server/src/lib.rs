//! Hosts the roles in one process: start order, health, shutdown.
