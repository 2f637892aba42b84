//! The door at which a broken identity stops everybody at once. While there are no credentials, or
//! AWS refuses those that there are, one probe looks whether that is still so, not each resource;
//! afterwards all that were turned away are looked at.
//!
//! Whether there are credentials, the credential chain tells. Whether AWS takes them only a call
//! can: one resource after the other is let through as a scout.

use super::key::Key;
use crate::{
    cognito::Cognito,
    core::{
        outcome::Standing,
        reply::CredentialsFailure,
        target::{Account, Region},
    },
};
use futures::FutureExt;
use std::{
    collections::{HashMap, HashSet},
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

/// After so many refusals in a row it is the credentials and not the call.
const REFUSALS_MAX: usize = 3;

/// How many resources are told at once, and again at each probe, whose status need not say it for
/// the sake of truth: in a short outage of ten thousand few are written.
const TOLD_AT_ONCE: usize = 25;

/// Why a resource was turned away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnedAway {
    /// Why nobody passes.
    pub failure: CredentialsFailure,
    /// Whether the resource's status is to say so now. If not, it is looked at again when it is.
    pub tell: bool,
}

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
    /// What was refused at open doors.
    refusals: Mutex<HashMap<Region, Refusals>>,
    /// How many doors were closed so far.
    closed: AtomicU64,
    wake: Box<Waker>,
}

#[derive(Default)]
struct Refusals {
    /// Whose calls were refused since the last one that was taken.
    in_a_row: Vec<Key>,
    /// Whose calls were refused while others' were taken: that says nothing of the credentials.
    their_own: HashSet<Key>,
}

impl Refusals {
    fn accepted(&mut self, resource: &Key) {
        self.their_own.extend(self.in_a_row.drain(..));
        self.their_own.remove(resource);
    }

    /// Whether it is the credentials.
    fn refused(&mut self, resource: &Key) -> bool {
        if !self.their_own.contains(resource) {
            self.in_a_row.push(resource.clone());
        }
        self.in_a_row.len() >= REFUSALS_MAX
    }
}

struct Door {
    /// Tells it from one that was opened and closed again.
    number: u64,
    failure: CredentialsFailure,
    /// There are credentials, and AWS refused them: only a call tells whether it still does.
    refused: bool,
    /// Who is let through to find out.
    scout: Option<Key>,
    turned_away: HashSet<Key>,
    /// Those among them whose status doesn't say so yet.
    untold: HashSet<Key>,
    /// How many more are told before the next probe.
    tellings: usize,
}

impl Door {
    fn new(number: u64, failure: CredentialsFailure, refused: bool) -> Self {
        Self {
            number,
            failure,
            refused,
            scout: None,
            turned_away: HashSet::new(),
            untold: HashSet::new(),
            tellings: TOLD_AT_ONCE,
        }
    }

    fn turn_away(&mut self, resource: &Key, must_tell: bool) -> TurnedAway {
        self.turned_away.insert(resource.clone());
        let tell = must_tell || self.tellings > 0;
        if tell {
            self.untold.remove(resource);
            self.tellings = self.tellings.saturating_sub(1);
        } else {
            self.untold.insert(resource.clone());
        }
        TurnedAway {
            failure: self.failure.clone(),
            tell,
        }
    }

    /// Whether nobody is left who wants to pass.
    fn is_deserted(&self) -> bool {
        self.turned_away.is_empty() && self.scout.is_none()
    }

