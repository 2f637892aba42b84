//! The command lines of the two programs: the operator, and the plugin of kubectl.

mod complete;
#[cfg(feature = "operator")]
pub mod operator;
mod parse;
pub mod plugin;
mod plugin_help;
