//! The door at which a broken identity stops everybody at once. While there are no credentials, or
//! AWS refuses those that there are, one probe looks whether that is still so, not each resource;
//! afterwards all that were turned away are looked at.
//!
//! Whether there are credentials, the credential chain tells. Whether AWS takes them only a call
//! can: one resource after the other is let through as a scout.

mod door;
#[cfg(test)]
mod tests;

pub use door::TurnedAway;

use super::key::Key;
use crate::{
    cognito::Cognito,
    core::{
        outcome::Standing,
        reply::CredentialsFailure,
        target::{Account, Region},
    },
};
use door::{Door, Refusals};
use futures::FutureExt;
use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tracing::{error, info, warn};

/// Between two probes: 1 s growing to 5 s, or to 15 s where each is a call to Cognito.
const PROBE_FIRST: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(5);
const SCOUT_MAX: Duration = Duration::from_secs(15);

/// Why a resource is looked at again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// The wait is over, or it is the scout.
    Healed,
    /// Its status may say now why it is turned away.
    Tell,
}

type Waker = dyn Fn(&Key, Wake) + Send + Sync;

/// See the module.
pub struct Credentials<C>(Arc<Shared<C>>);

struct Shared<C> {
    cognito: Arc<C>,
    /// The closed doors. One for each Region: a Region that doesn't exist or isn't enabled must not
    /// close the others.
    doors: Mutex<HashMap<Region, Door>>,
    /// What AWS refused.
    refusals: Mutex<HashMap<Region, Refusals>>,
    /// How many doors were closed so far.
    closed: AtomicU64,
    wake: Box<Waker>,
}

impl<C: Cognito> Credentials<C> {
    /// `wake` is called for each resource that was turned away when it is to be looked at again.
    pub fn new(cognito: Arc<C>, wake: impl Fn(&Key, Wake) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            cognito,
            doors: Mutex::default(),
            refusals: Mutex::default(),
            closed: AtomicU64::new(0),
            wake: Box::new(wake),
        }))
    }

    /// Makes sure that there are credentials. `must_tell`: the resource's status would be untrue if
    /// it didn't say at once why nothing is set.
    ///
    /// # Errors
    /// [`TurnedAway`]: the resource is remembered, and looked at when there are some.
    pub async fn ensure(
        &self,
        resource: &Key,
        region: &Region,
        must_tell: bool,
    ) -> Result<Account, TurnedAway> {
        if let Some(door) = self.0.doors().get_mut(region)
            && door.scout.as_ref() != Some(resource)
        {
            return Err(door.turn_away(resource, must_tell));
        }
        match self.0.cognito.authenticate(region).await {
            Ok(account) => Ok(account),
            Err(failure) => Err(self.close(resource, region, failure, false, must_tell)),
        }
    }

    /// Whether nobody passes: then the resource is remembered, and looked at when that changes.
    #[must_use]
    pub fn turn_away(&self, resource: &Key, region: &Region) -> bool {
        let mut doors = self.0.doors();
        let Some(door) = doors.get_mut(region) else {
            return false;
        };
        if door.scout.as_ref() == Some(resource) {
            return false;
        }
        door.turned_away.insert(resource.clone());
        true
    }

    /// The resource is gone: nobody tells it anything, nor sends it to see.
    pub fn forget(&self, resource: &Key) {
        for refusals in self.0.refusals().values_mut() {
            refusals.forget(resource);
        }
        for door in self.0.doors().values_mut() {
            door.forget(resource);
        }
    }

    /// What a call told of the credentials.
    pub fn answered(&self, resource: &Key, region: &Region, standing: &Standing) {
        match standing {
            Standing::Accepted => {
                if let Some(refusals) = self.0.refusals().get_mut(region) {
                    refusals.accepted(resource);
                }
                let refused = |door: &Door| door.refused;
                if self.0.doors().get(region).is_some_and(refused) {
                    self.0.open(region);
                }
            }
            Standing::Refused(failure) => {
                if self.0.is_refused_for_good(resource, region) {
                    self.close(resource, region, failure.clone(), true, true);
                }
            }
            Standing::Untold => {}
        }
    }

    fn close(
        &self,
        resource: &Key,
        region: &Region,
        failure: CredentialsFailure,
        refused: bool,
        must_tell: bool,
    ) -> TurnedAway {
        let mut doors = self.0.doors();
        if let Some(door) = doors.get_mut(region) {
            door.failure = failure;
            door.refused = refused;
            door.scout.take_if(|scout| scout == resource);
            return door.turn_away(resource, must_tell);
        }
        let number = self.0.closed.fetch_add(1, Ordering::Relaxed);
        let mut door = Door::new(number, failure, refused);
        let turned_away = door.turn_away(resource, must_tell);
        doors.insert(region.clone(), door);
        drop(doors);
        let error = &turned_away.failure;
        warn!(%region, %error, "no AWS credentials that work: nothing can be set until there are some");
        tokio::spawn(probe(self.0.clone(), region.clone(), number));
        turned_away
    }
}

