//! Finds and pins plans.
