//! The places of reconciles: so many run at the same time. A reconcile that waits for a service of
//! AWS gives its place to others meanwhile: a Region, an account or a role that hangs keeps nobody
//! else waiting. How many wait for AWS is bounded elsewhere: for calls by the budgets, for credentials
//! by one for each authority.

use std::{future::Future, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Places(Arc<Semaphore>);

/// A place, which is free again when this is dropped.
pub struct Place(#[expect(dead_code, reason = "dropped")] OwnedSemaphorePermit);

/// A place that was given to others and is wanted back.
struct Lent<'a>(&'a Semaphore);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.forget_permits(1);
    }
}

impl Places {
    /// So many places.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places)))
    }

    /// Waits for a place.
    ///
    /// # Panics
    /// Never: the semaphore is never closed.
    pub async fn take(&self) -> Place {
        let permit = self.0.clone().acquire_owned().await;
        Place(permit.expect("the semaphore is never closed"))
    }

    /// Waits for a service of AWS, without the place that the caller has. The caller goes on once there
    /// is a place again.
    ///
    /// # Panics
    /// Never: the semaphore is never closed.
    pub async fn without<F: Future>(&self, wait: F) -> F::Output {
        self.0.add_permits(1);
        // If the wait is given up, or panics, the caller's own place is still counted.
        let lent = Lent(&self.0);
        let output = wait.await;
        let permit = self.0.acquire().await;
        permit.expect("the semaphore is never closed").forget();
        std::mem::forget(lent);
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::future::{pending, ready};

    #[tokio::test]
    async fn whoever_waits_for_a_service_makes_room_and_comes_back() {
        let places = Places::new(1);
        let one = places.take().await;
        assert!(places.take().now_or_never().is_none());
        let (done, wait) = tokio::sync::oneshot::channel::<()>();
        let waits = tokio::spawn({
            let places = places.clone();
            async move { places.without(wait).await }
        });
        tokio::task::yield_now().await;
        let other = places.take().await;
        done.send(()).expect("it is waited for");
        tokio::task::yield_now().await;
        assert!(!waits.is_finished(), "no place is free");
        drop(other);
        assert!(waits.await.expect("no panic").is_ok());
        assert!(places.take().now_or_never().is_none());
        drop(one);
        assert!(places.take().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_as_many_places_as_before() {
        let places = Places::new(1);
        let one = places.take().await;
        assert!(places.without(pending::<()>()).now_or_never().is_none());
        assert!(places.take().now_or_never().is_none());
        assert!(places.without(ready(())).now_or_never().is_some());
        drop(one);
        assert!(places.take().now_or_never().is_some());
    }
}
