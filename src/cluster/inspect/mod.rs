//! Reads what the commands for people judge. Each read asks first whether the caller has the right
//! ([`access::seen`]), so that a missing right is one line of the output and never the end.

pub mod access;
pub mod follow;
pub mod installation;
pub mod observed;
pub mod operator;
