//! Reads what the commands for people judge. Each read asks first whether the caller has the right
//! ([`access::seen`]), so that a missing right is one line of the output and never the end.

pub mod access;
pub mod counts;
pub mod crds;
pub mod deployment;
#[cfg(test)]
pub(crate) mod fake;
pub mod follow;
pub mod grants;
pub mod installation;
pub mod lease;
pub mod lists;
pub mod namespace;
pub mod namespaces;
pub mod observed;
pub mod operator;
pub mod operators;
pub mod pages;
pub mod report;
pub mod resources;
pub mod rights;
pub mod secret;
