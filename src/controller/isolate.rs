//! Isolation of panics: a panic in the work for one object stops the work for that object only.
//!
//! The tasks of this process serve all objects, and a panic ends a task. So each task runs the work for
//! one object inside [`isolated`] or [`isolated_async`]. Both functions log a panic with the object's
//! name, and count the panic. Code that only handles keys (the queue, the order of the recorder) has no
//! such guard. No object can cause a panic there, so the process ends and is restarted.

use crate::ops::metrics::Metrics;
use futures::FutureExt;
use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};
use tracing::error;

/// Runs the work for one object. None if the work panicked: what the work changes must be usable after
/// a panic, because [`AssertUnwindSafe`] turns the compiler's check off.
pub fn isolated<T>(
    metrics: &Metrics,
    object: &dyn Display,
    step: &'static str,
    work: impl FnOnce() -> T,
) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.map_err(|_| report(metrics, object, step)).ok()
}

/// The same as [`isolated`], for asynchronous work.
pub async fn isolated_async<T>(
    metrics: &Metrics,
    object: &(dyn Display + Sync),
    step: &'static str,
    work: impl Future<Output = T>,
) -> Option<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.map_err(|_| report(metrics, object, step)).ok()
}

/// Logs the object and the step. The panic hook of [`crate::ops::logging`] logs where the panic
/// happened.
fn report(metrics: &Metrics, object: &dyn Display, step: &'static str) {
    error!(%object, step, "the work for one object panicked; other objects are not affected");
    metrics.panicked();
}
