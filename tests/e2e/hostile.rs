//! Hostile input: what somebody writes, or answers, to stop others or to get what isn't theirs.

mod metadata;
