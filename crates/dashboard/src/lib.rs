//! Turns answers into pages; decides nothing.
