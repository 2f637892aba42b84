//! The operator under `GitOps` tools, run for real: `make gitops`.

#[path = "../support/mod.rs"]
mod support;

#[path = "../e2e/kstatus.rs"]
#[allow(dead_code)]
mod kstatus;
#[path = "../e2e/world.rs"]
#[allow(dead_code)]
mod world;

mod argo;
mod cluster;
mod external_secrets;
mod flux;
