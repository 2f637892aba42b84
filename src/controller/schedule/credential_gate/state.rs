//! The state of the credential gates: the closed gates, the refusals by AWS, and the resources that wait
//! while credentials are resolved. `whereabouts` lists the gates of each resource, so that a deleted resource
//! is removed without a search of every gate.

use super::closed_gate::{ClosedGate, GateRefusal, Refusals};
use crate::{
    controller::state::{key::Key, small_set::SmallSet},
    core::{access::authority::Authority, credential::failure::CredentialsFailure},
};
use std::{
    collections::{HashMap, HashSet},
    fmt,
};

/// The credentials that one gate stands for.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Gate {
    /// The credentials of the operator's own identity. One gate for all Regions: the credentials are the same
    /// there, and tenants can name any number of Regions.
    Own,
    /// Missing credentials of a role, or the refusals by AWS for any authority. One gate for each authority:
    /// a role that cannot be assumed, or a Region that is not enabled, stops no other authority.
    Of(Authority),
}

impl Gate {
    /// The gate that closes if the credentials of this authority are missing.
    pub(crate) fn of_credentials(authority: &Authority) -> Self {
        match authority.role {
            None => Self::Own,
            Some(_) => Self::of_refusals(authority),
        }
    }

    /// The gate that closes if AWS refuses the credentials of this authority.
    pub(crate) fn of_refusals(authority: &Authority) -> Self {
        Self::Of(authority.clone())
    }

    /// All gates that can stop this authority.
    fn all(authority: &Authority) -> impl Iterator<Item = Self> {
        let own = authority.role.is_none().then_some(Self::Own);
        own.into_iter().chain([Self::of_refusals(authority)])
    }

    fn is_one_of(&self, needed: &impl Fn(&Authority) -> bool) -> bool {
        match self {
            Self::Own => true,
            Self::Of(authority) => needed(authority),
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("the operator's own identity"),
            Self::Of(authority) => authority.fmt(f),
        }
    }
}

/// The gates of all authorities.
#[derive(Default)]
pub(crate) struct State {
    /// The closed gates.
    closed_gates: HashMap<Gate, ClosedGate>,
    /// The calls that AWS refused because of the credentials.
    refusals: HashMap<Gate, Refusals>,
    /// For each gate whose credentials a reconcile resolves, the other resources that wait for the result.
    resolving: HashMap<Gate, HashSet<Key>>,
    /// For each resource, the gates that have the resource in `closed_gates`, `refusals` or `resolving`.
    whereabouts: HashMap<Key, SmallSet<Gate>>,
    /// The number of times that a gate was closed so far.
    closed: u64,
}

/// Resources that left one part of a gate, and so may need [`State::tidy`].
pub(crate) type Left = (Gate, HashSet<Key>);

/// The result of closing a gate.
pub(crate) struct Closed {
    pub(crate) gate: Gate,
    pub(crate) turned_away: GateRefusal,
    /// Whether the failure of the gate changed.
    pub(crate) news: bool,
    /// The number of the newly closed gate; none if the gate was closed already.
    pub(crate) number: Option<u64>,
}

/// A gate that was just opened.
pub(crate) struct Opened {
    /// The resources that the gate stopped.
    pub(crate) turned_away: HashSet<Key>,
    pub(crate) left: Vec<Left>,
}

/// What a probe has to do after the probe asked for credentials.
pub(crate) enum Probed {
    /// The gate is open, or has been opened and closed again since.
    Over,
    /// No resource was waiting any more, so the gate was opened.
    Deserted(Opened),
    /// The gate is still closed.
    Closed {
        /// Whether the gate closed because AWS refused the credentials.
        refused: bool,
    },
}

impl State {
    /// The failure of the first closed gate of this authority.
    pub(crate) fn failure(&self, authority: &Authority) -> Option<&CredentialsFailure> {
        let closed = Gate::all(authority).find_map(|gate| self.closed_gates.get(&gate));
        closed.map(|door| &door.failure)
    }

    /// Stops a resource at the first closed gate, unless the resource is the trial resource of that gate.
    pub(crate) fn turn_away<R>(
        &mut self,
        resource: &Key,
        authority: &Authority,
        turn_away: impl FnOnce(&mut ClosedGate) -> R,
    ) -> Option<R> {
        let keeps_out = |door: &ClosedGate| door.trial.as_ref() != Some(resource);
        let gate =
            Gate::all(authority).find(|gate| self.closed_gates.get(gate).is_some_and(keeps_out))?;
        let door = self.closed_gates.get_mut(&gate)?;
        door.wanted_by(authority);
        let turned_away = turn_away(door);
        self.know(resource, gate);
        Some(turned_away)
    }

