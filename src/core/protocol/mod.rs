//! The write-ahead protocol: observation, decision, plan, outcome and conclusion.
//!
//! The protocol imports every other folder of the core except [`crate::core::checkup`]. No other folder of the
//! core imports the protocol.
//!
//! - Record: what a status has of set values, namely `synced`, `attempt`, `retired` and `quarantinedUntil`.
//! - Attempt: one planned call, on record before the call is made.
//! - Take-over: a later plan continues an open attempt of the same value.
//! - Spent: a temporary value that may have been applied already.
//!
//! A lost reply is handled in these places:
//!
//! - `cognito/aws/translate.rs` gives `Reply::NoReply`.
//! - [`outcome::classify`] makes `Effect::Unknown` of it.
//! - [`conclude`] keeps the attempt open.
//! - [`decide`] takes the attempt over, or waits for the quarantine before it plans a different value.
//! - [`quarantine`] has the 30 s of the quarantine.
//! - [`resend`] and [`temporary`] leave a temporary value alone that may have been applied.
//! - `controller/schedule/user_locks.rs` guards against other resources of the same user.

pub mod observation;
pub mod version;

pub mod conclude;
pub(crate) mod correction;
pub mod decide;
pub mod decision;
pub(crate) mod duplicate;
pub(crate) mod looked;
pub mod obligation;
pub mod outcome;
pub(crate) mod owed;
pub mod plan;
pub mod quarantine;
pub mod record;
pub mod reply;
pub mod request;
pub mod resend;
pub(crate) mod retry;
pub mod sign_out;
pub mod temporary;
