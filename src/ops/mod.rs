//! What those who run the operator see of it, and what keeps its memory to itself. Nothing here
//! knows what the operator does; nothing here imports another of our modules.

pub mod hardening;
pub mod health;
pub mod logging;
pub mod metrics;
mod panics;
pub mod server;
pub mod stall;
