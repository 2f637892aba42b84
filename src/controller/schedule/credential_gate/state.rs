//! Who waits where: the closed doors, what AWS refused, and who waits while credentials are resolved. For
//! each resource it is known where, so that one that is gone is forgotten without asking everywhere.

use super::closed_gate::{ClosedGate, GateRefusal, Refusals};
use crate::{
    controller::state::{key::Key, small_set::SmallSet},
    core::{access::authority::Authority, credential::failure::CredentialsFailure},
};
use std::{
    collections::{HashMap, HashSet},
    fmt,
};

/// What a door is in front of.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Gate {
    /// The credentials of the operator's own identity: the same in all Regions, of which tenants can name
    /// any number.
    Own,
    /// The credentials of a role; and what AWS says to the credentials that there are. One for each
    /// authority: neither a role that can't be assumed nor a Region that isn't enabled closes the others.
    Of(Authority),
}

impl Gate {
    /// Where an authority's credentials are missing.
    pub(crate) fn of_credentials(authority: &Authority) -> Self {
        match authority.role {
            None => Self::Own,
            Some(_) => Self::of_refusals(authority),
        }
    }

    /// Where AWS refuses an authority's credentials.
    pub(crate) fn of_refusals(authority: &Authority) -> Self {
        Self::Of(authority.clone())
    }

    /// All that an authority has to pass.
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

/// See the module.
#[derive(Default)]
pub(crate) struct State {
    /// The closed doors.
    doors: HashMap<Gate, ClosedGate>,
    /// What AWS refused.
    refusals: HashMap<Gate, Refusals>,
    /// The gates whose credentials a reconcile waits for, and the resources that wait for what that
    /// reconcile finds.
    resolving: HashMap<Gate, HashSet<Key>>,
    /// At which gates each resource is known: in a door, by a refusal, or waiting.
    whereabouts: HashMap<Key, SmallSet<Gate>>,
    /// How many doors were closed so far.
    closed: u64,
}

/// Resources that may not be known at a gate any more: see [`State::tidy`].
pub(crate) type Left = (Gate, HashSet<Key>);

/// What comes of closing a door.
pub(crate) struct Closed {
    pub(crate) gate: Gate,
    pub(crate) turned_away: GateRefusal,
    /// Whether it says something else than before.
    pub(crate) news: bool,
    /// The door's number, if it was open.
    pub(crate) number: Option<u64>,
}

/// A door that is closed no longer.
pub(crate) struct Opened {
    /// Those that were turned away there.
    pub(crate) turned_away: HashSet<Key>,
    pub(crate) left: Vec<Left>,
}

/// What a probe finds when it has asked for credentials.
pub(crate) enum Probed {
    /// The door is open, or was and has been closed again since.
    Over,
    /// Nobody was left who wanted to pass, and now it is open.
    Deserted(Opened),
    /// It is closed.
    Closed {
        /// There are credentials, and AWS refused them.
        refused: bool,
    },
}

impl State {
    /// What is said at the closed door in front of an authority, if there is one.
    pub(crate) fn failure(&self, authority: &Authority) -> Option<&CredentialsFailure> {
        let closed = Gate::all(authority).find_map(|gate| self.doors.get(&gate));
        closed.map(|door| &door.failure)
    }

    /// Turns a resource away where a door is closed, unless it is the scout there.
    pub(crate) fn turn_away<R>(
        &mut self,
        resource: &Key,
        authority: &Authority,
        turn_away: impl FnOnce(&mut ClosedGate) -> R,
    ) -> Option<R> {
        let keeps_out = |door: &ClosedGate| door.scout.as_ref() != Some(resource);
        let gate = Gate::all(authority).find(|gate| self.doors.get(gate).is_some_and(keeps_out))?;
        let door = self.doors.get_mut(&gate)?;
        door.wanted_by(authority);
        let turned_away = turn_away(door);
        self.know(resource, gate);
        Some(turned_away)
    }

