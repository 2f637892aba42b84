//! The write-ahead protocol: observation, decision, plan, outcome and conclusion.
//!
//! The protocol imports every other room of the core. No other room of the core imports the protocol.

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
