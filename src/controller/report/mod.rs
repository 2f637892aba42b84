//! Writes status beside the reconciles: the status of grants, and the verified versions of Secrets.
//!
//! Imports `context`, `reconcile`, `schedule` and `state`.

pub(crate) mod version_recorder;

pub(crate) mod grant_status;
