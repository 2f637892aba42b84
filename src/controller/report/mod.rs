//! What is written beside reconciles: the grants' status, and the recorded versions of Secrets.
//!
//! Imports `context`, `reconcile`, `schedule` and `state`.

pub(crate) mod version_recorder;

pub(crate) mod grant_status;
