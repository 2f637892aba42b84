//! The promises about the content of a status and its writers.

use super::{
    checks::{Promise, RefusedValue, Write},
    cluster::{keyring, target},
    cognito::text,
    kstatus::{kstatus, ready},
    world::World,
};
use cognito_password_operator::{
    api::{Attempt, AttemptOutcome, Class, ConditionStatus, ConditionType, Reason, Status},
    core::{
        credential::{fingerprint::Match, password::Password},
        protocol::{conclude::Conclusion, plan::Plan, resend::ResendPolicy},
    },
};

impl World {
    /// Checks that a status write keeps the promises about the record.
    pub fn check_write(&mut self, before: &Status, after: &Status, write: &Write) {
        self.check_synced(before, after, write);
        let answer = after.last_handled_reconcile_at.as_ref();
        if answer != before.last_handled_reconcile_at.as_ref() {
            self.check_answer(before, after, write);
        }
        if let Write::Conclusion(..) | Write::Report = write {
            // Only the sign-out is missing.
            let revokes = after.ready_reason() == Some(Reason::RevokingSessions);
            let is_ready = revokes || ready(after) == Some(ConditionStatus::True);
            self.watch.meddling.answers(answer, is_ready);
        }
        // A withdrawn attempt restores a status that may have no conditions yet.
        let withdrawn = matches!(write, Write::Withdrawn(_));
        if !withdrawn && let Err(how) = kstatus(before, after) {
            self.watch.broken(Promise::Kstatus, how);
        }
        match write {
            Write::Report => self.check_report(before, after),
            Write::Verified => self.check_verified(before, after),
            Write::SignOut => self.check_sign_out(before, after),
            Write::Withdrawn(plan) => self.watch.did_not_attempt(&plan.attempt.id),
            // The refusal no longer counts, because another value may have been set since.
            Write::Conclusion(Conclusion::Superseded(_), _) => {
                self.watch.refused = None;
                // A value that is signed by two keys looks like two values: a residual risk.
                if self.cluster.keys.len() > 1 {
                    self.doubt(before);
                }
            }
            Write::Ahead(plan, value) => self.check_ahead(before, plan, value),
            Write::Conclusion(Conclusion::Record(recorded), plan) => {
                if recorded.applied {
                    let inferred = recorded.verdict.reason == Reason::AppliedAfterLostReply;
                    self.watch.inferred = inferred && plan.revoke_sessions;
                    self.obliges(after, plan);
                }
                let untouched = plan.ahead.synced == plan.before.synced
                    && !after.attempt.as_ref().is_some_and(Attempt::is_open);
                if !recorded.applied && (untouched || after.attempt == plan.before.attempt) {
                    self.watch.did_not_attempt(&plan.attempt.id);
                }
                if recorded.applied && recorded.verdict.reason == Reason::PasswordSet {
                    self.watch.doubted.clear();
                }
                let class = recorded.verdict.class;
                let named = self.names(&plan.attempt.fingerprint);
                // After a correction that Cognito refused, the status says what the look found.
                let of_look = plan.corrects.is_some() && after.attempt == plan.before.attempt;
                let is_refused = class == Class::Stalled && !of_look;
                self.watch.refused = is_refused.then(|| RefusedValue {
                    password: named.map(text).unwrap_or_default(),
                    generation: plan.attempt.generation,
                    request: after.last_handled_reconcile_at.clone(),
                    value_changes: self.watch.value_changes,
                });
                let open = after
                    .attempt
                    .as_ref()
                    .is_some_and(|a| a.outcome == AttemptOutcome::Unknown);
                if recorded.verdict.reason.class() == Class::Unknown
                    && class != Class::Settled
                    && !open
                {
                    self.watch
                        .broken(Promise::I6, format!("{:?} closed", recorded.verdict));
                }
                if plan.inherited
                    && class != Class::Settled
                    && !after.attempt.as_ref().is_some_and(Attempt::is_open)
                {
                    self.watch
                        .broken(Promise::I6, "an inherited doubt was dropped".to_owned());
                }
            }
        }
    }

    /// An answer needs a set, a state that requires a person, or a missing value.
    fn check_answer(&mut self, before: &Status, after: &Status, write: &Write) {
        let reason = after.ready_reason();
        let is_over = after.failures.is_none()
            || matches!(
                reason,
                Some(Reason::SecretNotFound | Reason::SecretKeyNotFound)
            );
        let by_outcome = matches!(write, Write::Report | Write::Conclusion(..));
        // A conclusion may restore the answer from before a call, after another process took over.
        let undone = match write {
            Write::Conclusion(_, plan) => {
                before.last_handled_reconcile_at == plan.attempt.request
                    && after.last_handled_reconcile_at == plan.before.last_handled_reconcile_at
            }
            Write::Report
            | Write::Verified
            | Write::SignOut
            | Write::Ahead(..)
            | Write::Withdrawn(_) => false,
        };
        if !(is_over && by_outcome || undone) {
            let (was, is) = (
                &before.last_handled_reconcile_at,
                &after.last_handled_reconcile_at,
            );
            let how = format!("answered from {was:?} to {is:?} with {reason:?}");
            self.watch.broken(Promise::Answers, how);
        }
    }

