//! Who is asking: people, machines and their tokens.
//!
//! A token is random text that is shown once; only its hash is kept. What a
//! token may do is a list of [`Right`]s. The crate answers who somebody is and
//! what rights they hold; whether a release is allowed is for `release` to say.

mod right;
mod store;
mod token;

pub use right::{Principal, Right};
pub use store::{IdentityError, Store};
pub use token::Token;
