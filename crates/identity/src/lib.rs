//! Who is asking: users, tokens.
