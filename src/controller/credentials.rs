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

use super::{key::Key, pace::Pace, places::Places};
use crate::{
    cognito::Cognito,
    core::{authority::Authority, outcome::Standing, reply::CredentialsFailure, target::Account},
};
use door::{Door, Refusals};
use futures::FutureExt;
use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;
use tracing::{error, info, warn};

/// Between two probes: 1 s growing to 5 s, or to 15 s where each is a call to Cognito.
const PROBE_FIRST: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(5);
const SCOUT_MAX: Duration = Duration::from_secs(15);

/// How long a resource waits for credentials before its status may say that there are none; the probe
/// has more time.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many resources are woken at once when a door opens, the others by and by.
const WOKEN_AT_ONCE: usize = 100;

/// Why a resource is looked at again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// The wait is over, or it is the scout.
    Healed,
    /// Its status may say now why it is turned away.
    Tell,
}

type Waker = dyn Fn(&Key, Wake) + Send + Sync;
type Teller = dyn Fn(&Authority) + Send + Sync;

/// See the module.
pub struct Credentials<C>(Arc<Shared<C>>);

struct Shared<C> {
    cognito: Arc<C>,
    /// The closed doors. One for each authority: neither a role that can't be assumed nor a Region
    /// that doesn't exist or isn't enabled closes the others.
    doors: Mutex<HashMap<Authority, Door>>,
    /// What AWS refused.
    refusals: Mutex<HashMap<Authority, Refusals>>,
    /// Whose account the credentials were that there were last.
    accounts: Mutex<Accounts>,
    /// The authorities whose credentials a reconcile waits for, and the resources that wait for what
    /// that reconcile finds.
    resolving: Mutex<HashMap<Authority, HashSet<Key>>>,
    places: Places,
    /// How many doors were closed so far.
    closed: AtomicU64,
    wake: Box<Waker>,
    tell: Box<Teller>,
}

/// The operator's own account is the same in all Regions, of which tenants can name any number.
#[derive(Default)]
struct Accounts {
    own: Option<Account>,
    of_roles: HashMap<Authority, Account>,
}

impl Accounts {
    fn get(&self, authority: &Authority) -> Option<&Account> {
        match authority.role {
            None => self.own.as_ref(),
            Some(_) => self.of_roles.get(authority),
        }
    }

    fn set(&mut self, authority: &Authority, account: &Account) {
        if self.get(authority) == Some(account) {
            return;
        }
        match authority.role {
            None => self.own = Some(account.clone()),
            Some(_) => {
                self.of_roles.insert(authority.clone(), account.clone());
            }
        }
    }
}

/// One reconcile that waits for credentials. However it ends, the others are woken.
struct Resolving<'a, C: Cognito> {
    shared: &'a Arc<Shared<C>>,
    authority: &'a Authority,
}

impl<C: Cognito> Drop for Resolving<'_, C> {
    fn drop(&mut self) {
        let waiting = self.shared.resolving().remove(self.authority);
        self.shared
            .wake_all(waiting.unwrap_or_default(), Wake::Tell);
    }
}

