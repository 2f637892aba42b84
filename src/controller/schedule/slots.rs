//! Slots bound the number of reconciles that run at the same time.
//!
//! A reconcile that waits for a service of AWS gives its slot to other reconciles meanwhile. So a Region, an
//! account or a role that hangs stops no other reconcile. Other limits bound the number of reconciles that
//! wait for AWS: the rate limiters bound the calls, and for credentials only one reconcile of each authority
//! waits.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// The slots of all reconciles. Cheap to clone.
#[derive(Clone)]
pub struct Slots(Arc<Shared>);

struct Shared {
    max: isize,
    /// The number of slots in use. Exceeds `max` for a moment if a wait is cancelled after its slot went to
    /// another reconcile.
    taken: Mutex<isize>,
    freed: Notify,
}

/// A slot, which is free again once the value is dropped.
pub struct Slot(Slots);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.free();
    }
}

/// A slot that its reconcile gave away. Dropping this value counts the slot as in use again, so that the
/// count stays right if a wait is cancelled or panics.
struct LentSlot<'a>(&'a Slots);

impl Drop for LentSlot<'_> {
    fn drop(&mut self) {
        *self.0.taken() += 1;
    }
}

impl Slots {
    /// Creates this many slots.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Shared {
            max: isize::try_from(places).unwrap_or(isize::MAX),
            taken: Mutex::new(0),
            freed: Notify::new(),
        }))
    }

    /// Waits for a slot.
    pub async fn take(&self) -> Slot {
        self.enter().await;
        Slot(self.clone())
    }

    /// Gives the caller's slot away and waits for a service of AWS. Then waits for a slot again.
    pub async fn without<F: Future>(&self, wait: F) -> F::Output {
        self.free();
        let lent = LentSlot(self);
        let output = wait.await;
        self.enter().await;
        std::mem::forget(lent);
        output
    }

    async fn enter(&self) {
        loop {
            let freed = self.0.freed.notified();
            {
                let mut taken = self.taken();
                if *taken < self.0.max {
                    *taken += 1;
                    return;
                }
            }
            freed.await;
        }
    }

    fn free(&self) {
        *self.taken() -= 1;
        self.0.freed.notify_one();
    }

    fn taken(&self) -> MutexGuard<'_, isize> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::future::{pending, ready};

    fn is_free(places: &Slots) -> bool {
        places.take().now_or_never().is_some()
    }

    #[tokio::test]
    async fn a_slot_is_free_while_its_reconcile_waits_for_a_service() {
        let places = Slots::new(1);
        let one = places.take().await;
        assert!(!is_free(&places));
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
        assert!(!is_free(&places));
        drop(one);
        assert!(is_free(&places));
    }

    #[tokio::test]
    async fn a_cancelled_wait_leaves_the_number_of_slots_unchanged() {
        let places = Slots::new(1);
        let one = places.take().await;
        assert!(places.without(pending::<()>()).now_or_never().is_none());
        assert!(!is_free(&places));
        assert!(places.without(ready(())).now_or_never().is_some());
        drop(one);
        assert!(is_free(&places));
    }

    #[tokio::test]
    async fn a_cancelled_wait_whose_slot_was_taken_adds_no_slot() {
        let places = Slots::new(1);
        let one = places.take().await;
        let mut waits = Box::pin(places.without(pending::<()>()));
        assert!(waits.as_mut().now_or_never().is_none());
        let other = places.take().await;
        drop(waits);
        drop(one);
        assert!(!is_free(&places), "the other has it");
        drop(other);
        let only = places.take().await;
        assert!(!is_free(&places));
        drop(only);
    }

    #[tokio::test]
    async fn each_freed_slot_is_taken_by_a_waiting_task() {
        let places = Slots::new(2);
        let mut taken = vec![places.take().await, places.take().await];
        let waits: Vec<_> = (0..20)
            .map(|_| {
                let places = places.clone();
                tokio::spawn(async move {
                    drop(places.take().await);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        taken.clear();
        for wait in waits {
            wait.await.expect("no panic");
        }
        assert_eq!(*places.taken(), 0);
    }
}
