//! The door at which a broken identity stops everybody at once: while there are no credentials,
//! one probe looks for them, not each resource; when they are there again, all that were turned
//! away are looked at.

use super::key::Key;
use crate::{
    cognito::Cognito,
    core::{reply::CredentialsFailure, target::Region},
};
use futures::FutureExt;
use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tracing::{error, info, warn};

/// Between two probes: 1 s growing to 15 s.
const PROBE_FIRST: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(15);

/// See the module.
pub struct Credentials<C> {
    cognito: Arc<C>,
    /// A door for each Region: where STS is asked in the pool's Region, a Region that doesn't
    /// exist must not close the others.
    doors: Arc<Mutex<HashMap<Region, Door>>>,
    /// Called for each resource that was turned away, once there are credentials.
    healed: Arc<dyn Fn(&Key) + Send + Sync>,
}

#[derive(Default)]
struct Door {
    /// Why nobody passes, while a probe is under way.
    broken: Option<CredentialsFailure>,
    turned_away: HashSet<Key>,
}

impl<C: Cognito> Credentials<C> {
    /// `healed` is called for each resource that was turned away, once there are credentials.
    pub fn new(cognito: Arc<C>, healed: impl Fn(&Key) + Send + Sync + 'static) -> Self {
        Self {
            cognito,
            doors: Arc::default(),
            healed: Arc::new(healed),
        }
    }

    /// Makes sure that there are credentials.
    ///
    /// # Errors
    /// [`CredentialsFailure`]: the resource is remembered, and looked at when there are some.
    pub async fn ensure(&self, resource: &Key, region: &Region) -> Result<(), CredentialsFailure> {
        if let Some(failure) = self.turn_away(resource, region) {
            return Err(failure);
        }
        let Err(failure) = self.cognito.authenticate(region).await else {
            return Ok(());
        };
        let first = {
            let mut doors = lock(&self.doors);
            let door = doors.entry(region.clone()).or_default();
            door.turned_away.insert(resource.clone());
            door.broken.replace(failure.clone()).is_none()
        };
        if first {
            warn!(%region, error = %failure, "no AWS credentials: nothing can be set until there are some");
            tokio::spawn(probe(
                self.cognito.clone(),
                region.clone(),
                self.doors.clone(),
                self.healed.clone(),
            ));
        }
        Err(failure)
    }

    /// Why nobody passes, if it is so: the resource is remembered, and looked at when that changes.
    #[must_use]
    pub fn turn_away(&self, resource: &Key, region: &Region) -> Option<CredentialsFailure> {
        let mut doors = lock(&self.doors);
        let door = doors.get_mut(region)?;
        let failure = door.broken.clone()?;
        door.turned_away.insert(resource.clone());
        Some(failure)
    }
}

async fn probe<C: Cognito>(
    cognito: Arc<C>,
    region: Region,
    doors: Arc<Mutex<HashMap<Region, Door>>>,
    healed: Arc<dyn Fn(&Key) + Send + Sync>,
) {
    let mut pause = PROBE_FIRST;
    loop {
        tokio::time::sleep(pause).await;
        // A probe that died would leave the door closed for good.
        match AssertUnwindSafe(cognito.authenticate(&region))
            .catch_unwind()
            .await
        {
            Ok(Ok(())) => break,
            Ok(Err(failure)) => {
                lock(&doors).entry(region.clone()).or_default().broken = Some(failure);
            }
            Err(_) => error!(%region, "the look for AWS credentials panicked; it is repeated"),
        }
        pause = (pause * 2).min(PROBE_MAX);
    }
    let door = lock(&doors).remove(&region).unwrap_or_default();
    let turned_away = door.turned_away;
    info!(%region, resources = turned_away.len(), "there are AWS credentials");
    for resource in &turned_away {
        healed(resource);
    }
}

fn lock(doors: &Mutex<HashMap<Region, Door>>) -> MutexGuard<'_, HashMap<Region, Door>> {
    doors.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        password::Password,
        reply::Reply,
        target::{PoolId, Target},
    };
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Fails so many times, then has credentials.
    struct Identity {
        failures: AtomicU32,
        asked: AtomicU32,
    }

    impl Cognito for Identity {
        async fn authenticate(&self, _: &Region) -> Result<(), CredentialsFailure> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let left = |left: u32| left.checked_sub(1);
            match self
                .failures
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            {
                Ok(_) => Err(CredentialsFailure("none".to_owned())),
                Err(_) => Ok(()),
            }
        }

        async fn admin_set_user_password(&self, _: &Target, _: &Password, _: bool) -> Reply {
            unreachable!("nothing is set here")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_identity_is_probed_once_and_heals_everybody() {
        let identity = Arc::new(Identity {
            failures: AtomicU32::new(3),
            asked: AtomicU32::new(0),
        });
        let (told, mut healed) = tokio::sync::mpsc::unbounded_channel();
        let credentials = Credentials::new(identity.clone(), move |key: &Key| {
            told.send(key.clone()).expect("the test listens");
        });
        let region = PoolId::parse("eu-west-1_a").expect("valid").region();
        let key = |n: u32| Key {
            namespace: "team-a".to_owned(),
            name: format!("bot-{n}"),
        };
        for n in 0..1_000 {
            assert!(credentials.ensure(&key(n), &region).await.is_err());
        }
        assert_eq!(identity.asked.load(Ordering::Relaxed), 1);
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            seen.insert(healed.recv().await.expect("a resource"));
        }
        assert_eq!(seen.len(), 1_000);
        assert_eq!(identity.asked.load(Ordering::Relaxed), 4);
        assert!(credentials.ensure(&key(0), &region).await.is_ok());
    }
}
