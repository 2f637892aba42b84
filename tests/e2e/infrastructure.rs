//! What the other end-to-end tests lean on, held to its own promises; and the facts about the AWS
//! SDK that shaped the design, measured anew on every run.

mod fault_server;
mod kubernetes;
mod moto;
mod operator;
mod processes;
mod proxy;
mod sdk;
mod sts;
