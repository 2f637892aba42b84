//! Turns in the budget. A reconcile that would call Cognito asks for one; where it has to wait it
//! ends, holding none of the controller's places, and its key is put into the queue again, before all
//! others, when its turn has come. Then everything is read and decided afresh.
//!
//! Mostly it is known before the Secret is read whose turn it takes. Then it is waited for first, and where
//! that isn't long, nothing is read or written until it has come: in a storm, one read and two writes for each.

use super::queue::Queue;
use crate::{
    controller::{isolate::isolated, state::key::Key},
    core::{
        names::target::{Account, Region},
        schedule::rate_limit::{Budget, Limits, TurnEnd, Urgency, room},
    },
    ops::metrics::Metrics,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use tracing::{error, warn};

/// Whoever has a token within this time waits for no more than the calls before theirs.
const SOON: Duration = Duration::from_secs(1);

/// Whoever waits for these for longer than this has it said.
const QUIET_MAX: Duration = Duration::from_secs(30);

/// Budgets that are as good as new are dropped this often.
const REST_EVERY: Duration = Duration::from_secs(1);

/// How long the keys of a budget that panicked wait before they enter a new one.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// So many services are remembered to have answered a call.
const ANSWERED_MAX: usize = 1_000;

/// Whose quota a call counts against.
pub type Payer = (Account, Region);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Turns(Arc<Shared>);

struct Shared {
    limits: Limits,
    queue: Queue,
    /// The budgets' clock begins here.
    origin: Instant,
    state: Mutex<State>,
    /// Somebody came, or left room.
    changed: Notify,
}

#[derive(Default)]
struct State {
    budgets: HashMap<Payer, Budget<Key>>,
    /// The budgets in which keys wait, in rotation: a budget that was given turns comes after all others.
    waiting: BTreeMap<u64, Payer>,
    /// The place of each of them.
    waiting_at: HashMap<Payer, u64>,
    last_place: u64,
    /// The services that answered their last call, at most [`ANSWERED_MAX`].
    answered: HashSet<Payer>,
    /// How many turns of all budgets are out.
    turns: u32,
    /// When budgets at rest were dropped last.
    rested_at: Duration,
    /// Where a key waits, or has a turn that it hasn't claimed yet.
    places: HashMap<Key, Place>,
}

struct Place {
    payer: Payer,
    since: Duration,
}

/// It has to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waits {
    /// It waits for other calls, not for tokens: nothing need be said of it for so long.
    pub quiet: Option<Duration>,
}

/// The right to make one call. Dropped without [`Turn::calling`], its token goes back.
pub struct Turn {
    turns: Turns,
    key: Key,
    payer: Payer,
    /// When the call was made.
    called_at: Option<Duration>,
    end: TurnEnd,
}

