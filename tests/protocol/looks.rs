//! Looks at the user, and the promises about what follows from looks and about sign-outs.

use super::{checks::Promise, kstatus::ready, world::World};
use cognito_password_operator::{
    api::{Attempt, AttemptOutcome, ConditionStatus, Drift, FederatedUser, Reason, Status, Synced},
    core::{
        look::{
            found::{Found, Look, LookFailure, LookKind, Looks},
            user::{User, UserState},
        },
        protocol::plan::Plan,
    },
};
use jiff::{SignedDuration, Timestamp};

/// The margin of invariant I8.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// The age of a look that may lead to a set, by invariant I8.
const FRESH: SignedDuration = SignedDuration::from_secs(120);
/// The age of a look that holds a first set back.
const OF_GUARD: SignedDuration = SignedDuration::from_hours(1);
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// When the user was set, by AWS's clock if that is known.
fn set_at(synced: &Synced) -> Timestamp {
    synced.answered_at.as_ref().unwrap_or(&synced.at).0
}

/// When the operator last sent a value, by the record.
fn sent_at(status: &Status) -> Option<Timestamp> {
    let synced = status.synced.as_ref().map(|synced| synced.at.0);
    let attempt = status.attempt.as_ref().map(|attempt| attempt.started_at.0);
    synced.max(attempt)
}

/// Whether both looks show the same user in the same state. A date of modification proves nothing.
fn agree(one: &Found, other: &Found) -> bool {
    match (one, other) {
        (Found::NotFound, Found::NotFound) => true,
        (Found::User(one), Found::User(other)) => {
            one.state == other.state && one.enabled == other.enabled && one.created == other.created
        }
        (Found::User(_) | Found::NotFound, _) => false,
    }
}

impl World {
    /// A pass over the pool, as far as this user goes. A page proves only that the user is there.
    pub fn pass(&mut self, who: usize) {
        let process = &self.processes[who];
        let status = process.resource.status();
        let is_old = |at: Timestamp| self.now.duration_since(at) > MARGIN;
        let is_set = status
            .synced
            .as_ref()
            .is_some_and(|synced| is_old(synced.at.0));
        let is_about_user = status.ready_reason().is_some_and(Reason::is_about_user);
        let attempt = status.attempt.as_ref();
        let is_over = attempt.is_none_or(|attempt| is_old(attempt.started_at.0)) || is_about_user;
        if is_set && is_over {
            self.look_at(who, LookKind::Sweep);
        }
    }

    /// Makes the lookup that is due, if one was asked for.
    pub fn look_up(&mut self, who: usize) {
        let left = self.processes[who].until_look(self.now);
        if left.is_some_and(|left| left.is_zero()) {
            self.processes[who].asked = None;
            self.look_at(who, LookKind::Lookup);
        }
    }

    fn look_at(&mut self, who: usize, kind: LookKind) {
        let process = &self.processes[who];
        let spec = &process.resource.spec;
        if spec.drift.unwrap_or_default() == Drift::Ignore || spec.suspend || !self.cluster.granted
        {
            return;
        }
        self.watch.looks += 1;
        let uid = process.resource.uid.clone();
        // A page may be answered late; meanwhile the process does other work.
        let begun = match kind {
            LookKind::Sweep => process.since.max(self.now - SignedDuration::from_secs(5)),
            // A lookup that was asked for begins after the call that led to it.
            LookKind::Lookup => self.now + SignedDuration::from_millis(1),
        };
        let listed = self.cognito.list(begun);
        self.note(|| format!("P{who} looks ({kind:?}) -> {listed:?}"));
        let process = &mut self.processes[who];
        if process.looks.0 != uid {
            process.looks = (uid, Looks::default());
            process.seen.clear();
        }
        match listed {
            Err(code) => process.looks.1.fail(LookFailure {
                reason: Reason::of_code(code).expect("a code of AWS"),
                words: code.to_owned(),
                at: self.now,
            }),
            Ok(user) => {
                let (found, kind) = match user {
                    Some(user) => (Found::User(user), kind),
                    None => (Found::NotFound, LookKind::Lookup),
                };
                let look = Look { found, begun, kind };
                process.looks.1.add(look.clone());
                process.seen.push(look);
            }
        }
    }

    /// The latest look of a process, and whether an earlier one agrees, so that both count for the last set.
    fn agreed(&self, who: usize, before: &Status) -> Option<(&Look, bool)> {
        let process = &self.processes[who];
        let looks = &process.seen;
        let latest = looks
            .last()
            .filter(|_| process.looks.0 == process.resource.uid)?;
        let counts = |look: &&Look| {
            sent_at(before).is_none_or(|sent| look.begun.duration_since(sent) > MARGIN)
        };
        let run = looks
            .iter()
            .rev()
            .take_while(|look| agree(&look.found, &latest.found));
        let first = run.filter(counts).last();
        let agrees = first.is_some_and(|first| latest.begun.duration_since(first.begun) >= MARGIN);
        Some((latest, agrees && counts(&latest)))
    }

