//! Which release is allowed, what it changes, what a promotion or rollback means.
