//! The API as its clients see it: raw requests, kube clients, kubectl.

mod access;
mod api;
mod ground;
mod kubectl;
mod lists;
mod logs;
mod pods;
mod services;
mod watches;
mod writes;