    /// Closes a door, or lets it say this from now on, and turns a resource away there.
    pub(crate) fn close(
        &mut self,
        resource: &Key,
        authority: &Authority,
        failure: CredentialsFailure,
        refused: bool,
        must_tell: bool,
    ) -> Closed {
        for gate in Gate::all(authority) {
            if let Some(door) = self.doors.get_mut(&gate) {
                door.scout.take_if(|scout| scout == resource);
            }
        }
        let gate = if refused {
            Gate::of_refusals(authority)
        } else {
            Gate::of_credentials(authority)
        };
        let mut number = None;
        let door = self.doors.entry(gate.clone()).or_insert_with(|| {
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

    /// Opens a door, if it is closed. There are other credentials than before.
    pub(crate) fn open(&mut self, gate: &Gate) -> Option<Opened> {
        let mut opened = self.remove_door(gate)?;
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

    fn remove_door(&mut self, gate: &Gate) -> Option<Opened> {
        let (turned_away, others) = self.doors.remove(gate)?.keys();
        Some(Opened {
            turned_away,
            left: others.map(|keys| (gate.clone(), keys)).into(),
        })
    }

    /// By whom the probe of a door asks next; none if that door is closed no longer.
    pub(crate) fn next_asker(&mut self, gate: &Gate, number: u64) -> Option<Authority> {
        let door = self.doors.get_mut(gate)?;
        (door.number == number).then(|| door.next_asker()).flatten()
    }

    /// A probe has asked for credentials, and this is why there are none.
    pub(crate) fn probed(
        &mut self,
        gate: &Gate,
        number: u64,
        failure: Option<&CredentialsFailure>,
    ) -> Probed {
        let door = self.doors.get_mut(gate);
        let Some(door) = door.filter(|door| door.number == number) else {
            return Probed::Over;
        };
        let refused = door.refused;
        if let Some(failure) = failure {
            door.failure = failure.clone();
            if door.is_deserted() {
                // Whoever comes finds out anew.
                let opened = self.remove_door(gate);
                return opened.map_or(Probed::Over, Probed::Deserted);
            }
        }
        Probed::Closed { refused }
    }

    /// Lets one pass and see. If nobody is left who wants to, the door is open.
    pub(crate) fn send_scout(&mut self, gate: &Gate) -> (Option<Key>, Vec<Left>) {
        let Some(door) = self.doors.get_mut(gate) else {
            return (None, Vec::new());
        };
        let (scout, left) = door.send_scout();
        let mut left = vec![(gate.clone(), left)];
        if scout.is_none() {
            let opened = self.remove_door(gate);
            left.extend(opened.into_iter().flat_map(|opened| opened.left));
        }
        (scout, left)
    }

    /// Some more that may say why they are turned away.
    pub(crate) fn next_told(&mut self, gate: &Gate) -> Vec<Key> {
        let told = self.doors.get_mut(gate).map(ClosedGate::next_told);
        let told = told.unwrap_or_default();
        for key in &told {
            self.tidy(key, gate);
        }
        told
    }

    /// A reconcile begins to wait for credentials.
    pub(crate) fn resolve(&mut self, gate: Gate) {
        self.resolving.entry(gate).or_default();
    }

    /// It has ended. Answers with those who waited for it.
    pub(crate) fn resolved(&mut self, gate: &Gate) -> HashSet<Key> {
        self.resolving.remove(gate).unwrap_or_default()
    }

    /// Whether a reconcile waits for these credentials: then this resource waits for what it finds.
    pub(crate) fn awaits_resolution(&mut self, resource: &Key, authority: &Authority) -> bool {
        let gate = Gate::of_credentials(authority);
        let Some(waiting) = self.resolving.get_mut(&gate) else {
            return false;
        };
        waiting.insert(resource.clone());
        self.know(resource, gate);
        true
    }

    /// A call was taken. Answers with the door that it opens, if AWS refused all calls before.
    pub(crate) fn accepted(&mut self, resource: &Key, authority: &Authority) -> Option<Gate> {
        let gate = Gate::of_refusals(authority);
        if let Some(refusals) = self.refusals.get_mut(&gate) {
            refusals.accepted(resource);
            if refusals.is_empty() {
                self.refusals.remove(&gate);
            }
            self.tidy(resource, &gate);
        }
        let door = self.doors.get(&gate)?;
        door.refused.then_some(gate)
    }

    /// A call was refused. Answers with whether it is the credentials and not the call. Behind a closed
    /// door each refusal is one more of those that closed it.
    pub(crate) fn refused(&mut self, resource: &Key, authority: &Authority) -> bool {
        let gate = Gate::of_refusals(authority);
        let refusals = self.refusals.entry(gate.clone()).or_default();
        let for_good = refusals.refused(resource) || self.doors.contains_key(&gate);
        self.know(resource, gate);
        for_good
    }

    /// Nobody calls by other authorities than these any more.
    pub(crate) fn retain(&mut self, needed: &impl Fn(&Authority) -> bool) -> Vec<Left> {
        let mut left = Vec::new();
        let doors = self.doors.extract_if(|gate, _| !gate.is_one_of(needed));
        for (gate, door) in doors {
            let (turned_away, [been_scout, untold]) = door.keys();
            let all = [turned_away, been_scout, untold];
            left.extend(all.map(|keys| (gate.clone(), keys)));
        }
        let refusals = self.refusals.extract_if(|gate, _| !gate.is_one_of(needed));
        for (gate, refusals) in refusals {
            left.extend(refusals.keys().map(|keys| (gate.clone(), keys)));
        }
        left
    }

    /// A resource is gone.
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
            if let Some(door) = self.doors.get_mut(gate) {
                door.forget(resource);
            }
        }
    }

    /// A resource has left a part of a gate: unless it is known there in another, it is no longer one of
    /// those where the resource is known.
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
        let (door, refusals) = (self.doors.get(gate), self.refusals.get(gate));
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

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        let refused: usize = self.refusals.values().map(Refusals::len).sum();
        let at_doors: usize = self.doors.values().map(ClosedGate::len).sum();
        let waiting: usize = self.resolving.values().map(HashSet::len).sum();
        refused + self.refusals.len() + at_doors + waiting + self.whereabouts.len()
    }

    /// How many doors are closed.
    #[cfg(test)]
    pub(crate) fn closed_doors(&self) -> usize {
        self.doors.len()
    }

    /// The resources that are known somewhere, and those that are said to be: the same, once all that left
    /// are tidied away.
    #[cfg(test)]
    pub(crate) fn known_and_said(&self) -> [HashSet<(Key, Gate)>; 2] {
        let mut known = HashSet::new();
        let said: HashSet<_> = self
            .whereabouts
            .iter()
            .flat_map(|(key, gates)| gates.iter().map(|gate| (key.clone(), gate.clone())))
            .collect();
        let doors = self.doors.iter();
        let doors = doors.flat_map(|(gate, door)| door.all().map(move |key| (gate, key)));
        let refusals = self.refusals.iter();
        let refusals = refusals.flat_map(|(gate, it)| it.all().map(move |key| (gate, key)));
        let waiting = self.resolving.iter();
        let waiting = waiting.flat_map(|(gate, keys)| keys.iter().map(move |key| (gate, key)));
        for (gate, key) in doors.chain(refusals).chain(waiting) {
            known.insert((key.clone(), gate.clone()));
        }
        [known, said]
    }
}
