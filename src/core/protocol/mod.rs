//! The write-ahead protocol: what is observed, what is decided, and what a reply of Cognito concludes.
//!
//! Imports every other room of the core; no other room of the core imports the protocol.

pub mod observation;
pub mod version;

pub mod conclude;
pub mod decide;
pub mod decision;
pub(crate) mod duplicate;
pub mod outcome;
pub mod plan;
pub mod record;
pub mod reply;
pub mod request;
pub mod resend;
pub mod temporary;
pub mod wait;