impl<C> Clone for Credentials<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Cognito> Credentials<C> {
    /// `wake` is called for each resource that was turned away when it is to be looked at again;
    /// `tell` when there is something new to say of an authority: see [`examine`](Self::examine).
    pub fn new(
        cognito: Arc<C>,
        places: Places,
        wake: impl Fn(&Key, Wake) + Send + Sync + 'static,
        tell: impl Fn(&Authority) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            cognito,
            doors: Mutex::default(),
            refusals: Mutex::default(),
            accounts: Mutex::default(),
            resolving: Mutex::default(),
            places,
            closed: AtomicU64::new(0),
            wake: Box::new(wake),
            tell: Box::new(tell),
        }))
    }

    /// Makes sure that there are credentials. `must_tell`: the resource's status would be untrue if
    /// it didn't say at once why nothing is set. Of all resources that need the credentials of one
    /// authority, one waits for them, and gives its place to other reconciles meanwhile.
    ///
    /// # Errors
    /// [`TurnedAway`]: the resource is remembered, and looked at when there are some.
    pub async fn ensure(
        &self,
        resource: &Key,
        authority: &Authority,
        must_tell: bool,
    ) -> Result<Account, TurnedAway> {
        if let Some(door) = self.0.doors().get_mut(authority)
            && door.scout.as_ref() != Some(resource)
        {
            return Err(door.turn_away(resource, must_tell));
        }
        if self.awaits_resolution(resource, authority) {
            return Err(TurnedAway {
                failure: CredentialsFailure("they are being resolved".to_owned()),
                tell: false,
            });
        }
        let mut authenticated = pin!(self.0.cognito.authenticate(authority));
        // Mostly they are at hand.
        if let Some(found) = authenticated.as_mut().now_or_never() {
            return self.ensured(resource, authority, Some(found), must_tell);
        }
        let shared = &self.0;
        shared.resolving().insert(authority.clone(), HashSet::new());
        let _resolving = Resolving { shared, authority };
        let found = timeout(PATIENCE, authenticated);
        let found = shared.places.without(found).await.ok();
        // Before the others are woken.
        self.ensured(resource, authority, found, must_tell)
    }

    /// What a look for credentials comes to; none if there was no answer in time.
    fn ensured(
        &self,
        resource: &Key,
        authority: &Authority,
        found: Option<Result<Account, CredentialsFailure>>,
        must_tell: bool,
    ) -> Result<Account, TurnedAway> {
        let failure = match found {
            Some(Ok(account)) => {
                self.0.accounts().set(authority, &account);
                return Ok(account);
            }
            Some(Err(failure)) => failure,
            None => CredentialsFailure(format!(
                "no credentials within {PATIENCE:?}: a web identity, Pod Identity, STS or metadata service doesn't answer"
            )),
        };
        Err(self.close(resource, authority, failure, false, must_tell))
    }

    /// Whether another resource waits for credentials of this authority: then this one is remembered,
    /// and looked at when they are there, or aren't.
    #[must_use]
    pub fn awaits_resolution(&self, resource: &Key, authority: &Authority) -> bool {
        let mut resolving = self.0.resolving();
        let waiting = resolving.get_mut(authority);
        waiting.is_some_and(|waiting| {
            waiting.insert(resource.clone());
            true
        })
    }

    /// Whose account it is, as far as that is known and nobody is turned away.
    #[must_use]
    pub fn account(&self, authority: &Authority) -> Option<Account> {
        if self.0.doors().contains_key(authority) {
            return None;
        }
        self.0.accounts().get(authority).cloned()
    }

    /// Whether an authority has credentials that work, as far as can be told without a call.
    ///
    /// # Errors
    /// [`CredentialsFailure`]: it has none.
    pub async fn examine(&self, authority: &Authority) -> Result<(), CredentialsFailure> {
        let known = self
            .0
            .doors()
            .get(authority)
            .map(|door| door.failure.clone());
        match known {
            Some(failure) => Err(failure),
            None => self.0.cognito.authenticate(authority).await.map(|_| ()),
        }
    }

    /// Nobody calls by other authorities than these any more.
    pub fn retain(&self, needed: impl Fn(&Authority) -> bool) {
        self.0.doors().retain(|authority, _| needed(authority));
        self.0.refusals().retain(|authority, _| needed(authority));
        let mut accounts = self.0.accounts();
        accounts.of_roles.retain(|authority, _| needed(authority));
    }

    /// Whether nobody passes: then the resource is remembered, and looked at when that changes.
    #[must_use]
    pub fn turn_away(&self, resource: &Key, authority: &Authority) -> bool {
        let mut doors = self.0.doors();
        let Some(door) = doors.get_mut(authority) else {
            return false;
        };
        if door.scout.as_ref() == Some(resource) {
            return false;
        }
        door.turned_away.insert(resource.clone());
        true
    }

    /// How many entries there are: closed doors, and resources at them or refused.
    #[must_use]
    pub fn len(&self) -> usize {
        let refused: usize = self.0.refusals().values().map(Refusals::len).sum();
        let at_doors: usize = self.0.doors().values().map(Door::len).sum();
        let waiting: usize = self.0.resolving().values().map(HashSet::len).sum();
        refused + at_doors + waiting + self.0.refusals().len()
    }

    /// The resource is gone: nobody tells it anything, nor sends it to see.
    pub fn forget(&self, resource: &Key) {
        for waiting in self.0.resolving().values_mut() {
            waiting.remove(resource);
        }
        self.0.refusals().retain(|_, refusals| {
            refusals.forget(resource);
            !refusals.is_empty()
        });
        for door in self.0.doors().values_mut() {
            door.forget(resource);
        }
    }

    /// What a call told of the credentials.
    pub fn answered(&self, resource: &Key, authority: &Authority, standing: &Standing) {
        match standing {
            Standing::Accepted => {
                self.0
                    .update_refusals(authority, |refusals| refusals.accepted(resource));
                let refused = |door: &Door| door.refused;
                if self.0.doors().get(authority).is_some_and(refused) {
                    self.0.open(authority);
                }
            }
            Standing::Refused(failure) => {
                if self.0.is_refused_for_good(resource, authority) {
                    self.close(resource, authority, failure.clone(), true, true);
                }
            }
            Standing::Untold => {}
        }
    }

    fn close(
        &self,
        resource: &Key,
        authority: &Authority,
        failure: CredentialsFailure,
        refused: bool,
        must_tell: bool,
    ) -> TurnedAway {
        let mut doors = self.0.doors();
        if let Some(door) = doors.get_mut(authority) {
            let news = door.failure != failure;
            door.failure = failure;
            door.refused = refused;
            door.scout.take_if(|scout| scout == resource);
            let turned_away = door.turn_away(resource, must_tell);
            drop(doors);
            if news {
                (self.0.tell)(authority);
            }
            return turned_away;
        }
        let number = self.0.closed.fetch_add(1, Ordering::Relaxed);
        let mut door = Door::new(number, failure, refused);
        let turned_away = door.turn_away(resource, must_tell);
        doors.insert(authority.clone(), door);
        drop(doors);
        let error = &turned_away.failure;
        warn!(%authority, %error, "no AWS credentials that work: nothing can be set until there are some");
        (self.0.tell)(authority);
        tokio::spawn(probe(self.0.clone(), authority.clone(), number));
        turned_away
    }
}

