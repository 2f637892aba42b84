//! Broken installations, end to end: a stranger has only the plugin, learns the cause and a cure from `doctor NAME`,
//! `doctor -A` and `check`, runs the printed commands, and sees `Ready=True`.
//!
//! A missing grant, a wrong key, a line break in the value and a suspension are in `doctor.rs`.

mod crds;
mod identity;
mod leaders;
mod rules;
mod watched;

/// The passwords of the resources of these tests.
const FIRST: &str = "Broken-First-Passw0rd";
const SECOND: &str = "Broken-Second-Passw0rd";
