//! Grants and namespaces, as the watches showed them, and the admission of each resource.
//!
//! The index is synchronous. A change returns a walk, [`Concerned`], through the resources that the change
//! may concern. [`Grants::next_concerned`] returns these resources in portions, because a grant may concern
//! 10,000 resources. The caller passes each resource to [`Grants::judge`].

mod concerned;

pub use concerned::Concerned;
use concerned::{Among, WALKED_FOR_ONE_JUDGED};

use super::{
    claims::Claim,
    key::{Key, Name},
    listing::Listing,
    small_set::SmallSet,
};
use crate::{
    api::CognitoUserPoolGrant,
    core::{
        access::{
            authority::Authority,
            grant::{Admission, Grant, InvalidGrant, Namespace, UngrantedPolicy, admit},
            grant_index::GrantIndex,
        },
        names::{
            region::Regions,
            target::{PoolId, Target},
        },
    },
};
use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::Hash,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

/// The labels of a namespace.
pub type NamespaceLabels = BTreeMap<String, String>;

/// The grants, the namespaces, and the admission of each resource; see the module.
#[derive(Default)]
pub struct Grants {
    /// The policy for pools that no grant names. `None` if grants are turned off: then every resource is
    /// admitted by the operator's own identity.
    ungranted: Option<UngrantedPolicy>,
    /// The Regions in which the operator calls Cognito.
    regions: Regions,
    by_name: WatchedObjects<GrantEntry>,
    namespaces: WatchedObjects<NamespaceLabels>,
    /// The grants of each pool that a grant names.
    pools: HashMap<PoolId, GrantIndex<Name>>,
    /// Grants that this version can't read. Such a grant may name any pool.
    unreadable: BTreeSet<Name>,
    resources: HashMap<Key, AdmissionEntry>,
    of_pool: HashMap<PoolId, BTreeSet<Key>>,
    of_namespace: HashMap<Name, BTreeSet<Key>>,
    /// The number of resources that each grant admits, by the last judgement of each resource. A deleted
    /// grant keeps its entry until its resources are judged again.
    lets_in: HashMap<Name, usize>,
    /// The grants whose status may have to change.
    changed: BTreeSet<Name>,
    /// Whether a grant was deleted. The deletion may leave an authority that no grant names.
    is_one_gone: bool,
}

/// The consequences of a complete list.
pub struct RelistChange {
    /// The objects that the list did not show. The caller deletes each of these objects.
    pub gone: Vec<Name>,
    /// The resources to judge.
    pub concerned: Concerned,
}

/// A grant that this version can read.
#[derive(Clone)]
pub struct GrantEntry {
    /// The object that the watch showed last.
    pub object: Arc<CognitoUserPoolGrant>,
    /// The parsed spec, or why the grant is invalid.
    pub grant: Result<Arc<Grant>, InvalidGrant>,
}

/// The claim of a resource, with the admission from its last judgement.
struct AdmissionEntry {
    claim: Claim,
    admission: Admission,
    /// The grants that admit the resource.
    by: SmallSet<Name>,
}

impl AdmissionEntry {
    const fn is_admitted(&self) -> bool {
        matches!(self.admission, Admission::Granted(_))
    }
}

/// The versions of a grant before and after a change.
#[derive(Default)]
struct Change {
    /// The pools that the grant named before the change, or names now.
    pools: BTreeSet<PoolId>,
    /// Whether the grant was unreadable before the change, so that it may have named any pool.
    may_name_any: bool,
    /// The valid versions.
    grants: Vec<Arc<Grant>>,
}

/// The objects of one kind that the watch showed, by name.
struct WatchedObjects<V> {
    known: HashMap<Name, V>,
    listing: Listing<Name>,
    /// Until this time the objects may be out of date, because their watch fails.
    doubtful_until: Option<Instant>,
}

impl<V> Default for WatchedObjects<V> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            listing: Listing::default(),
            doubtful_until: None,
        }
    }
}

impl<V> WatchedObjects<V> {
    fn is_doubtful(&self, now: Instant) -> bool {
        self.doubtful_until.is_some_and(|until| now < until)
    }
}

