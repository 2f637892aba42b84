//! End-to-end tests: the real operator against a real control plane, moto and the fault server.

#[path = "../support/mod.rs"]
mod support;

mod asked;
mod bad_values;
mod budget;
mod duplicates;
mod endpoints;
mod failover;
mod gate;
mod grants;
mod hardening;
mod hostile;
mod iam_policy;
mod identity;
mod infrastructure;
mod keys;
mod kstatus;
mod kustomize;
mod leaks;
mod lifecycle;
mod lost_replies;
mod main_job;
mod manifests;
mod moved;
mod namespace_deletion;
mod namespaced_install;
mod outages;
mod overlays;
mod pauses;
mod port;
mod quiet;
mod reasons;
mod rights;
mod roles;
mod scale;
mod schema;
mod scopes;
mod secret_selector;
mod secrets;
mod shutdown;
mod suspended;
mod temporary;
mod told;
mod user_agent;
mod world;
