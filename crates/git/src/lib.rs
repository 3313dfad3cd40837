//! Runs git plumbing, serves smart HTTP.