    /// Only the version of the Secret may change, and not the version of a pending attempt. At that version
    /// the Secret must have contained the recorded value.
    fn check_verified(&mut self, before: &Status, after: &Status) {
        let mut elsewhere = before.clone();
        let pending = |status: &Status| {
            let attempt = status.attempt.clone();
            attempt.filter(|attempt| attempt.outcome == AttemptOutcome::Pending)
        };
        let stalled = before.condition(ConditionType::Stalled).is_some();
        let mut is_true = stalled || pending(before) == pending(after);
        let is_at = |version: &str, fingerprint: &str| {
            let value = self.cluster.value_at(version);
            let permanent = self.cluster.resource.spec.permanent;
            let keyring = keyring(&self.cluster.keys);
            // A process signs with its own keys until its restart.
            let same = |value: &Password| {
                let ring = &keyring.ring;
                ring.compare(fingerprint, &target(), permanent, value) != Match::Different
            };
            value.as_ref().is_some_and(same)
        };
        if let (Some(was), Some(is)) = (&mut elsewhere.synced, &after.synced) {
            if was != is {
                is_true &= is_at(&is.secret_resource_version, &is.fingerprint);
            }
            was.secret_uid.clone_from(&is.secret_uid);
            was.secret_resource_version
                .clone_from(&is.secret_resource_version);
        }
        if let (Some(was), Some(is)) = (&mut elsewhere.attempt, &after.attempt) {
            if was != is {
                is_true &= is_at(&is.secret_resource_version, &is.fingerprint);
            }
            was.secret_uid.clone_from(&is.secret_uid);
            was.secret_resource_version
                .clone_from(&is.secret_resource_version);
        }
        if let (Some(was), Some(is)) = (&mut elsewhere.unusable, &after.unusable) {
            let value = self.cluster.value_at(&is.secret_resource_version);
            is_true &= was == is || value.is_none();
            was.clone_from(is);
        }
        if !is_true || elsewhere != *after {
            let how = format!("{before:?} became {after:?}");
            self.watch.broken(Promise::Verified, how);
        }
    }

    fn check_ahead(&mut self, before: &Status, plan: &Plan, value: &Password) {
        if before.attempt.as_ref().is_some_and(Attempt::is_open) && !plan.inherited {
            self.doubt(before);
        }
        let resource = &self.cluster.resource;
        let keyring = keyring(&self.cluster.keys);
        let fingerprint = &plan.attempt.fingerprint;
        let named = keyring
            .ring
            .compare(fingerprint, &target(), resource.spec.permanent, value);
        let now = RefusedValue {
            password: value.expose().to_owned(),
            generation: resource.generation,
            request: resource.requested_at.clone(),
            value_changes: self.watch.value_changes,
        };
        if named == Match::Different {
            let how = "the attempt names another value".to_owned();
            self.watch.broken(Promise::I1, how);
        }
        self.watch.attempts(
            &plan.attempt.id,
            value.expose(),
            plan.kind == ResendPolicy::Permanent,
        );
        if self.watch.refused.as_ref() == Some(&now) && !self.watch.keys_lost {
            let how = format!("{now:?} is to be sent again");
            self.watch.broken(Promise::I5, how);
        }
    }

    /// A report may put a value in doubt without a call, as an attempt with a new id. Later values are
    /// compared with it.
    fn check_report(&mut self, before: &Status, after: &Status) {
        let id = |status: &Status| status.attempt.as_ref().map(|a| a.id.clone());
        if let Some(attempt) = after.attempt.as_ref().filter(|_| id(before) != id(after)) {
            let named = self.names(&attempt.fingerprint).map(text);
            self.watch
                .attempts(&attempt.id, &named.unwrap_or_default(), false);
        }
    }

    /// From now on either value may be the user's password.
    fn doubt(&mut self, status: &Status) {
        let synced = status.synced.iter().map(|s| s.fingerprint.as_str());
        let attempt = status.attempt.iter().map(|a| a.fingerprint.as_str());
        let doubted: Vec<_> = synced
            .chain(attempt)
            .filter_map(|f| self.names(f))
            .collect();
        let doubted = doubted.into_iter().map(text);
        self.watch.doubt(doubted);
    }

    /// The value of a fingerprint, if its key is available.
    pub fn names(&self, recorded: &str) -> Option<u8> {
        keyring(&self.cluster.keys).names.get(recorded).copied()
    }

    fn check_synced(&mut self, before: &Status, after: &Status, write: &Write) {
        let of = |status: &Status| status.synced.as_ref().map(|s| s.fingerprint.clone());
        let (was, is) = (of(before), of(after));
        if was == is {
            return;
        }
        let allowed = match write {
            Write::Verified | Write::SignOut => false,
            Write::Report => {
                let names = |signed: &Option<String>| signed.as_ref().map(|s| self.names(s));
                was.is_some() && is.is_some() && (names(&was) == names(&is) || self.watch.keys_lost)
            }
            Write::Ahead(..) | Write::Conclusion(Conclusion::Superseded(_), _) => is.is_none(),
            Write::Withdrawn(plan) => is == of(&plan.before),
            Write::Conclusion(Conclusion::Record(recorded), plan) => {
                let ours = before
                    .attempt
                    .as_ref()
                    .is_some_and(|a| a.id == plan.attempt.id);
                let set = recorded.applied && is.as_ref() == Some(&plan.attempt.fingerprint);
                let doubted = recorded.verdict.reason == Reason::NotConfirmed && is.is_none();
                ours && (set || doubted || is == of(&plan.before))
            }
        };
        if !allowed {
            self.watch
                .broken(Promise::I3, format!("synced went from {was:?} to {is:?}"));
        }
    }
}
