//! The GitOps tools of real clusters, beside the operator and a real API server: `make gitops`.

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod external_secrets;
mod flux;