    /// Closes a gate, or replaces the failure of a closed gate, and stops a resource there.
    pub(crate) fn close(
        &mut self,
        resource: &Key,
        authority: &Authority,
        failure: CredentialsFailure,
        refused: bool,
        must_tell: bool,
    ) -> Closed {
        for gate in Gate::all(authority) {
            if let Some(door) = self.closed_gates.get_mut(&gate) {
                door.trial.take_if(|trial| trial == resource);
            }
        }
        let gate = if refused {
            Gate::of_refusals(authority)
        } else {
            Gate::of_credentials(authority)
        };
        let mut number = None;
        let door = self.closed_gates.entry(gate.clone()).or_insert_with(|| {
            number = Some(self.closed);
            self.closed += 1;
            ClosedGate::new(self.closed - 1, failure.clone(), refused)
        });
        let news = number.is_some() || door.failure != failure;
        door.failure = failure;
        door.refused = refused;
        door.wanted_by(authority);
        let turned_away = door.turn_away(resource, must_tell);
        self.know(resource, gate.clone());
        Closed {
            gate,
            turned_away,
            news,
            number,
        }
    }

    /// Opens a closed gate. The credentials are new, so earlier refusals no longer count.
    pub(crate) fn open(&mut self, gate: &Gate) -> Option<Opened> {
        let mut opened = self.remove_gate(gate)?;
        let of_them = |of: &&Gate| matches!(of, Gate::Of(authority) if authority.role.is_none());
        let refused: Vec<_> = match gate {
            Gate::Own => self.refusals.keys().filter(of_them).cloned().collect(),
            Gate::Of(_) => vec![gate.clone()],
        };
        for of in refused {
            if let Some(refusals) = self.refusals.get_mut(&of) {
                let whose = refusals.count_anew();
                if refusals.is_empty() {
                    self.refusals.remove(&of);
                }
                opened.left.push((of, whose));
            }
        }
        Some(opened)
    }

    fn remove_gate(&mut self, gate: &Gate) -> Option<Opened> {
        let (turned_away, others) = self.closed_gates.remove(gate)?.keys();
        Some(Opened {
            turned_away,
            left: others.map(|keys| (gate.clone(), keys)).into(),
        })
    }

    /// The authority by which the probe asks next. None if the gate with this number is no longer closed.
    pub(crate) fn next_asker(&mut self, gate: &Gate, number: u64) -> Option<Authority> {
        let door = self.closed_gates.get_mut(gate)?;
        (door.number == number).then(|| door.next_asker()).flatten()
    }

    /// Records the result of a probe. `failure` says why there are no credentials.
    pub(crate) fn probed(
        &mut self,
        gate: &Gate,
        number: u64,
        failure: Option<&CredentialsFailure>,
    ) -> Probed {
        let door = self.closed_gates.get_mut(gate);
        let Some(door) = door.filter(|door| door.number == number) else {
            return Probed::Over;
        };
        let refused = door.refused;
        if let Some(failure) = failure {
            door.failure = failure.clone();
            if door.is_deserted() {
                // The next resource of the authority asks for credentials again.
                let opened = self.remove_gate(gate);
                return opened.map_or(Probed::Over, Probed::Deserted);
            }
        }
        Probed::Closed { refused }
    }

    /// Chooses the next trial resource. If no resource is left to choose, the gate opens.
    pub(crate) fn next_trial(&mut self, gate: &Gate) -> (Option<Key>, Vec<Left>) {
        let Some(door) = self.closed_gates.get_mut(gate) else {
            return (None, Vec::new());
        };
        let (trial, left) = door.next_trial();
        let mut left = vec![(gate.clone(), left)];
        if trial.is_none() {
            let opened = self.remove_gate(gate);
            left.extend(opened.into_iter().flat_map(|opened| opened.left));
        }
        (trial, left)
    }

    /// The next resources whose status may report the failure.
    pub(crate) fn next_told(&mut self, gate: &Gate) -> Vec<Key> {
        let told = self.closed_gates.get_mut(gate).map(ClosedGate::next_told);
        let told = told.unwrap_or_default();
        for key in &told {
            self.tidy(key, gate);
        }
        told
    }

    /// Records that a reconcile begins to resolve credentials.
    pub(crate) fn resolve(&mut self, gate: Gate) {
        self.resolving.entry(gate).or_default();
    }

    /// Records that the reconcile has ended. Returns the resources that waited for the result.
    pub(crate) fn resolved(&mut self, gate: &Gate) -> HashSet<Key> {
        self.resolving.remove(gate).unwrap_or_default()
    }

    /// Whether a reconcile resolves these credentials. If so, this resource is recorded as waiting for the
    /// result.
    pub(crate) fn awaits_resolution(&mut self, resource: &Key, authority: &Authority) -> bool {
        let gate = Gate::of_credentials(authority);
        let Some(waiting) = self.resolving.get_mut(&gate) else {
            return false;
        };
        waiting.insert(resource.clone());
        self.know(resource, gate);
        true
    }

    /// Records an accepted call. Returns the gate that the accepted call opens: a gate that closed after
    /// refusals.
    pub(crate) fn accepted(&mut self, resource: &Key, authority: &Authority) -> Option<Gate> {
        let gate = Gate::of_refusals(authority);
        if let Some(refusals) = self.refusals.get_mut(&gate) {
            refusals.accepted(resource);
            if refusals.is_empty() {
                self.refusals.remove(&gate);
            }
            self.tidy(resource, &gate);
        }
        let door = self.closed_gates.get(&gate)?;
        door.refused.then_some(gate)
    }

