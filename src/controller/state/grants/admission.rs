//! Which resources the grants admit. The judgement of a resource records its admission.

use super::{AdmissionEntry, Grants};
use crate::{
    controller::state::{
        key::{Key, Name},
        small_set::SmallSet,
    },
    core::{
        access::{
            authority::Authority,
            grant::{Admission, Namespace, admit},
        },
        names::target::Target,
    },
};
use std::time::Instant;

impl Grants {
    /// Whether the resource may manage this user, and by which authority.
    ///
    /// A resource that a new grant admits is [`Admission::Unknown`] until [`judge`](Self::judge) has judged
    /// the resource. Until then the claims don't count the resource as a claimant of the user.
    #[must_use]
    pub fn admission(&self, resource: &Key, target: &Target, now: Instant) -> Admission {
        if self.by_name.is_doubtful(now) || self.namespaces.is_doubtful(now) {
            return Admission::Unknown;
        }
        let admission = self.find(target, resource.namespace()).0;
        let is_judged = self.ungranted.is_none() || {
            let entry = self.resources.get(resource);
            entry.is_some_and(|it| it.claim.target() == target && it.is_admitted())
        };
        match admission {
            Admission::Granted(_) if !is_judged => Admission::Unknown,
            admission => admission,
        }
    }

    /// Whether the resource was admitted when it was last judged.
    #[must_use]
    pub fn is_admitted(&self, resource: &Key) -> bool {
        self.resources
            .get(resource)
            .is_some_and(AdmissionEntry::is_admitted)
    }

    /// The grants that admit the resource by different authorities, or `None` if the admission isn't
    /// ambiguous.
    #[must_use]
    pub fn conflicting(&self, resource: &Key) -> Option<Vec<Name>> {
        let entry = self.resources.get(resource)?;
        match self.find(entry.claim.target(), resource.namespace()) {
            (Admission::Ambiguous, by) => Some(by),
            (
                Admission::Granted(_)
                | Admission::NotGranted
                | Admission::UnknownRegion
                | Admission::Unknown,
                _,
            ) => None,
        }
    }

    /// Judges a resource again. Returns whether its admission changed. Before grants and namespaces are
    /// listed, no resource is judged.
    pub fn judge(&mut self, resource: &Key) -> bool {
        if self.ungranted.is_some() && !self.is_listed() {
            return false;
        }
        let Some(entry) = self.resources.get(resource) else {
            return false;
        };
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("judge", resource);
        let (admission, mut by) = self.find(entry.claim.target(), resource.namespace());
        if admission == Admission::Ambiguous {
            // If the grants disagree, none of the grants admits the resource.
            by.clear();
        }
        let by: SmallSet<_> = by.into_iter().collect();
        let Some(entry) = self.resources.get_mut(resource) else {
            return false;
        };
        let before = std::mem::replace(&mut entry.admission, admission);
        let has_changed = entry.admission != before;
        if entry.by != by {
            let before = std::mem::take(&mut entry.by);
            self.count(&before, &by);
            if let Some(entry) = self.resources.get_mut(resource) {
                entry.by = by;
            }
        }
        has_changed
    }

    /// Whether a resource of this namespace may manage the user, and the grants that admit the resource.
    fn find(&self, target: &Target, namespace: &str) -> (Admission, Vec<Name>) {
        let Some(ungranted) = self.ungranted else {
            let own = Authority::own(target.pool.region());
            return (Admission::Granted(own).within(self.regions), Vec::new());
        };
        // An unknown namespace is a new one. Its watch event is on the way.
        let labels = self.namespaces.known.get(namespace);
        let Some(labels) = labels.filter(|_| self.is_listed()) else {
            return (Admission::Unknown, Vec::new());
        };
        let namespace = Namespace {
            name: namespace,
            labels,
        };
        let of_pool = self.pools.get(&target.pool);
        let fitting = of_pool.map(|grants| grants.fitting(target, namespace));
        let fitting = fitting.unwrap_or_default();
        let is_named = of_pool.is_some() || !self.unreadable.is_empty();
        let admission =
            admit(fitting.values().copied(), is_named, ungranted, target).within(self.regions);
        (admission, fitting.into_keys().cloned().collect())
    }

    /// Updates the counts for a resource that the grants `before` admitted and the grants `now` admit.
    pub(super) fn count(&mut self, before: &SmallSet<Name>, now: &SmallSet<Name>) {
        for name in before.iter() {
            let count = self.admitted_counts.entry(name.clone()).or_default();
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.admitted_counts.remove(name);
            }
        }
        for name in now.iter() {
            *self.admitted_counts.entry(name.clone()).or_default() += 1;
        }
        let known = &self.by_name.known;
        let counted = before.iter().chain(now.iter());
        let counted = counted.filter(|name| known.contains_key(*name));
        self.changed.extend(counted.cloned());
    }
}
