//! The commands for people and pods. Each file is one command: its arguments, what the command reads, and what
//! the command prints. What the facts mean is decided in [`crate::core`].
//!
//! - `session` finds the API server as kubectl does, and `output` knows the formats and the terminal.
//! - `select` reads the resources that a command is about, `following` follows one, and `entries` has the result of
//!   a command for each.
//! - The plugin of kubectl has all commands; the operator's program has `check`, `crd`, `iam-policy` and `wait`.

pub mod check;
pub mod completion;
pub mod crd;
pub mod doctor;
mod entries;
pub mod exit;
pub mod explain;
pub(crate) mod following;
pub mod grants;
mod http_get;
pub mod iam_policy;
pub mod names;
pub(crate) mod object_names;
pub mod output;
pub mod report;
mod select;
pub mod session;
pub mod set;
pub mod suspend;
pub mod version;
pub mod wait;
