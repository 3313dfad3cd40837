//! Which node a pod should run on, and why none fits.
