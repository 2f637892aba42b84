//! Logs, metrics, probes and memory hardening: what people who run the operator need. This module knows
//! nothing about passwords or resources, and imports no other module of the crate.

pub mod hardening;
pub mod health;
pub mod logging;
pub mod metrics;
mod panics;
pub mod server;
pub mod stall;
