//! The one integration test binary of `engine-node`.