impl Grants {
    /// An index with grants turned on. `ungranted` is the policy for pools that no grant names.
    #[must_use]
    pub fn new(ungranted: UngrantedPolicy) -> Self {
        Self {
            ungranted: Some(ungranted),
            ..Self::default()
        }
    }

    /// This index, restricted to calls in `regions`.
    #[must_use]
    pub fn within(self, regions: Regions) -> Self {
        Self { regions, ..self }
    }

    /// The number of entries of each collection, for the gauges.
    pub fn entries(&self) -> [(&'static str, usize); 4] {
        let index = self.pools.len()
            + self.unreadable.len()
            + self.of_pool.len()
            + self.of_namespace.len()
            + self.lets_in.len()
            + self.changed.len();
        [
            ("grants", self.by_name.known.len()),
            ("namespaces", self.namespaces.known.len()),
            ("granted", self.resources.len()),
            ("grant_index", index),
        ]
    }

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
            let resident = self.resources.get(resource);
            resident.is_some_and(|it| it.claim.target() == target && it.is_admitted())
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
        let resident = self.resources.get(resource)?;
        match self.find(resident.claim.target(), resource.namespace()) {
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

    /// The grant of this name, if this version can read the grant.
    #[must_use]
    pub fn grant(&self, name: &str) -> Option<&GrantEntry> {
        self.by_name.known.get(name)
    }

    /// The number of resources that the grant admits.
    #[must_use]
    pub fn lets_in(&self, name: &str) -> usize {
        self.lets_in.get(name).copied().unwrap_or_default()
    }

    /// Whether the status of a grant may have to change, or a grant was deleted.
    #[must_use]
    pub fn have_changed(&self) -> bool {
        self.is_one_gone || !self.changed.is_empty()
    }

    /// Takes the grants whose status may have to change, and resets [`have_changed`](Self::have_changed).
    pub fn take_changed(&mut self) -> BTreeSet<Name> {
        self.is_one_gone = false;
        std::mem::take(&mut self.changed)
    }

    /// Marks the status of each grant that names `authority`: the state of the authority has changed.
    pub fn authority_changed(&mut self, authority: &Authority) {
        let naming = self.by_name.known.iter().filter(|(_, held)| {
            let grant = held.grant.as_ref();
            grant.is_ok_and(|grant| grant.authority == *authority)
        });
        self.changed.extend(naming.map(|(name, _)| name.clone()));
    }

    /// The authorities that valid grants name.
    #[must_use]
    pub fn authorities(&self) -> HashSet<Authority> {
        let grants = self.by_name.known.values();
        let readable = grants.filter_map(|held| held.grant.as_ref().ok());
        readable.map(|grant| grant.authority.clone()).collect()
    }

    /// The same claim. If the index knows the pool, the claim shares the allocation of the pool's id.
    #[must_use]
    pub fn sharing(&self, claim: Claim) -> Claim {
        match self.of_pool.get_key_value(&claim.target().pool) {
            Some((pool, _)) => claim.sharing(pool),
            None => claim,
        }
    }

    /// Adds or updates a resource with its claim. Returns whether the resource is admitted.
    pub fn apply_resource(&mut self, resource: &Key, claim: Option<&Claim>) -> bool {
        let Some(claim) = claim else {
            self.delete_resource(resource);
            return false;
        };
        let known = self.resources.get(resource);
        if known.map(|it| it.claim.target()) != Some(claim.target()) {
            self.delete_resource(resource);
            let resident = AdmissionEntry {
                claim: claim.clone(),
                admission: Admission::Unknown,
                by: SmallSet::None,
            };
            self.resources.insert(resource.clone(), resident);
            let pool = claim.target().pool.clone();
            let of_pool = self.of_pool.entry(pool).or_default();
            of_pool.insert(resource.clone());
            let namespace = resource.namespace().into();
            let of_namespace = self.of_namespace.entry(namespace).or_default();
            of_namespace.insert(resource.clone());
            self.judge(resource);
        }
        self.is_admitted(resource)
    }

    /// Removes a resource.
    pub fn delete_resource(&mut self, resource: &Key) {
        let Some(resident) = self.resources.remove(resource) else {
            return;
        };
        self.count(&resident.by, &SmallSet::None);
        leave(&mut self.of_pool, &resident.claim.target().pool, resource);
        leave(&mut self.of_namespace, resource.namespace(), resource);
    }

    /// Adds or updates a grant. Returns the resources to judge.
    pub fn apply_grant(&mut self, name: &str, object: Arc<CognitoUserPoolGrant>) -> Concerned {
        self.by_name.listing.show(&name.into());
        if object.metadata.deletion_timestamp.is_some() {
            // A finalizer keeps the object alive, but a grant that is being deleted admits no resource.
            return self.delete_grant(name);
        }
        if let Some(held) = self.by_name.known.get_mut(name) {
            let same =
                held.object.spec == object.spec && held.object.metadata.uid == object.metadata.uid;
            if same {
                // Only status or metadata changed, so the status may have to be written again.
                held.object = object;
                self.changed.insert(name.into());
                return Concerned::default();
            }
        }
        let grant = Grant::parse(&object.spec)
            .and_then(|grant| grant.within(self.regions))
            .map(Arc::new);
        let mut change = self.forget_grant(name);
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("grant", &Key::new("", name));
        change.grants.extend(grant.clone());
        // A grant that is otherwise invalid still names its pool.
        match PoolId::parse(&object.spec.user_pool_id) {
            Ok(pool) => {
                let naming = self.pools.entry(pool.clone()).or_default();
                naming.insert(name.into(), grant.clone().ok());
                change.pools.insert(pool);
            }
            Err(_) => {
                self.unreadable.insert(name.into());
            }
        }
        let held = GrantEntry { object, grant };
        self.by_name.known.insert(name.into(), held);
        self.changed.insert(name.into());
        self.concerned(change)
    }

    /// Adds or updates a grant that this version can't read. Returns the resources to judge.
    pub fn unreadable_grant(&mut self, name: &str) -> Concerned {
        let change = self.forget_grant(name);
        self.by_name.listing.show(&name.into());
        self.unreadable.insert(name.into());
        self.concerned(change)
    }

    /// Repairs the index after a change of this grant panicked half-way. The grant admits no resource from
    /// now on. A grant that still exists (`is_there`) counts as unreadable. Returns every resource to be
    /// judged, because the index can't tell which resources the grant admitted.
    pub fn panicking_grant(&mut self, name: &str, is_there: bool) -> Concerned {
        self.by_name.known.remove(name);
        self.changed.remove(name);
        self.is_one_gone = true;
        self.pools.clear();
        for (name, held) in &self.by_name.known {
            if let Ok(pool) = PoolId::parse(&held.object.spec.user_pool_id) {
                let naming = self.pools.entry(pool).or_default();
                naming.insert(name.clone(), held.grant.clone().ok());
            }
        }
        if is_there {
            self.by_name.listing.show(&name.into());
            self.unreadable.insert(name.into());
        } else {
            self.unreadable.remove(name);
        }
        self.everybody()
    }

    /// Removes a grant. Returns the resources to judge.
    pub fn delete_grant(&mut self, name: &str) -> Concerned {
        let change = self.forget_grant(name);
        self.changed.remove(name);
        self.is_one_gone = true;
        self.concerned(change)
    }

    /// Adds or updates a namespace with its labels. Returns the resources to judge.
    pub fn apply_namespace(&mut self, name: &str, labels: NamespaceLabels) -> Concerned {
        self.namespaces.listing.show(&name.into());
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("namespace", &Key::new("", name));
        if self.namespaces.known.get(name) == Some(&labels) {
            return Concerned::default();
        }
        self.namespaces.known.insert(name.into(), labels);
        Concerned::all([Among::Namespace(name.into())])
    }

    /// Removes a namespace. Returns the resources to judge.
    pub fn delete_namespace(&mut self, name: &str) -> Concerned {
        self.namespaces.known.remove(name);
        Concerned::all([Among::Namespace(name.into())])
    }

    /// Begins a list of the grants.
    pub fn grants_listing(&mut self) {
        self.by_name.listing.begin();
    }

    /// Completes the list of the grants.
    pub fn grants_listed(&mut self) -> RelistChange {
        let WatchedObjects { known, listing, .. } = &mut self.by_name;
        let first = !listing.complete;
        let gone = listing.finish(known.keys().chain(&self.unreadable));
        self.relisted(gone.flatten().collect(), first)
    }

    /// Begins a list of the namespaces.
    pub fn namespaces_listing(&mut self) {
        self.namespaces.listing.begin();
    }

    /// Completes the list of the namespaces.
    pub fn namespaces_listed(&mut self) -> RelistChange {
        let WatchedObjects { known, listing, .. } = &mut self.namespaces;
        let first = !listing.complete;
        let gone = listing.finish(known.keys());
        self.relisted(gone.flatten().collect(), first)
    }

    /// The consequences of a complete list. No resource is judged before both lists are complete. So the
    /// first complete pair of lists concerns every resource.
    fn relisted(&self, gone: Vec<Name>, first: bool) -> RelistChange {
        let concerned = if first && self.is_listed() {
            self.everybody()
        } else {
            Concerned::default()
        };
        RelistChange { gone, concerned }
    }

    fn is_listed(&self) -> bool {
        self.by_name.listing.complete && self.namespaces.listing.complete
    }

    /// Treats the known grants as possibly out of date until this time: no resource is admitted. `None`
    /// ends the doubt.
    pub fn doubt_grants(&mut self, until: Option<Instant>) {
        self.by_name.doubtful_until = until;
    }

    /// Treats the known namespaces in the same way.
    pub fn doubt_namespaces(&mut self, until: Option<Instant>) {
        self.namespaces.doubtful_until = until;
    }

    fn forget_grant(&mut self, name: &str) -> Change {
        let mut change = Change::default();
        if let Some(held) = self.by_name.known.remove(name) {
            #[cfg(test)]
            crate::controller::panic_tests::panic_at("forget grant", &Key::new("", name));
            change.grants.extend(held.grant);
            if let Ok(pool) = PoolId::parse(&held.object.spec.user_pool_id) {
                if let Some(naming) = self.pools.get_mut(&pool) {
                    naming.remove(&name.into());
                    if naming.is_empty() {
                        self.pools.remove(&pool);
                    }
                }
                change.pools.insert(pool);
            }
        }
        change.may_name_any = self.unreadable.remove(name);
        change
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

    /// The resources that a change may concern. Of 10,000 resources in a pool, these are only the resources
    /// that the grant admitted before the change or admits now.
    fn concerned(&self, change: Change) -> Concerned {
        if !self.is_listed() {
            return Concerned::default();
        }
        if self.ungranted == Some(UngrantedPolicy::Allow) {
            // A pool that no grant names is open to all. So a change of whether any grant names the pool
            // concerns every resource of the pool. An unreadable grant may name any pool.
            return if change.may_name_any || !self.unreadable.is_empty() {
                self.everybody()
            } else {
                Concerned::all(change.pools.into_iter().map(Among::Pool))
            };
        }
        let grants = change.grants;
        let names: Option<Vec<_>> = grants.iter().map(|it| it.only_names()).collect();
        let among: Vec<_> = if let Some(names) = names {
            let names: BTreeSet<&String> = names.into_iter().flatten().collect();
            names
                .into_iter()
                .filter_map(|name| self.of_namespace.get_key_value(name.as_str()))
                .map(|(name, _)| Among::Namespace(name.clone()))
                .collect()
        } else {
            let pools: BTreeSet<_> = grants.iter().map(|grant| &grant.pool).collect();
            pools.into_iter().cloned().map(Among::Pool).collect()
        };
        Concerned::let_in_by(grants, among)
    }

    fn everybody(&self) -> Concerned {
        Concerned::all(self.of_namespace.keys().cloned().map(Among::Namespace))
    }

    /// The next resources to judge, at most `max`. Each call makes at least one step of the walk. A portion
    /// may be empty before the walk is done.
    pub fn next_concerned(&self, concerned: &mut Concerned, max: usize) -> Vec<Key> {
        let most = max * WALKED_FOR_ONE_JUDGED;
        let mut found = Vec::new();
        let mut cost = 0;
        let Concerned {
            among,
            after,
            grants,
        } = concerned;
        while let Some(those) = among.front() {
            let residents = match those {
                Among::Pool(pool) => self.of_pool.get(pool),
                Among::Namespace(name) => self.of_namespace.get(name),
            };
            let begin = after.take().map_or(Bound::Unbounded, Bound::Excluded);
            let range = (begin, Bound::Unbounded);
            for key in residents
                .into_iter()
                .flat_map(|all| all.range(range.clone()))
            {
                cost += 1;
                let is_concerned = || self.is_concerned(key, grants.as_deref());
                // After a panic, return the resource: judging the resource panics again, and then the panic
                // is reported.
                if catch_unwind(AssertUnwindSafe(is_concerned)).unwrap_or(true) {
                    found.push(key.clone());
                    cost += WALKED_FOR_ONE_JUDGED - 1;
                }
                if cost >= most {
                    *after = Some(key.clone());
                    return found;
                }
            }
            cost += 1;
            among.pop_front();
        }
        found
    }

    fn is_concerned(&self, key: &Key, grants: Option<&[Arc<Grant>]>) -> bool {
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("concerned", key);
        let Some(grants) = grants else {
            return true;
        };
        let target = self.resources.get(key).map(|it| it.claim.target());
        let labels = self.namespaces.known.get(key.namespace());
        let (Some(target), Some(labels)) = (target, labels) else {
            return false;
        };
        let namespace = Namespace {
            name: key.namespace(),
            labels,
        };
        grants.iter().any(|grant| grant.lets_in(target, namespace))
    }

    /// Judges a resource again. Returns whether its admission changed. Before grants and namespaces are
    /// listed, no resource is judged.
    pub fn judge(&mut self, resource: &Key) -> bool {
        if self.ungranted.is_some() && !self.is_listed() {
            return false;
        }
        let Some(resident) = self.resources.get(resource) else {
            return false;
        };
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("judge", resource);
        let (admission, mut by) = self.find(resident.claim.target(), resource.namespace());
        if admission == Admission::Ambiguous {
            // If the grants disagree, none of the grants admits the resource.
            by.clear();
        }
        let by: SmallSet<_> = by.into_iter().collect();
        let Some(resident) = self.resources.get_mut(resource) else {
            return false;
        };
        let before = std::mem::replace(&mut resident.admission, admission);
        let has_changed = resident.admission != before;
        if resident.by != by {
            let before = std::mem::take(&mut resident.by);
            self.count(&before, &by);
            if let Some(resident) = self.resources.get_mut(resource) {
                resident.by = by;
            }
        }
        has_changed
    }

    /// Updates the counts for a resource that the grants `before` admitted and the grants `now` admit.
    fn count(&mut self, before: &SmallSet<Name>, now: &SmallSet<Name>) {
        for name in before.iter() {
            let lets_in = self.lets_in.entry(name.clone()).or_default();
            *lets_in = lets_in.saturating_sub(1);
            if *lets_in == 0 {
                self.lets_in.remove(name);
            }
        }
        for name in now.iter() {
            *self.lets_in.entry(name.clone()).or_default() += 1;
        }
        let known = &self.by_name.known;
        let counted = before.iter().chain(now.iter());
        let counted = counted.filter(|name| known.contains_key(*name));
        self.changed.extend(counted.cloned());
    }
}

fn leave<K, W, V, Q>(of: &mut HashMap<K, BTreeSet<V>>, whom: &W, who: &Q)
where
    K: Eq + Hash + Borrow<W>,
    W: Eq + Hash + ?Sized,
    V: Ord + Borrow<Q>,
    Q: Ord + ?Sized,
{
    if let Some(all) = of.get_mut(whom) {
        all.remove(who);
        if all.is_empty() {
            of.remove(whom);
        }
    }
}

#[cfg(test)]
mod tests;
