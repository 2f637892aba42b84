//! The commands for people and pods. Each file is one command: its arguments, what the command reads, and what
//! the command prints. What the facts mean is decided in [`crate::core`].
//!
//! - `session` finds the API server as kubectl does, and `output` knows the formats and the terminal.
//! - The plugin of kubectl has all commands; the operator's program has `check` and `wait`.

pub mod check;
pub mod completion;
pub mod doctor;
pub mod exit;
mod http_get;
pub mod output;
pub mod session;
pub mod version;
