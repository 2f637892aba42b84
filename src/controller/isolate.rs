//! Isolation of panics: a panic in the work for one object stops the work for that object only.
//!
//! The tasks of this process serve all objects, and a task ends with a panic. So each task runs the work
//! for one object within one of these functions. They log a panic with the object's name and count it.
//! Code that only handles keys (the queue, the order of the recorder) has no such guard: a panic there
//! is no object's fault, and the process ends and begins anew.

use crate::ops::metrics::Metrics;
use futures::FutureExt;
use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};
use tracing::error;

/// Does the work for one object. None if the work panicked; whatever it changes must be usable then.
pub fn isolated<T>(
    metrics: &Metrics,
    object: &dyn Display,
    step: &'static str,
    work: impl FnOnce() -> T,
) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.map_err(|_| report(metrics, object, step)).ok()
}

/// The same for asynchronous work.
pub async fn isolated_async<T>(
    metrics: &Metrics,
    object: &(dyn Display + Sync),
    step: &'static str,
    work: impl Future<Output = T>,
) -> Option<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.map_err(|_| report(metrics, object, step)).ok()
}

/// The panic's own line, by [`crate::ops::logging`], says where it was.
fn report(metrics: &Metrics, object: &dyn Display, step: &'static str) {
    error!(%object, step, "the work for one object panicked; other objects are not affected");
    metrics.panicked();
}
