//! The base of the end-to-end tests and the demo: a real control plane, moto (a Cognito in which users sign
//! in), the fault server (a Cognito that misbehaves), and the operator as a process.
//!
//! Every server listens on loopback only and keeps its files in one temporary directory. Every server ends
//! with the process that started it, however that process ends (see `process`).
// Each test binary and the demo compile this module on their own and use a part of it.
#![allow(dead_code, unused_imports)]

mod audit;
mod certificates;
mod control_plane;
mod fault_server;
pub(crate) mod http;
pub(crate) mod kstatus;
mod leaks;
pub(crate) mod metrics;
pub(crate) mod moto;
pub(crate) mod operator;
mod ports;
mod process;
pub(crate) mod prometheus;
mod proxy;
mod random;
mod scratch;
mod server;
mod tls_front;
pub(crate) mod tools;
mod wait;

pub(crate) use audit::{AuditQuery, Mark, Version, is_list};
pub(crate) use control_plane::{ControlPlane, client_for};
pub(crate) use fault_server::{
    AssumeRole, Call, Failure, Fault, FaultServer, Listing, OWN_ACCOUNT, Operation, Origin,
    OtherCall, Outcome, SOMEBODY_ELSE, Script, Session, Subject, UserState, UserStatus,
    most_calls_in_a_second, most_in_a_second, pool_arn, session_key,
};
pub(crate) use leaks::{Leaks, Place, Remains, search, spellings};
pub(crate) use moto::{AccessKey, Moto, SignIn};
pub(crate) use operator::{Operator, OperatorBuilder};
pub(crate) use ports::free_port;
pub(crate) use process::{Exit, Process, Signal, Spec};
pub(crate) use prometheus::Prometheus;
pub(crate) use proxy::{ApiFault, HeldRequest, HoldRule, Kind, Moment, ProxiedRequest, Proxy};
pub(crate) use random::Random;
pub(crate) use scratch::scratch;
pub(crate) use server::Server;
pub(crate) use tls_front::TlsFront;
pub(crate) use wait::{
    await_resource, condition, describe, eventually, grants, resource, resources, wait_reason,
};
