//! The Helm chart, rendered by the real Helm: the chart renders what deploy/ renders, each value has an effect,
//! and wrong values are refused with a sentence. No cluster is needed.

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod dashboard;
mod equal;
mod flags;
mod odd;
mod pages;
mod refusals;
mod render;
mod sentences;
mod series;
mod suites;
mod umbrella;
mod values;
