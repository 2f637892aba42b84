//! The calls of one pass over the users of one pool.
//!
//! `ListUsers` gives a page of 60 users, or the user of one name. Which of the two is cheaper depends on how many
//! users the pool has, and the operator does not ask for that number. So a pass reads at most as many pages as
//! there are users to find, and then looks up the rest one by one. That costs at most about twice the cheaper way.
//! The next pass begins with the way that was cheaper.
//!
//! Pages shift while they are read, so a page proves only that a user is there. Only a lookup proves that a user
//! is not there.

use super::{
    found::{Found, LookKind},
    user::{User, UserFilter, UserPage, UserQuery},
};
use std::{collections::VecDeque, sync::Arc};

/// How many pages of one lookup are read. A lookup finds at most one user, but a page may be empty although
/// others follow.
const LOOKUP_PAGES_MAX: u32 = 5;

/// A user to find.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted<K> {
    /// Who wants the user.
    pub key: K,
    /// The username or the sub, as the spec has it. Shared: a pass over thousands of users copies no name.
    pub name: Arc<str>,
    /// The username of the user that an earlier look found, if that differs from the name.
    pub found_as: Option<Box<str>>,
}

/// Which way was cheaper in the last pass over a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Habit {
    /// Pages first: no pass was made yet, or the last one found all users on a few pages.
    #[default]
    Pages,
    /// Lookups alone, while fewer users are wanted than twice this number.
    Lookups {
        /// How many users were wanted when pages were too many.
        wanted: usize,
    },
}

/// One pass over one pool.
#[derive(Debug)]
pub struct Sweep<K> {
    /// The users, by name.
    wanted: Vec<Wanted<K>>,
    /// Which of them are found, or given up.
    is_done: Vec<bool>,
    /// How many are not.
    left: usize,
    /// The users that a page lists in lower case, by that name.
    in_lower_case: Vec<(Box<str>, usize)>,
    habit: Habit,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Pages {
        token: Option<String>,
        pages_left: usize,
    },
    Lookups {
        /// The users that are still to be looked up, as indices.
        rest: VecDeque<usize>,
        current: Option<Lookup>,
    },
}

#[derive(Debug)]
struct Lookup {
    index: usize,
    filters: VecDeque<UserFilter>,
    token: Option<String>,
    pages_left: u32,
    /// Whether each filter so far had an answer that proves that there is no such user.
    is_proven: bool,
}

impl<K: Clone> Sweep<K> {
    /// A pass that finds these users.
    #[must_use]
    pub fn new(wanted: Vec<Wanted<K>>, habit: Habit) -> Self {
        let count = wanted.len();
        let looks_up = match habit {
            Habit::Pages => false,
            Habit::Lookups { wanted } => count < wanted.saturating_mul(2),
        };
        let mut sweep = Self::with(wanted, if looks_up { habit } else { Habit::Pages });
        if looks_up || count == 0 {
            sweep.look_up_rest();
        } else {
            sweep.phase = Phase::Pages {
                token: None,
                pages_left: count,
            };
        }
        sweep
    }

    /// A lookup of one user.
    #[must_use]
    pub fn of_one(wanted: Wanted<K>) -> Self {
        let mut sweep = Self::with(vec![wanted], Habit::Pages);
        sweep.look_up_rest();
        sweep
    }

    fn with(mut wanted: Vec<Wanted<K>>, habit: Habit) -> Self {
        wanted.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let found_as = wanted.iter().enumerate();
        let found_as = found_as.filter_map(|(index, it)| Some((it.found_as.as_ref()?, index)));
        let lower = found_as.filter(|(it, index)| ***it == *wanted[*index].name.to_lowercase());
        let mut in_lower_case: Vec<_> = lower.map(|(it, index)| (it.clone(), index)).collect();
        in_lower_case.sort_unstable();
        Self {
            left: wanted.len(),
            is_done: vec![false; wanted.len()],
            wanted,
            in_lower_case,
            habit,
            phase: Phase::Lookups {
                rest: VecDeque::new(),
                current: None,
            },
        }
    }

    /// The users that a page lists under this name.
    fn named(&self, name: &str) -> impl Iterator<Item = usize> {
        let from = self.wanted.partition_point(|it| &*it.name < name);
        let to = self.wanted.partition_point(|it| &*it.name <= name);
        let lower = &self.in_lower_case;
        let lower_from = lower.partition_point(|(it, _)| &**it < name);
        let lower_to = lower.partition_point(|(it, _)| &**it <= name);
        let lower: Vec<_> = lower[lower_from..lower_to]
            .iter()
            .map(|(_, index)| *index)
            .collect();
        (from..to).chain(lower)
    }

    /// The next call. None: the pass is complete.
    #[must_use]
    pub fn next(&self) -> Option<UserQuery> {
        match &self.phase {
            _ if self.left == 0 => None,
            Phase::Pages { token, .. } => Some(UserQuery {
                filter: UserFilter::All,
                token: token.clone(),
            }),
            Phase::Lookups { current, .. } => {
                let current = current.as_ref()?;
                Some(UserQuery {
                    filter: current.filters.front()?.clone(),
                    token: current.token.clone(),
                })
            }
        }
    }

    /// Takes the page that answers the call of [`next`](Self::next). Returns what the page says of which users.
    pub fn answered(&mut self, page: UserPage) -> Vec<(Wanted<K>, Found, LookKind)> {
        match &self.phase {
            Phase::Pages { .. } => self.page(page),
            Phase::Lookups { .. } => self.lookup(page).into_iter().collect(),
        }
    }

