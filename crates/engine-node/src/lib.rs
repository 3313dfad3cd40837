//! Runs pods on this machine and reports their state; simulated nodes.