    /// Whether two looks of a process agree on a user whom an administrator created after the set.
    pub fn is_new_by_administrator(&self, plan: &Plan) -> bool {
        let (Some(user), Some(synced)) = (&self.cognito.user, &plan.before.synced) else {
            return false;
        };
        user.state == UserState::ForceChangePassword
            && user.created.duration_since(set_at(synced)) > MARGIN
    }

    /// Checks that a set which nobody asked for, of a value that is set already, follows from two looks.
    pub fn check_correction(&mut self, who: usize, plan: &Plan) {
        let before = &plan.before;
        let retries =
            |attempt: &Attempt| attempt.is_open() || attempt.generation != plan.attempt.generation;
        let is_retry = before.attempt.as_ref().is_some_and(retries);
        if !plan.equals_synced() || is_retry || plan.attempt.request.is_some() {
            if plan.corrects.is_some() {
                let how = "a correction of another value, or on request".to_owned();
                self.watch.broken(Promise::I8, how);
            }
            return;
        }
        if let Err(how) = self.why_corrected(who, plan) {
            self.watch.broken(Promise::I8, how);
        }
    }

    fn why_corrected(&self, who: usize, plan: &Plan) -> Result<(), String> {
        let before = &plan.before;
        let spec = &self.processes[who].resource.spec;
        let Some((look, true)) = self.agreed(who, before) else {
            return Err("set again without two looks that agree".to_owned());
        };
        let age = plan.attempt.started_at.0.duration_since(look.begun);
        if look.kind != LookKind::Lookup || age > FRESH {
            return Err(format!("set again after a {:?} of {age:?} ago", look.kind));
        }
        let (Found::User(user), Some(synced)) = (&look.found, &before.synced) else {
            return Err("set again without a user".to_owned());
        };
        let is_new = user
            .created
            .is_some_and(|at| at.duration_since(set_at(synced)) > MARGIN);
        let is_reset = match user.state {
            UserState::ForceChangePassword => spec.permanent || is_new,
            UserState::ResetRequired => spec.permanent && !is_new,
            _ => false,
        };
        let is_wanted = spec.drift == Some(Drift::Correct);
        if !user.enabled || !is_reset || !is_wanted || plan.corrects.is_none() {
            return Err(format!(
                "set again because of {user:?}, drift {:?}",
                spec.drift
            ));
        }
        Ok(())
    }

    /// Counts a correction that may have been made.
    pub fn check_count_of_corrections(&mut self) {
        let now = self.now;
        self.watch.corrections.push(now);
        self.watch
            .corrections
            .retain(|at| now.duration_since(*at) < WEEK);
        if self.watch.corrections.len() > 4 {
            let how = format!("corrections at {:?}", self.watch.corrections);
            self.watch.broken(Promise::Brake, how);
        }
    }

    /// Checks that no user is set whom looks have shown to be a stranger.
    pub fn check_stranger(&mut self, who: usize, plan: &Plan) {
        let before = &plan.before;
        let process = &self.processes[who];
        let spec = &process.resource.spec;
        let synced = before.synced.as_ref();
        let refused = |user: &User| match user.state {
            UserState::Unconfirmed => Some(Reason::UserUnconfirmed),
            UserState::ExternalProvider if spec.federated_user == FederatedUser::Refuse => {
                Some(Reason::FederatedUser)
            }
            _ => None,
        };
        let Some(now) = &self.cognito.user else {
            return;
        };
        if spec.drift.unwrap_or_default() == Drift::Ignore || !now.is_stranger {
            return;
        }
        let Some((look, agrees)) = self.agreed(who, before) else {
            return;
        };
        // Only looks at this very user count.
        let Found::User(user) = &look.found else {
            return;
        };
        let is_this = user.created == Some(now.created) && user.state == now.state;
        let asked = plan.attempt.request.is_some();
        let missed = before.attempt.as_ref();
        let missed = missed.filter(|attempt| attempt.outcome == AttemptOutcome::UserNotFound);
        let is_fresh = plan.attempt.started_at.0.duration_since(look.begun) < OF_GUARD;
        let is_later = |at: Timestamp| {
            user.created
                .is_some_and(|created| created.duration_since(at) > MARGIN)
        };
        let said = before.ready_reason().is_some_and(Reason::may_be_a_stranger);
        let is_first = synced.is_none() || missed.is_some();
        let is_known = match (refused(user), synced) {
            (Some(Reason::FederatedUser), _) if asked => {
                is_first && is_fresh && look.kind == LookKind::Lookup
            }
            _ if asked => false,
            (Some(_), _) if is_first => is_fresh && look.kind == LookKind::Lookup,
            (Some(_), _) => agrees || said,
            (None, Some(synced)) => (agrees || said) && is_later(set_at(synced)),
            (None, None) => false,
        };
        if is_this && is_known {
            let how = format!(
                "{user:?} was set; the status said {:?}",
                before.ready_reason()
            );
            self.watch.broken(Promise::Stranger, how);
        }
    }

