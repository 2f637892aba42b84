//! The real kube-state-metrics makes the series of monitoring/kube-state-metrics.yaml of real resources in a real API
//! server, with the rights that docs/monitoring.md gives it: `make alerts`.

#[path = "../support/mod.rs"]
mod support;

mod promtool;
mod series;
mod state_metrics;

const POOL: &str = "eu-west-1_AbCdEf123";