impl Turns {
    /// All budgets have these limits; keys whose turn has come go into the queue.
    #[must_use]
    pub fn new(limits: Limits, queue: Queue) -> Self {
        Self(Arc::new(Shared {
            limits,
            queue,
            origin: Instant::now(),
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// The turn of this key, if it has come.
    ///
    /// # Errors
    /// [`Waits`]: it does from now on, if it didn't before.
    pub fn claim(&self, key: &Key, payer: &Payer, urgency: Urgency) -> Result<Turn, Waits> {
        let mut state = self.lock();
        self.come(&mut state, key, payer, urgency)?;
        // From here on it ends with the `Turn` alone: a call that is made is not unmade because its
        // resource is deleted meanwhile.
        state.places.remove(key);
        Ok(Turn {
            turns: self.clone(),
            key: key.clone(),
            payer: payer.clone(),
            called_at: None,
            end: TurnEnd::Unsent,
        })
    }

    /// Waits for a turn before anything is read, for what somebody just asked for. Where it has come
    /// already it is kept for [`claim`](Self::claim).
    ///
    /// # Errors
    /// [`Waits`]: it does from now on, if it didn't before.
    pub fn line_up(&self, key: &Key, payer: &Payer) -> Result<(), Waits> {
        self.come(&mut self.lock(), key, payer, Urgency::Asked)
    }

    /// Takes a place, and gives the turns that are due.
    fn come(
        &self,
        state: &mut State,
        key: &Key,
        payer: &Payer,
        urgency: Urgency,
    ) -> Result<(), Waits> {
        let now = self.now();
        let since = state.enter(key, payer, now);
        let budget = state.budgets.entry(payer.clone());
        let budget = budget.or_insert_with(|| Budget::new(self.0.limits, now));
        budget.wait(key.namespace(), key, urgency);
        state.wait(payer);
        for next in state.give(payer, now) {
            if next != *key {
                self.0.queue.push_first(next);
            }
        }
        self.0.changed.notify_one();
        match state.budgets.get_mut(payer) {
            Some(budget) if budget.has_turn(key) => Ok(()),
            Some(budget) => Err(Waits {
                quiet: quiet(budget, since, now),
            }),
            None => Err(Waits { quiet: None }),
        }
    }

    /// Whether this key has a turn that it hasn't claimed yet.
    #[must_use]
    pub fn has_turn(&self, key: &Key) -> bool {
        let state = self.lock();
        let place = state.places.get(key);
        let budget = place.and_then(|place| state.budgets.get(&place.payer));
        budget.is_some_and(|budget| budget.has_turn(key))
    }

    /// This key has nothing to wait for any more; the token of a turn that came goes back.
    pub fn leave(&self, key: &Key) {
        if self.lock().leave(key) {
            self.0.changed.notify_one();
        }
    }

    /// Whether this key waits, or has a turn that it hasn't claimed yet.
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        self.lock().places.contains_key(key)
    }

    /// Gives turns as they come due, for ever.
    pub async fn give(&self, metrics: &Metrics) {
        loop {
            let next = self.give_due(metrics);
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().budgets.values().map(Budget::waiting).sum()
    }

    /// How many keys have a place, and how many budgets are not at rest.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, usize); 2] {
        let now = self.now();
        let mut state = self.lock();
        state.forget_rested(now);
        [
            ("budget", state.places.len()),
            ("budgets", state.budgets.len()),
        ]
    }

    /// Calls a second at present, of the budget that has the fewest.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let now = self.now();
        let mut state = self.lock();
        let rates = state.budgets.values_mut().map(|budget| budget.rate(now));
        rates.fold(self.0.limits.rps, f64::min)
    }

    /// Gives the turns that are due; answers with how long it is until the next.
    fn give_due(&self, metrics: &Metrics) -> Option<Duration> {
        let now = self.now();
        let mut state = self.lock();
        let waiting: Vec<_> = state.waiting.values().cloned().collect();
        for payer in &waiting {
            if room(state.turns, true) == 0 {
                break;
            }
            let region = &payer.1;
            let given = isolated(metrics, region, "giving turns", || state.give(payer, now));
            match given {
                Some(given) => given
                    .into_iter()
                    .for_each(|key| self.0.queue.push_first(key)),
                None => self.renew(&mut state, payer),
            }
        }
        if now >= state.rested_at + REST_EVERY {
            isolated(metrics, &"budgets", "forgetting those at rest", || {
                state.forget_rested(now);
            });
        }
        let mut next = None;
        for payer in &waiting {
            let region = &payer.1;
            let due = isolated(metrics, region, "finding the next turn", || {
                state.next_turn(payer, now)
            });
            match due {
                Some(due) => next = next.into_iter().chain(due).min(),
                None => self.renew(&mut state, payer),
            }
        }
        next
    }

    /// The work in this budget panicked, so the budget may be half-changed. Its keys begin a new one.
    fn renew(&self, state: &mut State, payer: &Payer) {
        for key in state.drop_budget(payer) {
            self.0.queue.push_after(key, AFTER_PANIC);
        }
    }

    fn now(&self) -> Duration {
        self.0.origin.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here panics half-way through a change.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A Region is whatever a pool's id says: budgets at rest are not kept.
    fn forget_rested(&mut self, now: Duration) {
        self.budgets.retain(|_, budget| !budget.is_at_rest(now));
        self.rested_at = now;
    }

    /// Gives the turns of one budget that are due. Answers with the keys that have one now.
    fn give(&mut self, payer: &Payer, now: Duration) -> Vec<Key> {
        let mut given = Vec::new();
        let Some(budget) = self.budgets.get_mut(payer) else {
            self.wait_no_longer(payer);
            return given;
        };
        let has_answered = self.answered.contains(payer);
        while let Some(key) = budget.give(now, room(self.turns, has_answered)) {
            #[cfg(test)]
            crate::controller::panic_tests::panic_at("give", &key);
            self.turns += 1;
            given.push(key);
        }
        let is_left = budget.waiting() > 0;
        if !is_left || !given.is_empty() {
            self.wait_no_longer(payer);
        }
        if is_left {
            self.wait(payer);
        }
        given
    }

    /// How long until there is a turn to give in this budget, if one comes by itself.
    fn next_turn(&mut self, payer: &Payer, now: Duration) -> Option<Duration> {
        let room = room(self.turns, self.answered.contains(payer));
        self.budgets.get_mut(payer)?.next_turn(now, room)
    }

    /// Drops a budget. Answers with the keys that had a place in it.
    fn drop_budget(&mut self, payer: &Payer) -> Vec<Key> {
        self.budgets.remove(payer);
        self.wait_no_longer(payer);
        // The turns that are out in the dropped budget count no longer: when their calls end, the budget
        // doesn't know them.
        self.turns = self.budgets.values().map(Budget::turns).sum();
        let keys = self.places.extract_if(|_, place| place.payer == *payer);
        keys.map(|(key, _)| key).collect()
    }

    /// Keys wait in this budget, if they didn't before at the end of the rotation.
    fn wait(&mut self, payer: &Payer) {
        if !self.waiting_at.contains_key(payer) {
            self.last_place += 1;
            self.waiting.insert(self.last_place, payer.clone());
            self.waiting_at.insert(payer.clone(), self.last_place);
        }
    }

    fn wait_no_longer(&mut self, payer: &Payer) {
        if let Some(place) = self.waiting_at.remove(payer) {
            self.waiting.remove(&place);
        }
    }

    /// A turn was used for a call, which has ended.
    fn used(&mut self, payer: &Payer, key: &Key, end: TurnEnd, now: Duration) {
        let Some(budget) = self.budgets.get_mut(payer) else {
            return;
        };
        if budget.used(key, end, now) {
            self.turns -= 1;
        }
        match end {
            TurnEnd::Answered if self.answered.len() < ANSWERED_MAX => {
                self.answered.insert(payer.clone());
            }
            TurnEnd::NoReply => {
                self.answered.remove(payer);
            }
            TurnEnd::Answered | TurnEnd::Unsent => {}
        }
    }

    /// A key waits no longer in a budget, or gives its turn back.
    fn left(&mut self, payer: &Payer, key: &Key) {
        if let Some(budget) = self.budgets.get_mut(payer)
            && budget.leave(key)
        {
            self.turns -= 1;
        }
    }

    /// Has a place with this payer, and no other; answers with since when.
    fn enter(&mut self, key: &Key, payer: &Payer, now: Duration) -> Duration {
        if let Some(place) = self.places.get(key) {
            if place.payer == *payer {
                return place.since;
            }
            self.leave(key);
        }
        let (payer, since) = (payer.clone(), now);
        self.places.insert(key.clone(), Place { payer, since });
        since
    }

    fn leave(&mut self, key: &Key) -> bool {
        let Some(Place { payer, .. }) = self.places.remove(key) else {
            return false;
        };
        self.left(&payer, key);
        true
    }
}

/// See [`Waits::quiet`].
fn quiet(budget: &mut Budget<Key>, since: Duration, now: Duration) -> Option<Duration> {
    let left = (since + QUIET_MAX).checked_sub(now)?;
    (!left.is_zero() && budget.until_all(now) <= SOON).then_some(left)
}

impl Turn {
    /// The call is about to be made.
    pub fn calling(&mut self) {
        self.called_at = Some(self.turns.now());
    }

    /// The service answered the call.
    pub fn answered(&mut self) {
        self.end = TurnEnd::Answered;
    }

    /// The call was sent, and no reply came.
    pub fn no_reply(&mut self) {
        self.end = TurnEnd::NoReply;
    }

    /// Cognito throttled the call.
    pub fn throttled(&self) {
        let Some(called_at) = self.called_at else {
            return;
        };
        let now = self.turns.now();
        let mut state = self.turns.lock();
        let Some(budget) = state.budgets.get_mut(&self.payer) else {
            return;
        };
        let before = budget.rate(now);
        budget.throttled(called_at, now);
        let rate = budget.rate(now);
        drop(state);
        if rate < before {
            let region = &self.payer.1;
            warn!(%region, rps = (rate * 100.0).round() / 100.0, "Cognito throttles: the rate of calls is lowered");
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let now = self.turns.now();
        // A panic here while a reconcile unwinds would abort the process.
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let mut state = self.turns.lock();
            if self.called_at.is_some() {
                state.used(&self.payer, &self.key, self.end, now);
            } else {
                state.left(&self.payer, &self.key);
            }
        }));
        if ended.is_err() {
            error!(object = %self.key, "the end of a turn in the budget panicked; the budget begins anew");
            self.turns.renew(&mut self.turns.lock(), &self.payer);
        }
        self.turns.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::target::PoolId;
    use futures::FutureExt;

    fn key(namespace: &str, n: u32) -> Key {
        Key::new(namespace, &format!("bot-{n}"))
    }

    fn payer(pool: &str) -> Payer {
        let region = PoolId::parse(pool).expect("valid").region();
        (Account::OfSource, region)
    }

    fn call(turn: Result<Turn, Waits>) {
        turn.expect("a turn").calling();
    }

    #[tokio::test]
    async fn who_waits_is_put_into_the_queue_when_the_turn_has_come() {
        let queue = Queue::default();
        let limits = Limits {
            rps: 50.0,
            burst: 1,
        };
        let turns = Turns::new(limits, queue.clone());
        let giving = tokio::spawn({
            let turns = turns.clone();
            async move { turns.give(&Metrics::new("0.0.0")).await }
        });
        let payer = payer("eu-west-1_a");
        call(turns.claim(&key("a", 0), &payer, Urgency::Asked));
        assert!(turns.claim(&key("a", 1), &payer, Urgency::Asked).is_err());
        assert_eq!(turns.waiting(), 1);
        assert_eq!(queue.take().await, key("a", 1));
        call(turns.claim(&key("a", 1), &payer, Urgency::Asked));
        assert_eq!(turns.waiting(), 0);
        giving.abort();
    }

    #[tokio::test]
    async fn who_waits_for_others_calls_only_reads_and_says_nothing_until_then() {
        let queue = Queue::default();
        let limits = Limits {
            rps: 1_000.0,
            burst: 1_000,
        };
        let turns = Turns::new(limits, queue.clone());
        let payer = payer("eu-west-1_a");
        assert_eq!(turns.line_up(&key("a", 0), &payer), Ok(()), "there is room");
        assert!(turns.has_turn(&key("a", 0)));
        let claim = |n| turns.claim(&key("a", n), &payer, Urgency::Asked);
        let mut out: Vec<_> = (0..16).flat_map(claim).collect();
        assert_eq!(out.len(), 16);
        let waits = turns.line_up(&key("a", 16), &payer).expect_err("it waits");
        let quiet = waits.quiet.expect("not for tokens");
        assert!(quiet <= QUIET_MAX, "{quiet:?}");
        assert!(turns.holds(&key("a", 16)) && !turns.has_turn(&key("a", 16)));
        let waits = claim(17).err().expect("it waits");
        assert!(waits.quiet.is_some());
        queue.push(key("a", 99));
        out.truncate(15);
        assert_eq!(
            turns.give_due(&Metrics::new("0.0.0")),
            None,
            "all turns are out"
        );
        assert_eq!(
            queue.take().now_or_never(),
            Some(key("a", 16)),
            "before all"
        );
        assert!(turns.has_turn(&key("a", 16)));
        assert_eq!(turns.line_up(&key("a", 16), &payer), Ok(()));
        assert!(claim(16).is_ok());
    }

    #[tokio::test]
    async fn who_waits_for_tokens_has_it_said() {
        let limits = Limits { rps: 0.5, burst: 1 };
        let turns = Turns::new(limits, Queue::default());
        let payer = payer("eu-west-1_a");
        call(turns.claim(&key("a", 0), &payer, Urgency::Asked));
        let said = Waits { quiet: None };
        assert_eq!(turns.line_up(&key("a", 1), &payer), Err(said));
        let waits = turns.claim(&key("a", 2), &payer, Urgency::Asked).err();
        assert_eq!(waits, Some(said));
    }

    #[tokio::test]
    async fn a_turn_that_was_not_used_is_the_next_ones() {
        let queue = Queue::default();
        let limits = Limits {
            rps: 0.001,
            burst: 1,
        };
        let turns = Turns::new(limits, queue.clone());
        let payer = payer("eu-west-1_a");
        let turn = turns.claim(&key("a", 0), &payer, Urgency::Asked);
        assert!(turn.is_ok());
        assert!(turns.claim(&key("a", 1), &payer, Urgency::Asked).is_err());
        assert!(turns.claim(&key("a", 2), &payer, Urgency::Asked).is_err());
        turns.leave(&key("a", 1));
        drop(turn);
        assert_eq!(turns.give_due(&Metrics::new("0.0.0")), None);
        assert_eq!(queue.take().now_or_never(), Some(key("a", 2)));
        assert_eq!(turns.waiting(), 0);
        call(turns.claim(&key("a", 2), &payer, Urgency::Asked));
        assert!(turns.claim(&key("a", 0), &payer, Urgency::Asked).is_err());
    }

    #[tokio::test]
    async fn a_call_whose_resource_is_deleted_meanwhile_is_paid_for() {
        let queue = Queue::default();
        let limits = Limits {
            rps: 0.001,
            burst: 1,
        };
        let turns = Turns::new(limits, queue.clone());
        let payer = payer("eu-west-1_a");
        let mut turn = turns.claim(&key("a", 0), &payer, Urgency::Asked);
        turn.as_mut().expect("a turn").calling();
        turns.leave(&key("a", 0));
        assert!(turns.claim(&key("a", 1), &payer, Urgency::Asked).is_err());
        drop(turn);
        assert!(turns.claim(&key("a", 1), &payer, Urgency::Asked).is_err());
        assert_eq!(turns.waiting(), 1);
    }

    #[tokio::test]
    async fn each_region_has_a_budget_of_its_own_and_no_more_are_kept_than_are_needed() {
        let queue = Queue::default();
        let limits = Limits { rps: 1e6, burst: 1 };
        let turns = Turns::new(limits, queue.clone());
        for n in 0..100 {
            let payer = payer(&format!("eu-west-{n}_a"));
            call(turns.claim(&key("a", n), &payer, Urgency::Asked));
        }
        let full = Instant::now() + Duration::from_mins(2);
        while !turns.lock().budgets.is_empty() {
            assert!(Instant::now() < full, "budgets at rest are kept");
            turns.give_due(&Metrics::new("0.0.0"));
        }
        assert!(turns.lock().places.is_empty());
    }
}
