//! Flux's kustomize-controller applies what a repository holds, and waits for the operator.

mod controller;
mod example;
mod prune;
mod substitute;
mod wait;
