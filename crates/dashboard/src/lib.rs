//! Turns answers into pages; decides nothing.
//!
//! [`Dashboard`] watches clusters (one list and one watch for each kind,
//! however many people look), asks the server's own API about releases, and
//! serves pages that work without scripts and keep themselves up to date with
//! them. What may be done is decided by the server and by the clusters.

mod act;
mod age;
mod answer;
mod assets;
mod audit;
mod board;
mod cell;
mod dashboard;
mod desk;
mod door;
mod export;
mod fold;
mod frame;
mod html;
mod listing;
mod live;
mod loads;
mod login;
mod logs;
mod page;
mod project;
mod query;
mod routes;
mod running;
mod search;
mod site;
mod text;
mod usage;
mod view;
mod watching;
mod world;

pub use act::cluster::rights;
pub use audit::AuditError;
pub use dashboard::{Dashboard, Options};
pub use desk::inside;
pub use login::{Attempt, Login, LoginError, Sign, Ticket, Visitor};
pub use running::Running;