    /// Another one goes and sees.
    fn send_scout(&mut self) -> Option<Key> {
        self.scout = self.turned_away.iter().next().cloned();
        if let Some(scout) = &self.scout {
            self.turned_away.remove(scout);
        }
        self.scout.clone()
    }
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
            refusals.their_own.remove(resource);
        }
        for door in self.0.doors().values_mut() {
            door.turned_away.remove(resource);
            door.untold.remove(resource);
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
        let told: Vec<_> = {
            let mut doors = self.doors();
            let Some(door) = doors.get_mut(region) else {
                return;
            };
            door.tellings = TOLD_AT_ONCE;
            let told: Vec<_> = door.untold.iter().take(TOLD_AT_ONCE).cloned().collect();
            // Taken out, be it that they don't come: else they would be told for ever, and the others
            // never.
            for resource in &told {
                door.untold.remove(resource);
            }
            told
        };
        for resource in &told {
            (self.wake)(resource, Wake::Tell);
        }
    }

    /// Behind a closed door each refusal is one more of those that closed it.
    fn is_refused_for_good(&self, resource: &Key, region: &Region) -> bool {
        if self.doors().contains_key(region) {
            return true;
        }
        let mut refusals = self.refusals();
        let of_region = refusals.entry(region.clone()).or_default();
        let for_good = of_region.refused(resource);
        if for_good {
            of_region.in_a_row.clear();
        }
        for_good
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        password::Password,
        reply::Reply,
        target::{PoolId, Target},
    };
    use std::sync::atomic::AtomicU32;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    /// Fails so many times, then has credentials.
    struct Identity {
        failures: AtomicU32,
        asked: AtomicU32,
    }

    impl Cognito for Identity {
        async fn authenticate(&self, _: &Region) -> Result<Account, CredentialsFailure> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let left = |left: u32| left.checked_sub(1);
            match self
                .failures
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            {
                Ok(_) => Err(CredentialsFailure("none".to_owned())),
                Err(_) => Ok(Account::OfSource),
            }
        }

        async fn admin_set_user_password(&self, _: &Target, _: &Password, _: bool) -> Reply {
            unreachable!("nothing is set here")
        }
    }

    type Woken = UnboundedReceiver<(Key, Wake)>;

    fn door(failures: u32) -> (Arc<Identity>, Credentials<Identity>, Woken) {
        let identity = Arc::new(Identity {
            failures: AtomicU32::new(failures),
            asked: AtomicU32::new(0),
        });
        let (told, woken) = unbounded_channel();
        let credentials = Credentials::new(identity.clone(), move |key: &Key, why| {
            // The test may have ended.
            let _ = told.send((key.clone(), why));
        });
        (identity, credentials, woken)
    }

    fn region() -> Region {
        PoolId::parse("eu-west-1_a").expect("valid").region()
    }

    fn key(n: u32) -> Key {
        Key {
            namespace: "team-a".to_owned(),
            name: format!("bot-{n}"),
        }
    }

    async fn next(woken: &mut Woken, wanted: Wake) -> Key {
        loop {
            let (key, why) = woken.recv().await.expect("a resource");
            if why == wanted {
                return key;
            }
        }
    }

    fn refusal() -> Standing {
        Standing::Refused(CredentialsFailure("expired".to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_identity_is_probed_once_and_heals_everybody() {
        let (identity, credentials, mut woken) = door(3);
        let mut told = 0;
        for n in 0..1_000 {
            let turned_away = credentials.ensure(&key(n), &region(), false).await;
            told += usize::from(turned_away.expect_err("none").tell);
        }
        assert_eq!(identity.asked.load(Ordering::Relaxed), 1);
        assert_eq!(told, TOLD_AT_ONCE, "few statuses are written");
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            seen.insert(next(&mut woken, Wake::Healed).await);
        }
        assert_eq!(seen.len(), 1_000);
        assert_eq!(identity.asked.load(Ordering::Relaxed), 4);
        assert!(credentials.ensure(&key(0), &region(), false).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_is_told_in_time_and_at_once_who_would_say_what_is_untrue() {
        let (_, credentials, mut woken) = door(u32::MAX);
        let mut untold = HashSet::new();
        for n in 0..200 {
            let turned_away = credentials.ensure(&key(n), &region(), false).await;
            if !turned_away.expect_err("none").tell {
                untold.insert(key(n));
            }
        }
        let must = credentials.ensure(&key(500), &region(), true).await;
        assert!(must.expect_err("none").tell);
        while !untold.is_empty() {
            let resource = next(&mut woken, Wake::Tell).await;
            let turned_away = credentials.ensure(&resource, &region(), false).await;
            assert!(turned_away.expect_err("none").tell);
            assert!(untold.remove(&resource), "told twice");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_come_to_be_told_keeps_nobody_from_being_told() {
        let (_, credentials, mut woken) = door(u32::MAX);
        for n in 0..200 {
            // Whoever is told here says so.
            let _ = credentials.ensure(&key(n), &region(), false).await;
        }
        let mut called = HashSet::new();
        for _ in TOLD_AT_ONCE..200 {
            called.insert(next(&mut woken, Wake::Tell).await);
        }
        assert_eq!(called.len(), 200 - TOLD_AT_ONCE);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_looks_for_credentials_for_those_who_are_gone() {
        let (identity, credentials, _woken) = door(u32::MAX);
        for n in 0..3 {
            assert!(credentials.ensure(&key(n), &region(), false).await.is_err());
        }
        for n in 0..3 {
            credentials.forget(&key(n));
        }
        tokio::time::sleep(PROBE_MAX * 10).await;
        assert!(credentials.0.doors().is_empty());
        assert_eq!(identity.asked.load(Ordering::Relaxed), 2);
        let (_, credentials, mut woken) = door(0);
        for n in 0..100 {
            credentials.answered(&key(n), &region(), &refusal());
        }
        for n in 0..99 {
            credentials.forget(&key(n));
        }
        assert_eq!(next(&mut woken, Wake::Healed).await, key(99));
    }

    #[tokio::test(start_paused = true)]
    async fn refused_credentials_are_tried_by_one_resource_at_a_time() {
        let (identity, credentials, mut woken) = door(0);
        for n in 0..3 {
            let ensured = credentials.ensure(&key(n), &region(), false).await;
            assert!(ensured.is_ok(), "one refusal isn't everybody's");
        }
        for n in 0..3 {
            credentials.answered(&key(n), &region(), &refusal());
        }
        for n in 1..100 {
            assert!(credentials.ensure(&key(n), &region(), false).await.is_err());
        }
        for _ in 0..5 {
            let scout = next(&mut woken, Wake::Healed).await;
            for n in 0..100 {
                let passes = credentials.ensure(&key(n), &region(), false).await;
                assert_eq!(passes.is_ok(), key(n) == scout, "{n}");
            }
            credentials.answered(&scout, &region(), &refusal());
        }
        let scout = next(&mut woken, Wake::Healed).await;
        assert!(credentials.ensure(&scout, &region(), false).await.is_ok());
        credentials.answered(&scout, &region(), &Standing::Accepted);
        let mut seen = HashSet::from([scout]);
        while seen.len() < 100 {
            seen.insert(next(&mut woken, Wake::Healed).await);
        }
        assert!(credentials.ensure(&key(1), &region(), false).await.is_ok());
        assert!(identity.asked.load(Ordering::Relaxed) < 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_between_calls_that_are_taken_is_one_calls_own() {
        let (_, credentials, _woken) = door(0);
        let answered = |n, standing: &Standing| credentials.answered(&key(n), &region(), standing);
        let passes = async || credentials.ensure(&key(9), &region(), false).await.is_ok();
        answered(1, &refusal());
        answered(2, &refusal());
        answered(3, &Standing::Accepted);
        // These two have something of their own, however often.
        for _ in 0..10 {
            answered(1, &refusal());
            answered(2, &refusal());
        }
        assert!(passes().await);
        answered(1, &Standing::Accepted);
        for _ in 0..3 {
            assert!(passes().await);
            answered(1, &refusal());
        }
        assert!(!passes().await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_scout_that_never_calls_is_followed_by_another() {
        let (_, credentials, mut woken) = door(0);
        for n in 0..5 {
            credentials.answered(&key(n), &region(), &refusal());
        }
        let mut scouts = HashSet::new();
        for _ in 0..3 {
            scouts.insert(next(&mut woken, Wake::Healed).await);
        }
        assert_eq!(scouts.len(), 3);
        // Nobody is left who wants to pass: the door is no use any more.
        while !credentials.0.doors().is_empty() {
            tokio::time::sleep(PROBE_MAX).await;
        }
    }
}
