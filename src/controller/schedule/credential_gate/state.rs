//! The state of the credential gates: the closed gates, the refusals by AWS, and the resources that wait
//! while credentials are resolved. `gates_of` lists the gates of each resource, so that a deleted resource
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
    resolutions: HashMap<Gate, HashSet<Key>>,
    /// For each resource, the gates that have the resource in `closed_gates`, `refusals` or `resolutions`.
    gates_of: HashMap<Key, SmallSet<Gate>>,
    /// The number of times that a gate was closed so far.
    closings: u64,
}

/// Resources that left one part of a gate, and so may need [`State::tidy`].
pub(crate) type Departures = (Gate, HashSet<Key>);

/// The result of closing a gate.
pub(crate) struct GateClosing {
    pub(crate) gate: Gate,
    pub(crate) refusal: GateRefusal,
    /// Whether the failure of the gate changed.
    pub(crate) has_changed: bool,
    /// The number of the newly closed gate; none if the gate was closed already.
    pub(crate) number: Option<u64>,
}

/// A gate that was just opened.
pub(crate) struct GateContents {
    /// The resources that the gate stopped.
    pub(crate) stopped: HashSet<Key>,
    pub(crate) departures: Vec<Departures>,
}

/// What a probe has to do after the probe asked for credentials.
pub(crate) enum ProbeResult {
    /// The gate is open, or has been opened and closed again since.
    Over,
    /// No resource was waiting any more, so the gate was opened.
    Deserted(GateContents),
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
        closed.map(|closed| &closed.failure)
    }

    /// Stops a resource at the first closed gate, unless the resource is the trial resource of that gate.
    pub(crate) fn refuse<R>(
        &mut self,
        resource: &Key,
        authority: &Authority,
        refuse: impl FnOnce(&mut ClosedGate) -> R,
    ) -> Option<R> {
        let stops = |closed: &ClosedGate| closed.trial.as_ref() != Some(resource);
        let gate =
            Gate::all(authority).find(|gate| self.closed_gates.get(gate).is_some_and(stops))?;
        let closed = self.closed_gates.get_mut(&gate)?;
        closed.add_authority(authority);
        let refusal = refuse(closed);
        self.index_gate(resource, gate);
        Some(refusal)
    }

    /// Closes a gate, or replaces the failure of a closed gate, and stops a resource there.
    pub(crate) fn close(
        &mut self,
        resource: &Key,
        authority: &Authority,
        failure: CredentialsFailure,
        refused: bool,
        must_report: bool,
    ) -> GateClosing {
        for gate in Gate::all(authority) {
            if let Some(closed) = self.closed_gates.get_mut(&gate) {
                closed.trial.take_if(|trial| trial == resource);
            }
        }
        let gate = if refused {
            Gate::of_refusals(authority)
        } else {
            Gate::of_credentials(authority)
        };
        let mut number = None;
        let closed = self.closed_gates.entry(gate.clone()).or_insert_with(|| {
            number = Some(self.closings);
            self.closings += 1;
            ClosedGate::new(self.closings - 1, failure.clone(), refused)
        });
        let has_changed = number.is_some() || closed.failure != failure;
        closed.failure = failure;
        closed.refused = refused;
        closed.add_authority(authority);
        let refusal = closed.refuse(resource, must_report);
        self.index_gate(resource, gate.clone());
        GateClosing {
            gate,
            refusal,
            has_changed,
            number,
        }
    }

    /// Opens a closed gate. The credentials are new, so earlier refusals no longer count.
    pub(crate) fn open(&mut self, gate: &Gate) -> Option<GateContents> {
        let mut contents = self.remove_gate(gate)?;
        let of_them = |of: &&Gate| matches!(of, Gate::Of(authority) if authority.role.is_none());
        let refused: Vec<_> = match gate {
            Gate::Own => self.refusals.keys().filter(of_them).cloned().collect(),
            Gate::Of(_) => vec![gate.clone()],
        };
        for of in refused {
            if let Some(refusals) = self.refusals.get_mut(&of) {
                let counted = refusals.reset_count();
                if refusals.is_empty() {
                    self.refusals.remove(&of);
                }
                contents.departures.push((of, counted));
            }
        }
        Some(contents)
    }

    fn remove_gate(&mut self, gate: &Gate) -> Option<GateContents> {
        let (stopped, others) = self.closed_gates.remove(gate)?.keys();
        Some(GateContents {
            stopped,
            departures: others.map(|keys| (gate.clone(), keys)).into(),
        })
    }

    /// The authority by which the probe asks next. None if the gate with this number is no longer closed.
    pub(crate) fn next_authority(&mut self, gate: &Gate, number: u64) -> Option<Authority> {
        let closed = self.closed_gates.get_mut(gate)?;
        (closed.number == number)
            .then(|| closed.next_authority())
            .flatten()
    }

    /// Records the result of a probe. `failure` says why there are no credentials.
    pub(crate) fn probed(
        &mut self,
        gate: &Gate,
        number: u64,
        failure: Option<&CredentialsFailure>,
    ) -> ProbeResult {
        let closed = self.closed_gates.get_mut(gate);
        let Some(closed) = closed.filter(|closed| closed.number == number) else {
            return ProbeResult::Over;
        };
        let refused = closed.refused;
        if let Some(failure) = failure {
            closed.failure = failure.clone();
            if closed.is_deserted() {
                // The next resource of the authority asks for credentials again.
                let opened = self.remove_gate(gate);
                return opened.map_or(ProbeResult::Over, ProbeResult::Deserted);
            }
        }
        ProbeResult::Closed { refused }
    }

    /// Chooses the next trial resource. If no resource is left to choose, the gate opens.
    pub(crate) fn next_trial(&mut self, gate: &Gate) -> (Option<Key>, Vec<Departures>) {
        let Some(closed) = self.closed_gates.get_mut(gate) else {
            return (None, Vec::new());
        };
        let (trial, departures) = closed.next_trial();
        let mut departures = vec![(gate.clone(), departures)];
        if trial.is_none() {
            let opened = self.remove_gate(gate);
            departures.extend(opened.into_iter().flat_map(|contents| contents.departures));
        }
        (trial, departures)
    }

    /// The next resources whose status may report the failure.
    pub(crate) fn next_to_report(&mut self, gate: &Gate) -> Vec<Key> {
        let reporting = self
            .closed_gates
            .get_mut(gate)
            .map(ClosedGate::next_to_report);
        let reporting = reporting.unwrap_or_default();
        for key in &reporting {
            self.tidy(key, gate);
        }
        reporting
    }

    /// Records that a reconcile begins to resolve credentials.
    pub(crate) fn begin_resolution(&mut self, gate: Gate) {
        self.resolutions.entry(gate).or_default();
    }

    /// Records that the reconcile has ended. Returns the resources that waited for the result.
    pub(crate) fn end_resolution(&mut self, gate: &Gate) -> HashSet<Key> {
        self.resolutions.remove(gate).unwrap_or_default()
    }

    /// Whether a reconcile resolves these credentials. If so, this resource is recorded as waiting for the
    /// result.
    pub(crate) fn awaits_resolution(&mut self, resource: &Key, authority: &Authority) -> bool {
        let gate = Gate::of_credentials(authority);
        let Some(waiting) = self.resolutions.get_mut(&gate) else {
            return false;
        };
        waiting.insert(resource.clone());
        self.index_gate(resource, gate);
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
        let closed = self.closed_gates.get(&gate)?;
        closed.refused.then_some(gate)
    }

    /// Records a refused call. Returns whether the credentials are the cause, and not this one call. While a
    /// gate is closed, each refusal counts as caused by the credentials.
    pub(crate) fn refused(&mut self, resource: &Key, authority: &Authority) -> bool {
        let gate = Gate::of_refusals(authority);
        let refusals = self.refusals.entry(gate.clone()).or_default();
        let for_good = refusals.refused(resource) || self.closed_gates.contains_key(&gate);
        self.index_gate(resource, gate);
        for_good
    }

    /// Removes the gates and refusals of all authorities that are no longer needed.
    pub(crate) fn retain(&mut self, needed: &impl Fn(&Authority) -> bool) -> Vec<Departures> {
        let mut departures = Vec::new();
        let closed_gates = self
            .closed_gates
            .extract_if(|gate, _| !gate.is_one_of(needed));
        for (gate, closed) in closed_gates {
            let (stopped, [tried, unreported]) = closed.keys();
            let all = [stopped, tried, unreported];
            departures.extend(all.map(|keys| (gate.clone(), keys)));
        }
        let refusals = self.refusals.extract_if(|gate, _| !gate.is_one_of(needed));
        for (gate, refusals) in refusals {
            departures.extend(refusals.keys().map(|keys| (gate.clone(), keys)));
        }
        departures
    }

    /// Removes a deleted resource from all gates.
    pub(crate) fn forget(&mut self, resource: &Key) {
        let gates = self.gates_of.remove(resource).unwrap_or_default();
        for gate in gates.iter() {
            if let Some(waiting) = self.resolutions.get_mut(gate) {
                waiting.remove(resource);
            }
            if let Some(refusals) = self.refusals.get_mut(gate) {
                refusals.forget(resource);
                if refusals.is_empty() {
                    self.refusals.remove(gate);
                }
            }
            if let Some(closed) = self.closed_gates.get_mut(gate) {
                closed.forget(resource);
            }
        }
    }

    /// Removes the gate from `gates_of` of the resource, if no part of the gate has the resource any more.
    pub(crate) fn tidy(&mut self, resource: &Key, gate: &Gate) {
        if self.is_at_gate(resource, gate) {
            return;
        }
        if let Some(gates) = self.gates_of.get_mut(resource) {
            gates.remove(gate);
            if gates.is_empty() {
                self.gates_of.remove(resource);
            }
        }
    }

    fn is_at_gate(&self, resource: &Key, gate: &Gate) -> bool {
        let waiting = self.resolutions.get(gate);
        let (closed, refusals) = (self.closed_gates.get(gate), self.refusals.get(gate));
        closed.is_some_and(|closed| closed.contains(resource))
            || refusals.is_some_and(|refusals| refusals.contains(resource))
            || waiting.is_some_and(|waiting| waiting.contains(resource))
    }

    fn index_gate(&mut self, resource: &Key, gate: Gate) {
        if let Some(gates) = self.gates_of.get_mut(resource) {
            gates.insert(gate);
        } else {
            let gates = [gate].into_iter().collect();
            self.gates_of.insert(resource.clone(), gates);
        }
    }

    /// The number of entries in all maps.
    pub(crate) fn len(&self) -> usize {
        let refused: usize = self.refusals.values().map(Refusals::len).sum();
        let at_gates: usize = self.closed_gates.values().map(ClosedGate::len).sum();
        let waiting: usize = self.resolutions.values().map(HashSet::len).sum();
        refused + self.refusals.len() + at_gates + waiting + self.gates_of.len()
    }

    /// The number of closed gates.
    #[cfg(test)]
    pub(crate) fn closed_gate_count(&self) -> usize {
        self.closed_gates.len()
    }

    /// The resources in the gates, and the resources according to `gates_of`. The two sets are equal once
    /// `tidy` has run for every resource that left.
    #[cfg(test)]
    pub(crate) fn actual_and_indexed(&self) -> [HashSet<(Key, Gate)>; 2] {
        let mut actual = HashSet::new();
        let indexed: HashSet<_> = self
            .gates_of
            .iter()
            .flat_map(|(key, gates)| gates.iter().map(|gate| (key.clone(), gate.clone())))
            .collect();
        let closed_gates = self.closed_gates.iter();
        let closed_gates =
            closed_gates.flat_map(|(gate, closed)| closed.all().map(move |key| (gate, key)));
        let refusals = self.refusals.iter();
        let refusals = refusals.flat_map(|(gate, it)| it.all().map(move |key| (gate, key)));
        let waiting = self.resolutions.iter();
        let waiting = waiting.flat_map(|(gate, keys)| keys.iter().map(move |key| (gate, key)));
        for (gate, key) in closed_gates.chain(refusals).chain(waiting) {
            actual.insert((key.clone(), gate.clone()));
        }
        [actual, indexed]
    }
}
