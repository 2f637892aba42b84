//! The Helm chart installed by the real Helm 3 and Helm 4 into a real API server, in which Deployments become
//! available: `make chart`.

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod adoption;
mod cluster;
mod helm_test;
mod lifecycle;
mod monitoring;
mod namespaced;
mod wait;
