//! What every call of Cognito leaves behind, whatever the operation: the end of its permit, and its metrics.
//!
//! Imports `context` and `schedule`.

use super::{
    context::Context,
    schedule::permits::{Permit, Waiter},
};
use crate::{
    api::Reason,
    cognito::Cognito,
    core::protocol::{
        outcome::reason_and_class,
        reply::{NotSent, Reply},
    },
    ops::metrics,
};
use std::time::Duration;

/// Ends the permit of a call, and counts the call. Returns the code of the reply, as the metrics and the log name
/// the code.
pub(super) fn ended<'a, C: Cognito, K: Waiter, T>(
    context: &Context<C>,
    mut permit: Permit<K>,
    operation: &'static str,
    reply: &'a Reply<T>,
    took: Duration,
) -> &'a str {
    match reply {
        // Without a connection, the service may be away: the rate limiter gives few permits until a call is
        // answered.
        Reply::NoReply { .. }
        | Reply::NotSent {
            cause: NotSent::Connect,
            ..
        } => permit.no_reply(),
        Reply::NotSent { .. } => {}
        Reply::Success { .. } => permit.answered(),
        Reply::ServiceError(error) => {
            permit.answered();
            if reason_and_class(error).0 == Reason::TooManyRequests {
                permit.throttled();
            }
        }
    }
    let code = code(reply);
    context.metrics.cognito_call(operation, code, took);
    code
}

fn code<T>(reply: &Reply<T>) -> &str {
    match reply {
        Reply::Success { .. } => metrics::OK,
        Reply::ServiceError(error) => error.code.as_deref().unwrap_or(metrics::OTHER),
        Reply::NotSent { .. } => metrics::NOT_SENT,
        Reply::NoReply { .. } => metrics::NO_REPLY,
    }
}
