//! Assembles store, API, controllers, scheduler and node into one in-process cluster.

pub mod control;