    /// The record of a set owes a sign-out, if the spec asks for that.
    pub fn obliges(&mut self, after: &Status, plan: &Plan) {
        let yes = plan.record.owes_sign_out && self.cluster.resource.spec.revoke_sessions;
        self.watch.owed = yes;
        self.watch.revoked = yes.then_some(self.cognito.set_at);
        if plan.record.owes_sign_out != after.sign_out_owed.is_some() {
            self.watch
                .broken(Promise::I9, "the record of a set owes nothing".to_owned());
        }
    }

    /// Checks that what is owed is on record, and that Ready is not True meanwhile.
    pub fn check_owed(&mut self) {
        if !self.watch.owed {
            return;
        }
        let status = self.cluster.resource.status();
        if status.sign_out_owed.is_none() || ready(&status) == Some(ConditionStatus::True) {
            let how = format!("a sign-out is owed, and the record says {status:?}");
            self.watch.broken(Promise::I9, how);
        }
    }

    /// Checks that no session from before the set is alive beside Ready=True.
    pub fn check_sessions(&mut self, status: &Status) {
        if ready(status) != Some(ConditionStatus::True) {
            return;
        }
        let Some(set) = self.watch.revoked else {
            return;
        };
        if let Some(session) = self.cognito.sessions.iter().find(|began| **began < set) {
            let how = format!("a session of moment {session} outlives the set of moment {set}");
            self.watch.broken(Promise::I9, how);
        }
    }

    /// Checks that a sign-out changes nothing of the record of sets.
    pub fn check_sign_out(&mut self, before: &Status, after: &Status) {
        let is_same = before.synced == after.synced
            && before.attempt == after.attempt
            && before.retired == after.retired
            && before.corrections == after.corrections
            && before.last_handled_reconcile_at == after.last_handled_reconcile_at;
        if !is_same {
            let how = format!("a sign-out made {after:?} of {before:?}");
            self.watch.broken(Promise::I9, how);
        }
    }

    /// Passes and lookups until looks have had time to show everything.
    pub fn look_around(&mut self) {
        for _ in 0..3 {
            self.note(|| "a pass".to_owned());
            self.wait(SignedDuration::from_secs(130));
            self.sync(0);
            self.run(0);
            self.pass(0);
            for _ in 0..6 {
                self.sync(0);
                let Some(wake) = self.run(0) else { break };
                if wake > std::time::Duration::from_mins(2) {
                    break;
                }
                self.wait(SignedDuration::try_from(wake).expect("a short wait"));
            }
        }
    }

    /// Whether the user is as the set left the user, as far as looks can tell; None if looks can't tell.
    pub fn is_user_as_set(&self, status: &Status) -> Option<bool> {
        let spec = &self.cluster.resource.spec;
        let synced = status.synced.as_ref()?;
        let Some(user) = &self.cognito.user else {
            return status.found_as.is_some().then_some(false);
        };
        let is_new = user.created.duration_since(set_at(synced)) > MARGIN;
        let is_usable = match user.state {
            UserState::Confirmed => true,
            UserState::ForceChangePassword => !spec.permanent,
            UserState::ExternalProvider => spec.federated_user == FederatedUser::Allow,
            UserState::Unconfirmed | UserState::ResetRequired | UserState::Other => false,
        };
        Some(user.enabled && !is_new && is_usable)
    }

    /// Checks what the status says in the end of the user, after looks have had time.
    pub fn check_seen(&mut self) {
        let spec = self.cluster.resource.spec.clone();
        let status = self.cluster.resource.status();
        let looks_at = spec.drift.unwrap_or_default() != Drift::Ignore;
        if !looks_at || spec.suspend || !self.cluster.granted {
            return;
        }
        let reason = status.ready_reason();
        let as_set = self.is_user_as_set(&status);
        let is_ready = ready(&status) == Some(ConditionStatus::True);
        let heals = matches!(reason, Some(Reason::UserDisabled | Reason::UserGone));
        let user = self.cognito.user.as_ref();
        let is_reset = user.is_some_and(|user| {
            user.enabled
                && matches!(
                    user.state,
                    UserState::ResetRequired | UserState::ForceChangePassword
                )
        });
        let corrects = spec.drift == Some(Drift::Correct) && spec.permanent && is_reset;
        let how = if is_ready && as_set == Some(false) {
            "Ready, although looks show another user"
        } else if heals && as_set == Some(true) {
            "not healed"
        } else if corrects && reason == Some(Reason::PasswordReset) {
            "not corrected"
        } else if reason.is_some_and(Reason::is_about_user) && !self.watch.user_changed {
            "nothing happened to the user"
        } else {
            return;
        };
        let how = format!("{how}: {:?}; {}", self.cognito.user, self.summary(&status));
        self.watch.broken(Promise::Seen, how);
    }
}
