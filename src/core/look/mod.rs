//! A look at the users of a pool: a call that changes nothing. This folder holds what a look asks for and what
//! a look shows.
//!
//! Imports no other folder.

pub mod user;
