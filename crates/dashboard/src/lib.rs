//! Turns answers into pages; decides nothing.

mod assets;
mod page;
mod status;

pub use assets::assets;
pub use page::page;
pub use status::status;
