//! Tests of the infrastructure of the other end-to-end tests. Tests of the facts about the AWS SDK on which
//! the design rests.

mod fault_listing;
mod fault_operations;
mod fault_persons;
mod fault_server;
mod fault_users;
mod kubernetes;
mod moto;
mod operator;
mod processes;
mod proxy;
mod sdk;
mod sts;
