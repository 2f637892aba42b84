//! End-to-end tests: the real operator against a real control plane, moto and the fault server.

#[path = "../support/mod.rs"]
mod support;

mod infrastructure;
mod main_job;