impl<C: Cognito> Shared<C> {
    /// Lets everybody through.
    fn open(&self, region: &Region) {
        let Some(door) = self.doors().remove(region) else {
            return;
        };
        if let Some(refusals) = self.refusals().get_mut(region) {
            refusals.count_anew();
        }
        let turned_away = door.turned_away;
        info!(%region, resources = turned_away.len(), "there are AWS credentials");
        for resource in &turned_away {
            (self.wake)(resource, Wake::Healed);
        }
    }

    /// Nobody knows whether AWS takes the credentials that there are now: one goes and sees. Answers
    /// with whether the door is open, because nobody is left who wants to pass.
    fn scout(&self, region: &Region) -> bool {
        let scout = {
            let mut doors = self.doors();
            let Some(door) = doors.get_mut(region) else {
                return true;
            };
            let scout = door.send_scout();
            if scout.is_none() {
                doors.remove(region);
            }
            scout
        };
        if let Some(scout) = &scout {
            (self.wake)(scout, Wake::Healed);
        }
        scout.is_none()
    }

    /// Some more may say why they are turned away.
    fn tell(&self, region: &Region) {
        let told = self.doors().get_mut(region).map(Door::next_told);
        for resource in told.iter().flatten() {
            (self.wake)(resource, Wake::Tell);
        }
    }

    /// Behind a closed door each refusal is one more of those that closed it.
    fn is_refused_for_good(&self, resource: &Key, region: &Region) -> bool {
        let mut refusals = self.refusals();
        let refusals = refusals.entry(region.clone()).or_default();
        refusals.refused(resource) || self.doors().contains_key(region)
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<Region, Refusals>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doors(&self) -> MutexGuard<'_, HashMap<Region, Door>> {
        // A door is whole at any time.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs as long as the door of this number is closed.
async fn probe<C: Cognito>(shared: Arc<Shared<C>>, region: Region, number: u64) {
    let mut pause = PROBE_FIRST;
    loop {
        tokio::time::sleep(pause).await;
        // A probe that died would leave the door closed for good.
        let found = AssertUnwindSafe(shared.cognito.authenticate(&region))
            .catch_unwind()
            .await;
        let refused = {
            let mut doors = shared.doors();
            let door = doors.get_mut(&region);
            let Some(door) = door.filter(|door| door.number == number) else {
                return;
            };
            if let Ok(Err(failure)) = &found {
                door.failure = failure.clone();
                if door.is_deserted() {
                    // Whoever comes finds out anew.
                    doors.remove(&region);
                    return;
                }
            }
            door.refused
        };
        match found {
            Ok(Ok(_)) if refused => {
                if shared.scout(&region) {
                    return;
                }
            }
            Ok(Ok(_)) => return shared.open(&region),
            Ok(Err(_)) => {}
            Err(_) => error!(%region, "the look for AWS credentials panicked; it is repeated"),
        }
        pause = (pause * 2).min(if refused { SCOUT_MAX } else { PROBE_MAX });
        shared.tell(&region);
    }
}