    /// Records a refused call. Returns whether the credentials are the cause, and not this one call. While a
    /// gate is closed, each refusal counts as caused by the credentials.
    pub(crate) fn refused(&mut self, resource: &Key, authority: &Authority) -> bool {
        let gate = Gate::of_refusals(authority);
        let refusals = self.refusals.entry(gate.clone()).or_default();
        let for_good = refusals.refused(resource) || self.closed_gates.contains_key(&gate);
        self.know(resource, gate);
        for_good
    }

    /// Removes the gates and refusals of all authorities that are no longer needed.
    pub(crate) fn retain(&mut self, needed: &impl Fn(&Authority) -> bool) -> Vec<Left> {
        let mut left = Vec::new();
        let closed_gates = self
            .closed_gates
            .extract_if(|gate, _| !gate.is_one_of(needed));
        for (gate, door) in closed_gates {
            let (turned_away, [tried, untold]) = door.keys();
            let all = [turned_away, tried, untold];
            left.extend(all.map(|keys| (gate.clone(), keys)));
        }
        let refusals = self.refusals.extract_if(|gate, _| !gate.is_one_of(needed));
        for (gate, refusals) in refusals {
            left.extend(refusals.keys().map(|keys| (gate.clone(), keys)));
        }
        left
    }

    /// Removes a deleted resource from all gates.
    pub(crate) fn forget(&mut self, resource: &Key) {
        let gates = self.whereabouts.remove(resource).unwrap_or_default();
        for gate in gates.iter() {
            if let Some(waiting) = self.resolving.get_mut(gate) {
                waiting.remove(resource);
            }
            if let Some(refusals) = self.refusals.get_mut(gate) {
                refusals.forget(resource);
                if refusals.is_empty() {
                    self.refusals.remove(gate);
                }
            }
            if let Some(door) = self.closed_gates.get_mut(gate) {
                door.forget(resource);
            }
        }
    }

    /// Removes the gate from `whereabouts` of the resource, if no part of the gate has the resource any more.
    pub(crate) fn tidy(&mut self, resource: &Key, gate: &Gate) {
        if self.knows(resource, gate) {
            return;
        }
        if let Some(gates) = self.whereabouts.get_mut(resource) {
            gates.remove(gate);
            if gates.is_empty() {
                self.whereabouts.remove(resource);
            }
        }
    }

    fn knows(&self, resource: &Key, gate: &Gate) -> bool {
        let waiting = self.resolving.get(gate);
        let (door, refusals) = (self.closed_gates.get(gate), self.refusals.get(gate));
        door.is_some_and(|door| door.knows(resource))
            || refusals.is_some_and(|refusals| refusals.knows(resource))
            || waiting.is_some_and(|waiting| waiting.contains(resource))
    }

    fn know(&mut self, resource: &Key, gate: Gate) {
        if let Some(gates) = self.whereabouts.get_mut(resource) {
            gates.insert(gate);
        } else {
            let gates = [gate].into_iter().collect();
            self.whereabouts.insert(resource.clone(), gates);
        }
    }

    /// The number of entries in all maps.
    pub(crate) fn len(&self) -> usize {
        let refused: usize = self.refusals.values().map(Refusals::len).sum();
        let at_doors: usize = self.closed_gates.values().map(ClosedGate::len).sum();
        let waiting: usize = self.resolving.values().map(HashSet::len).sum();
        refused + self.refusals.len() + at_doors + waiting + self.whereabouts.len()
    }

    /// The number of closed gates.
    #[cfg(test)]
    pub(crate) fn closed_gate_count(&self) -> usize {
        self.closed_gates.len()
    }

    /// The resources in the gates, and the resources according to `whereabouts`. The two sets are equal once
    /// `tidy` has run for every resource that left.
    #[cfg(test)]
    pub(crate) fn known_and_said(&self) -> [HashSet<(Key, Gate)>; 2] {
        let mut known = HashSet::new();
        let said: HashSet<_> = self
            .whereabouts
            .iter()
            .flat_map(|(key, gates)| gates.iter().map(|gate| (key.clone(), gate.clone())))
            .collect();
        let closed_gates = self.closed_gates.iter();
        let closed_gates =
            closed_gates.flat_map(|(gate, door)| door.all().map(move |key| (gate, key)));
        let refusals = self.refusals.iter();
        let refusals = refusals.flat_map(|(gate, it)| it.all().map(move |key| (gate, key)));
        let waiting = self.resolving.iter();
        let waiting = waiting.flat_map(|(gate, keys)| keys.iter().map(move |key| (gate, key)));
        for (gate, key) in closed_gates.chain(refusals).chain(waiting) {
            known.insert((key.clone(), gate.clone()));
        }
        [known, said]
    }
}
