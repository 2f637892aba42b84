//! The promises about drift: which sets looks may lead to, and how each user ends.

use std::time::{Duration, Instant};

use super::ledger::{Act, Deed, Ledger};
use super::story::CHOSEN;
use super::{LAG_MAX, MARGIN, Role, pool, role};
use crate::checks::{Actors, Evidence};
use crate::observer::ObservedState;
use crate::scene::Scene;
use crate::support::{Call, Operation, OtherCall, Outcome, Subject};

/// How old a look may be that leads to a set, and a busy machine's delays.
const FRESH: Duration = Duration::from_secs(2 * 60 + 15);

/// How long the operator waits from a user's first correction to the second.
const NEXT_CORRECTION: Duration = Duration::from_mins(30);

const LAG: Duration = Duration::from_secs(LAG_MAX);

/// Each user in reasons of this kind may be a stranger.
const STRANGER: [&str; 2] = ["UserRecreated", "UserUnconfirmed"];

fn calls_of(scene: &Scene, user: &str) -> Vec<Call> {
    scene.world.cognito.calls_for(pool(user), user)
}

/// Whether the user has the Secret's value, so that the sign-in works.
pub(super) fn works(scene: &Scene, user: &str) -> bool {
    let cognito = &scene.world.cognito;
    let Some(newest) = scene.book.newest(user) else {
        return false;
    };
    if role(user) != Role::Temporary {
        return cognito.can_sign_in((pool(user), user), &newest);
    }
    let is_enabled = cognito
        .user_state(pool(user), user)
        .is_some_and(|it| it.enabled);
    is_enabled
        && cognito.password_of(pool(user), user) == Some(newest)
        && cognito.is_permanent(pool(user), user) == Some(false)
}

/// Whether the last call for the user arrived longer ago than this.
pub(super) fn is_old(scene: &Scene, user: &str, age: Duration) -> bool {
    let last = calls_of(scene, user)
        .into_iter()
        .map(|call| call.arrived)
        .max();
    last.is_none_or(|last| last.elapsed() > age)
}

/// Why the user is not as the user should be in the end; None if the user is.
pub(super) fn unmet(scene: &Scene, ledger: &Ledger, user: &str) -> Option<String> {
    let cognito = &scene.world.cognito;
    let latest = scene.observer.latest_of(user)?;
    let is_settled = latest.is_settled(&scene.book) && works(scene, user);
    let settled = |what: &str| {
        (!is_settled)
            .then(|| format!("{what}, and sign-in with the Secret's value fails: {latest}"))
    };
    let says = |reasons: &[&str]| {
        let is_said = latest.ready.0 == "False" && reasons.contains(&&*latest.ready.1);
        (!is_said).then(|| format!("not {reasons:?}: {latest}"))
    };
    let Some(Deed { at, act }) = ledger.last(user) else {
        return settled("no sabotage");
    };
    let calls = calls_of(scene, user);
    let is_set = calls.iter().any(|call| call.applied() && call.arrived > at);
    // Nobody knows whether a temporary password was set if a kill came before the answer was on record.
    let is_doubtful = role(user) == Role::Temporary
        && latest.ready.1 == "OutcomeUnknown"
        && calls
            .last()
            .is_some_and(|call| killed_after(scene, call.arrived));
    if is_doubtful {
        return None;
    }
    match act {
        Act::Disabled => {
            let is_enabled = cognito.user_state(pool(user), user)?.enabled;
            says(&["UserDisabled"]).or(is_enabled.then(|| "enabled by the operator".to_owned()))
        }
        _ if is_set => settled("set after the sabotage"),
        Act::Enabled => settled("enabled again"),
        Act::SignedUp | Act::SignedUpUnconfirmed => says(&STRANGER),
        Act::PasswordChosen => {
            let is_kept = cognito.password_of(pool(user), user).as_deref() == Some(CHOSEN);
            (!is_kept).then(|| "a person's password was replaced without a call".to_owned())
        }
        Act::Reset | Act::TemporaryElsewhere | Act::RecreatedByAdministrator => {
            if act.is_correctable(role(user)) {
                settled("may be corrected")
            } else {
                says(&["PasswordReset", "UserRecreated"])
            }
        }
    }
}

/// Whether a process was killed soon after this moment.
fn killed_after(scene: &Scene, moment: Instant) -> bool {
    let soon = Duration::from_secs(5);
    let kills = scene.book.kills();
    kills
        .iter()
        .any(|kill| *kill > moment && *kill < moment + soon)
}

/// The calls by which the operator set the user again because looks found a deviation: the value was on record
/// already. A call that repeats such a call after a kill is not counted again.
pub(super) fn corrections(scene: &Scene, user: &str) -> Vec<Call> {
    let seen = scene.observer.seen_of(user);
    let value = |state: &ObservedState| scene.book.value_at(user, state.synced.as_ref()?);
    let mut corrections = Vec::new();
    let mut last: Option<Call> = None;
    for call in calls_of(scene, user) {
        let was_on_record = seen.iter().any(|state| {
            let is_of_it = value(state).as_ref() == Some(&call.password);
            state.at < call.arrived && state.attempt.is_none() && is_of_it
        });
        let repeats = last.as_ref().is_some_and(|last| {
            let between = |state: &&ObservedState| {
                state.at > last.arrived && state.at < call.arrived && state.attempt.is_none()
            };
            last.password == call.password && !seen.iter().any(|state| between(&state))
        });
        if was_on_record && !repeats {
            corrections.push(call.clone());
        }
        last = Some(call);
    }
    corrections
}

