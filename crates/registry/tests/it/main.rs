//! The registry over real sockets: our client, skopeo, and bad clients.

mod access;
mod fixture;
mod images;
mod protocol;
mod restart;
mod skopeo;
