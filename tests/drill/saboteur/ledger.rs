//! What the saboteur did, to whom and when.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Instant;

use super::Role;
use crate::lock;

/// One act of sabotage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// `AdminResetUserPassword`.
    Reset,
    /// An administrator gives another, temporary password.
    TemporaryElsewhere,
    RecreatedByAdministrator,
    /// Deleted, and made again by a sign-up that was confirmed.
    SignedUp,
    /// The same, without the confirmation.
    SignedUpUnconfirmed,
    Disabled,
    Enabled,
    /// After a reset, a person chooses another password.
    PasswordChosen,
}

impl Act {
    /// Whether the operator may set the password again.
    pub(super) fn is_correctable(self, role: Role) -> bool {
        match self {
            Act::RecreatedByAdministrator => role != Role::Report,
            Act::Reset | Act::TemporaryElsewhere => role == Role::Correct,
            Act::SignedUp
            | Act::SignedUpUnconfirmed
            | Act::Disabled
            | Act::Enabled
            | Act::PasswordChosen => false,
        }
    }

    /// Whether the user may be a stranger now.
    pub(super) fn is_sign_up(self) -> bool {
        matches!(self, Act::SignedUp | Act::SignedUpUnconfirmed)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub(super) at: Instant,
    pub(super) act: Act,
}

#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<HashMap<String, Vec<Deed>>>);

impl Ledger {
    /// Notes an act before its effect, so that the drill blames no call on an act that came later.
    pub(super) fn note(&self, user: &str, act: Act) {
        let at = Instant::now();
        let mut deeds = lock(&self.0);
        let deeds = deeds.entry(user.to_owned()).or_default();
        deeds.push(Deed { at, act });
    }

    /// The acts on a user, the oldest first.
    pub(super) fn of(&self, user: &str) -> Vec<Deed> {
        lock(&self.0).get(user).cloned().unwrap_or_default()
    }

    pub(super) fn last(&self, user: &str) -> Option<Deed> {
        lock(&self.0).get(user)?.last().cloned()
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.0).values().map(Vec::len).sum()
    }

    /// The number of acts that the operator may correct.
    pub(super) fn correctable(&self, role: impl Fn(&str) -> Role) -> usize {
        let deeds = lock(&self.0);
        let all = deeds.iter().flat_map(|(user, deeds)| {
            let role = role(user);
            deeds
                .iter()
                .filter(move |deed| deed.act.is_correctable(role))
        });
        all.count()
    }

    /// How often each act was done.
    pub(super) fn told(&self, changes: usize) -> String {
        let deeds = lock(&self.0);
        let mut counts: BTreeMap<Act, usize> = BTreeMap::new();
        for deed in deeds.values().flatten() {
            *counts.entry(deed.act).or_default() += 1;
        }
        let counts: Vec<_> = counts
            .iter()
            .map(|(act, count)| format!("{count} {act:?}"))
            .collect();
        format!("{}; {changes} values", counts.join(", "))
    }

    /// The acts on a user, for finding the cause of a failure.
    pub(super) fn evidence(&self, user: &str) -> String {
        let mut text = format!("sabotage of {user}, before now:\n");
        for deed in self.of(user) {
            let ago = deed.at.elapsed().as_secs_f64();
            writeln!(text, "  {ago:>8.3} s {:?}", deed.act).expect("a String takes everything");
        }
        text
    }
}