/// Each broken promise about this user, as a sentence.
pub(super) fn violations(scene: &Scene, ledger: &Ledger, user: &str) -> Vec<String> {
    let (seen, calls) = (scene.observer.seen_of(user), calls_of(scene, user));
    let corrections = corrections(scene, user);
    let applied = calls.iter().filter(|call| call.applied());
    let in_force: Vec<_> = applied
        .map(|call| (call.arrived, call.password.clone()))
        .collect();
    let mut wrong = Evidence {
        user,
        book: &scene.book,
        seen: &seen,
        calls: &calls,
        in_force: &in_force,
        actors: Actors::One,
        corrections: corrections.len(),
    }
    .violations();
    let deeds = ledger.of(user);
    let looks = looks_at(scene, user);
    for call in &corrections {
        let before = calls.iter().filter(|other| other.arrived < call.arrived);
        let set_at = before.map(|call| call.arrived).max();
        if let Err(why) = of_correction(call, set_at, &looks, &deeds, role(user)) {
            wrong.push(format!("corrected by call {}, {why}", call.id));
        }
    }
    for pair in corrections.windows(2) {
        let waited = pair[1].arrived - pair[0].arrived;
        if waited < NEXT_CORRECTION {
            wrong.push(format!("corrected again after only {waited:?}"));
        }
    }
    wrong.extend(of_strangers(&seen, &calls, &deeds));
    wrong
}

/// The pages and lookups that may have shown the user, and that the operator could read.
fn looks_at(scene: &Scene, user: &str) -> Vec<OtherCall> {
    let mut looks = scene.world.cognito.calls_of(Operation::ListUsers);
    looks.retain(|look| {
        let shows = match &look.subject {
            Subject::Page { .. } => true,
            Subject::Username(name) => name == user,
            Subject::Sub(_) | Subject::SignOut(_) | Subject::Pool | Subject::User(_) => false,
        };
        shows && look.pool == pool(user) && look.outcome == Outcome::Applied
    });
    looks
}

/// Invariant I8: two looks led to the correction, both more than a margin after the last set, a margin apart, and
/// the later one is a fresh lookup. Within the delay of `ListUsers` before that lookup, the user was in a state
/// that the operator may correct.
fn of_correction(
    call: &Call,
    set_at: Option<Instant>,
    looks: &[OtherCall],
    deeds: &[Deed],
    role: Role,
) -> Result<(), String> {
    let set_at = set_at.ok_or("without an earlier set")?;
    let counts = |look: &&OtherCall| look.arrived > set_at + MARGIN;
    let is_lookup = |look: &&OtherCall| matches!(look.subject, Subject::Username(_));
    let ended = |look: &&OtherCall| look.ended.is_some_and(|ended| ended <= call.arrived);
    let lookups = looks.iter().filter(counts).filter(is_lookup);
    let latest = lookups.filter(ended).max_by_key(|look| look.arrived);
    let latest = latest.ok_or("without a lookup after the margin")?;
    if call.arrived - latest.arrived > FRESH {
        return Err("although the lookup was not fresh".to_owned());
    }
    // The arrival of a call is later than its beginning, by different times for the two looks.
    let jitter = Duration::from_millis(500);
    let is_first = |look: &OtherCall| look.arrived + MARGIN <= latest.arrived + jitter;
    if !looks.iter().filter(counts).any(is_first) {
        return Err("although no earlier look was a margin before the lookup".to_owned());
    }
    // A lookup is answered at once, so the state at its arrival is the latest one that it can show.
    let shown_from = latest.arrived.checked_sub(LAG).unwrap_or(latest.arrived);
    let shown_until = latest.ended.unwrap_or(latest.arrived);
    let earlier = deeds.iter().rev().find(|deed| deed.at <= shown_from);
    let within = deeds
        .iter()
        .filter(|deed| deed.at > shown_from && deed.at <= shown_until);
    let shown: Vec<_> = earlier
        .into_iter()
        .chain(within)
        .map(|deed| deed.act)
        .collect();
    if !shown.iter().any(|act| act.is_correctable(role)) {
        return Err(format!("although the lookup showed {shown:?} of {role:?}"));
    }
    Ok(())
}

/// No value is set for a user who signed up, once the status says that the user may be a stranger.
fn of_strangers(seen: &[ObservedState], calls: &[Call], deeds: &[Deed]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, deed) in deeds.iter().enumerate() {
        if !deed.act.is_sign_up() {
            continue;
        }
        let next = deeds.get(index + 1).map(|next| next.at);
        let is_before_next = |at: Instant| next.is_none_or(|next| at < next);
        let said = seen.iter().find(|state| {
            state.at > deed.at && STRANGER.contains(&&*state.ready.1) && is_before_next(state.at)
        });
        let Some(said) = said else { continue };
        let set = calls
            .iter()
            .find(|call| call.arrived > said.at && is_before_next(call.arrived));
        if let Some(call) = set {
            wrong.push(format!("call {} for a stranger, after {said}", call.id));
        }
    }
    wrong
}