impl<C: Cognito> Shared<C> {
    /// Lets everybody through.
    fn open(self: &Arc<Self>, authority: &Authority) {
        let Some(door) = self.doors().remove(authority) else {
            return;
        };
        self.update_refusals(authority, Refusals::count_anew);
        info!(%authority, resources = door.turned_away.len(), "there are AWS credentials");
        self.wake_all(door.turned_away, Wake::Healed);
        (self.tell)(authority);
    }

    /// Wakes the first at once, and the others by and by.
    fn wake_all(self: &Arc<Self>, resources: HashSet<Key>, why: Wake) {
        let mut resources = resources.into_iter();
        for resource in resources.by_ref().take(WOKEN_AT_ONCE) {
            (self.wake)(&resource, why);
        }
        if resources.len() > 0 {
            let shared = self.clone();
            tokio::spawn(async move {
                let mut pace = Pace::new();
                for resource in resources {
                    (shared.wake)(&resource, why);
                    pace.step().await;
                }
            });
        }
    }

    /// Changes what is known of refusals, where something is; what says nothing is not kept.
    fn update_refusals(&self, authority: &Authority, change: impl FnOnce(&mut Refusals)) {
        let mut all = self.refusals();
        if let Some(refusals) = all.get_mut(authority) {
            change(refusals);
            if refusals.is_empty() {
                all.remove(authority);
            }
        }
    }

    /// Nobody knows whether AWS takes the credentials that there are now: one goes and sees. Answers
    /// with whether the door is open, because nobody is left who wants to pass.
    fn scout(&self, authority: &Authority) -> bool {
        let scout = {
            let mut doors = self.doors();
            let Some(door) = doors.get_mut(authority) else {
                return true;
            };
            let scout = door.send_scout();
            if scout.is_none() {
                doors.remove(authority);
            }
            scout
        };
        if let Some(scout) = &scout {
            (self.wake)(scout, Wake::Healed);
        }
        scout.is_none()
    }

    /// Some more may say why they are turned away.
    fn tell(&self, authority: &Authority) {
        let told = self.doors().get_mut(authority).map(Door::next_told);
        for resource in told.iter().flatten() {
            (self.wake)(resource, Wake::Tell);
        }
    }

    /// Behind a closed door each refusal is one more of those that closed it.
    fn is_refused_for_good(&self, resource: &Key, authority: &Authority) -> bool {
        let mut refusals = self.refusals();
        let refusals = refusals.entry(authority.clone()).or_default();
        refusals.refused(resource) || self.doors().contains_key(authority)
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<Authority, Refusals>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resolving(&self) -> MutexGuard<'_, HashMap<Authority, HashSet<Key>>> {
        self.resolving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn doors(&self) -> MutexGuard<'_, HashMap<Authority, Door>> {
        // A door is whole at any time.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs as long as the door of this number is closed.
async fn probe<C: Cognito>(shared: Arc<Shared<C>>, authority: Authority, number: u64) {
    let mut pause = PROBE_FIRST;
    loop {
        tokio::time::sleep(pause).await;
        let probed = AssertUnwindSafe(probe_once(&shared, &authority, number));
        let longest = match probed.catch_unwind().await {
            Ok(Probed::Open) => return,
            Ok(Probed::Closed { refused: true }) => SCOUT_MAX,
            Ok(Probed::Closed { refused: false }) => PROBE_MAX,
            Err(_) => {
                error!(%authority, "what follows from a probe panicked; it is repeated");
                SCOUT_MAX
            }
        };
        pause = (pause * 2).min(longest);
    }
}

/// How one probe found its door.
enum Probed {
    /// Open, or another one by now.
    Open,
    /// Closed, and whether AWS refused the credentials.
    Closed { refused: bool },
}

async fn probe_once<C: Cognito>(
    shared: &Arc<Shared<C>>,
    authority: &Authority,
    number: u64,
) -> Probed {
    // A probe that died would leave the door closed for good.
    let found = AssertUnwindSafe(shared.cognito.authenticate(authority))
        .catch_unwind()
        .await;
    let refused = {
        let mut doors = shared.doors();
        let door = doors.get_mut(authority);
        let Some(door) = door.filter(|door| door.number == number) else {
            return Probed::Open;
        };
        if let Ok(Err(failure)) = &found {
            door.failure = failure.clone();
            if door.is_deserted() {
                // Whoever comes finds out anew.
                doors.remove(authority);
                return Probed::Open;
            }
        }
        door.refused
    };
    match found {
        Ok(Ok(_)) if refused => {
            if shared.scout(authority) {
                return Probed::Open;
            }
        }
        Ok(Ok(_)) => {
            shared.open(authority);
            return Probed::Open;
        }
        Ok(Err(_)) => {}
        Err(_) => error!(%authority, "the look for AWS credentials panicked; it is repeated"),
    }
    shared.tell(authority);
    Probed::Closed { refused }
}
