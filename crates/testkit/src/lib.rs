//! Clock, disk, network simulators, fixtures, cluster harness, redaction.