    /// Gives up the call of [`next`](Self::next), because the call failed for good. Returns the users of whom
    /// nothing is known: one user after a lookup, and all that are left after a page.
    pub fn failed(&mut self) -> Vec<K> {
        match &mut self.phase {
            Phase::Pages { .. } => {
                let rest = self.rest().cloned().collect();
                self.left = 0;
                self.is_done.fill(true);
                rest
            }
            Phase::Lookups { current, .. } => {
                let failed = current.take().and_then(|it| self.take(it.index));
                self.next_lookup();
                failed.map(|wanted| wanted.key).into_iter().collect()
            }
        }
    }

    /// The users of whom nothing is known yet.
    pub fn rest(&self) -> impl Iterator<Item = &K> {
        let all = self.wanted.iter().zip(&self.is_done);
        all.filter(|(_, is_done)| !**is_done)
            .map(|(wanted, _)| &wanted.key)
    }

    /// How the next pass over this pool should begin.
    #[must_use]
    pub const fn habit(&self) -> Habit {
        self.habit
    }

    fn page(&mut self, page: UserPage) -> Vec<(Wanted<K>, Found, LookKind)> {
        let mut found = Vec::new();
        for user in page.users {
            let by_name = self.named(&user.username);
            let by_sub = user.sub.iter().flat_map(|sub| self.named(sub));
            let indices: Vec<_> = by_name.chain(by_sub).collect();
            for index in indices {
                if let Some(wanted) = self.take(index) {
                    found.push((wanted, Found::User(user.clone()), LookKind::Sweep));
                }
            }
        }
        let Phase::Pages { token, pages_left } = &mut self.phase else {
            return found;
        };
        *pages_left = pages_left.saturating_sub(1);
        let is_last = page.next_token.is_none();
        let is_out = *pages_left == 0;
        *token = page.next_token;
        if self.left > 0 && (is_last || is_out) {
            if !is_last {
                let wanted = self.wanted.len();
                self.habit = Habit::Lookups { wanted };
            }
            self.look_up_rest();
        }
        found
    }

    fn lookup(&mut self, page: UserPage) -> Option<(Wanted<K>, Found, LookKind)> {
        let Phase::Lookups { current, .. } = &mut self.phase else {
            return None;
        };
        let lookup = current.as_mut()?;
        let fits = |user: &User| match lookup.filters.front() {
            Some(UserFilter::Username(name)) => user.username == *name,
            Some(UserFilter::Sub(sub)) => user.sub.as_deref() == Some(sub),
            Some(UserFilter::All) | None => false,
        };
        let found = page.users.into_iter().find(fits).map(Found::User);
        if found.is_none() && page.next_token.is_some() && lookup.pages_left > 1 {
            lookup.pages_left -= 1;
            lookup.token = page.next_token;
            return None;
        }
        lookup.is_proven &= page.next_token.is_none();
        if found.is_none() {
            lookup.filters.pop_front();
            lookup.token = None;
            lookup.pages_left = LOOKUP_PAGES_MAX;
            if !lookup.filters.is_empty() {
                return None;
            }
        }
        let (index, is_proven) = (lookup.index, lookup.is_proven);
        *current = None;
        let wanted = self.take(index);
        self.next_lookup();
        let found = found.or_else(|| is_proven.then_some(Found::NotFound))?;
        Some((wanted?, found, LookKind::Lookup))
    }

    fn take(&mut self, index: usize) -> Option<Wanted<K>> {
        let is_done = self.is_done.get_mut(index).filter(|is_done| !**is_done)?;
        *is_done = true;
        self.left -= 1;
        self.wanted.get(index).cloned()
    }

    fn look_up_rest(&mut self) {
        let rest = self.is_done.iter().enumerate();
        let rest = rest.filter(|(_, is_done)| !**is_done);
        self.phase = Phase::Lookups {
            rest: rest.map(|(index, _)| index).collect(),
            current: None,
        };
        self.next_lookup();
    }

    fn next_lookup(&mut self) {
        let Phase::Lookups { rest, current } = &mut self.phase else {
            return;
        };
        *current = None;
        while let Some(index) = rest.pop_front() {
            let is_done = self.is_done.get(index).is_none_or(|is_done| *is_done);
            if let Some(wanted) = self.wanted.get(index).filter(|_| !is_done) {
                *current = Some(Lookup {
                    index,
                    filters: filters(&wanted.name, wanted.found_as.as_deref()),
                    token: None,
                    pages_left: LOOKUP_PAGES_MAX,
                    is_proven: true,
                });
                return;
            }
        }
    }
}

/// The filters that may find a user of this name, the likeliest first: the name as it is, in lower case (pools
/// may store names so), and as a sub.
fn filters(name: &str, found_as: Option<&str>) -> VecDeque<UserFilter> {
    let lower = name.to_lowercase();
    let mut filters = VecDeque::from([UserFilter::Username(name.to_owned())]);
    if lower != name {
        let folded = UserFilter::Username(lower.clone());
        if found_as == Some(&lower) {
            filters.push_front(folded);
        } else {
            filters.push_back(folded);
        }
    }
    if is_uuid(name) {
        let sub = UserFilter::Sub(lower.clone());
        let is_found_by_sub = found_as.is_some_and(|it| it != name && it != lower);
        if is_found_by_sub {
            filters.push_front(sub);
        } else {
            filters.push_back(sub);
        }
    }
    filters
}

fn is_uuid(name: &str) -> bool {
    let groups: Vec<_> = name.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    lengths.eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
