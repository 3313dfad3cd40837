//! JSON, merge and strategic-merge patch, and server-side apply with field ownership.
