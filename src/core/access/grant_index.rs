//! The grants of one pool, indexed by username and by namespace: which of them let a resource in is
//! found without looking at all of them.

use super::grant::{Grant, Label, Namespace};
use crate::core::names::target::Target;
use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

/// See the module. `N` names a grant.
#[derive(Debug)]
pub struct GrantIndex<N> {
    /// All grants that name the pool. None: a grant that lets nobody in.
    grants: BTreeMap<N, Option<Arc<Grant>>>,
    by_username: HashMap<String, BTreeSet<N>>,
    /// By what stands before the first wildcard of a username.
    by_prefix: HashMap<String, BTreeSet<N>>,
    /// How many of the prefixes have each length, in bytes.
    prefix_lengths: BTreeMap<usize, usize>,
    by_namespace: HashMap<String, BTreeSet<N>>,
    /// By the labels of one requirement, of which the namespace must have one: of several requirements the
    /// one by which the fewest were found when the grant came, because all grants of a cluster may require
    /// the same first label.
    by_label: HashMap<Label, BTreeSet<N>>,
    /// By which of its requirements each of these grants is found.
    requirements: BTreeMap<N, usize>,
    /// Those whose selector requires no label to be there.
    by_other_selector: BTreeSet<N>,
}

impl<N> Default for GrantIndex<N> {
    fn default() -> Self {
        Self {
            grants: BTreeMap::new(),
            by_username: HashMap::new(),
            by_prefix: HashMap::new(),
            prefix_lengths: BTreeMap::new(),
            by_namespace: HashMap::new(),
            by_label: HashMap::new(),
            requirements: BTreeMap::new(),
            by_other_selector: BTreeSet::new(),
        }
    }
}

impl<N: Ord + Clone> GrantIndex<N> {
    /// Adds a grant of the pool, or replaces the grant of this name. None: a grant that names the pool
    /// and lets nobody in, because it is invalid.
    pub fn insert(&mut self, name: N, grant: Option<Arc<Grant>>) {
        self.remove(&name);
        if let Some(grant) = &grant {
            for glob in &grant.usernames {
                let (prefix, is_literal) = glob.literal_prefix();
                if is_literal {
                    add(&mut self.by_username, prefix, &name);
                } else {
                    let length = prefix.len();
                    if add(&mut self.by_prefix, prefix, &name) {
                        *self.prefix_lengths.entry(length).or_default() += 1;
                    }
                }
            }
            for namespace in &grant.names {
                add(&mut self.by_namespace, namespace.clone(), &name);
            }
            match (&grant.labels, self.rarest_requirement(grant)) {
                (Some(_), Some((number, labels))) => {
                    for label in labels {
                        add(&mut self.by_label, label.clone(), &name);
                    }
                    self.requirements.insert(name.clone(), number);
                }
                (Some(_), None) => {
                    self.by_other_selector.insert(name.clone());
                }
                (None, _) => {}
            }
        }
        self.grants.insert(name, grant);
    }

    /// Removes a grant, if there is one of this name.
    pub fn remove(&mut self, name: &N) {
        let Some(Some(grant)) = self.grants.remove(name) else {
            return;
        };
        for glob in &grant.usernames {
            let (prefix, is_literal) = glob.literal_prefix();
            if is_literal {
                take(&mut self.by_username, &prefix, name);
            } else if take(&mut self.by_prefix, &prefix, name)
                && let Some(prefixes) = self.prefix_lengths.get_mut(&prefix.len())
            {
                *prefixes -= 1;
                if *prefixes == 0 {
                    self.prefix_lengths.remove(&prefix.len());
                }
            }
        }
        for namespace in &grant.names {
            take(&mut self.by_namespace, namespace, name);
        }
        let requirement = self.requirements.remove(name);
        let labels = requirement.and_then(|number| grant.required_labels.get(number));
        for label in labels.into_iter().flatten() {
            take(&mut self.by_label, label, name);
        }
        self.by_other_selector.remove(name);
    }

    /// Whether no grant names the pool.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// The grants that let resources of this namespace manage this user, by name.
    #[must_use]
    pub fn fitting(&self, target: &Target, namespace: Namespace<'_>) -> BTreeMap<&N, &Grant> {
        let by_user = self.naming_user(target.username.as_str());
        let by_namespace = self.naming_namespace(namespace);
        let size = |sets: &[&BTreeSet<N>]| sets.iter().map(|set| set.len()).sum::<usize>();
        let candidates = if size(&by_user) <= size(&by_namespace) {
            by_user
        } else {
            by_namespace
        };
        let candidates = candidates.into_iter().flatten();
        let grants = candidates.filter_map(|name| Some((name, self.grants.get(name)?.as_deref()?)));
        grants
            .filter(|(_, grant)| grant.lets_in(target, namespace))
            .collect()
    }

    /// Of what a grant requires of labels, that by which the fewest grants are found, and its number.
    fn rarest_requirement<'a>(&self, grant: &'a Grant) -> Option<(usize, &'a [Label])> {
        let found_by = |label| self.by_label.get(label).map_or(0, BTreeSet::len);
        let requirements = grant.required_labels.iter().map(Vec::as_slice).enumerate();
        // A namespace has one value of a label, so the largest set tells what a lookup costs at most.
        requirements.min_by_key(|(_, labels)| {
            let largest = labels.iter().map(found_by).max();
            (largest.unwrap_or_default(), labels.len())
        })
    }

    /// The grants that may fit a username.
    fn naming_user(&self, username: &str) -> Vec<&BTreeSet<N>> {
        let lengths = self.prefix_lengths.keys();
        let prefixes = lengths.filter_map(|length| username.get(..*length));
        let by_prefix = prefixes.filter_map(|prefix| self.by_prefix.get(prefix));
        let by_username = self.by_username.get(username);
        by_username.into_iter().chain(by_prefix).collect()
    }

    /// The grants that may fit a namespace.
    fn naming_namespace(&self, namespace: Namespace<'_>) -> Vec<&BTreeSet<N>> {
        // Without this, each lookup would copy the label.
        let labels = (!self.by_label.is_empty()).then_some(namespace.labels);
        let by_label = labels.into_iter().flatten().flat_map(|(label, value)| {
            [Some(value.clone()), None]
                .into_iter()
                .filter_map(|value| self.by_label.get(&(label.clone(), value)))
        });
        let by_namespace = self.by_namespace.get(namespace.name);
        by_namespace
            .into_iter()
            .chain(by_label)
            .chain([&self.by_other_selector])
            .collect()
    }
}

/// Answers with whether the set of this key is new.
fn add<K: Eq + Hash, N: Ord + Clone>(sets: &mut HashMap<K, BTreeSet<N>>, key: K, name: &N) -> bool {
    let set = sets.entry(key).or_default();
    let is_new = set.is_empty();
    set.insert(name.clone());
    is_new
}

/// Answers with whether the set of this key is gone.
fn take<K, Q, N: Ord>(sets: &mut HashMap<K, BTreeSet<N>>, key: &Q, name: &N) -> bool
where
    K: Eq + Hash + Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    let Some(set) = sets.get_mut(key) else {
        return false;
    };
    set.remove(name);
    if !set.is_empty() {
        return false;
    }
    sets.remove(key);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        CognitoUserPoolGrantSpec, GrantNamespaces, LabelOperator, LabelRequirement,
        NamespaceSelector,
    };
    use proptest::prelude::*;

    fn labels(labels: &[(u8, u8)]) -> BTreeMap<String, String> {
        let text = |(label, value): &(u8, u8)| (format!("label-{label}"), value.to_string());
        labels.iter().map(text).collect()
    }

    fn selecting(usernames: &[&str], selector: NamespaceSelector) -> Arc<Grant> {
        let spec = CognitoUserPoolGrantSpec {
            user_pool_id: "eu-west-1_a".to_owned(),
            usernames: usernames.iter().map(|&it| it.to_owned()).collect(),
            namespaces: GrantNamespaces {
                names: None,
                selector: Some(selector),
            },
            region: None,
            role_arn: None,
            external_id: None,
        };
        Arc::new(Grant::parse(&spec).expect("valid"))
    }

    fn expression(label: u8, operator: LabelOperator, values: &[u8]) -> LabelRequirement {
        LabelRequirement {
            key: format!("label-{label}"),
            operator,
            values: values.iter().map(u8::to_string).collect(),
        }
    }

    fn expressions() -> impl Strategy<Value = Vec<LabelRequirement>> {
        let values = || proptest::collection::vec(0_u8..3, 1..4);
        let expression = prop_oneof![
            3 => (0_u8..2, values()).prop_map(|(label, values)| expression(label, LabelOperator::In, &values)),
            1 => (0_u8..2, values()).prop_map(|(label, values)| expression(label, LabelOperator::NotIn, &values)),
            1 => (0_u8..2).prop_map(|label| expression(label, LabelOperator::Exists, &[])),
            1 => (0_u8..2).prop_map(|label| expression(label, LabelOperator::DoesNotExist, &[])),
        ];
        proptest::collection::vec(expression, 0..3)
    }

    fn grant() -> impl Strategy<Value = Option<Arc<Grant>>> {
        let username = "[ab]{0,3}[*?]?[ab]{0,2}";
        let usernames = proptest::collection::vec(username, 1..4);
        let names = proptest::option::of(proptest::collection::vec("[ab]", 0..3));
        let required = proptest::collection::vec((0_u8..2, 0_u8..2), 0..3);
        let selector = proptest::option::of((required, expressions()));
        let grant = (usernames, names, selector).prop_map(|(usernames, names, selector)| {
            let selector = selector.map(|(required, match_expressions)| NamespaceSelector {
                match_labels: labels(&required),
                match_expressions,
            });
            let spec = CognitoUserPoolGrantSpec {
                user_pool_id: "eu-west-1_a".to_owned(),
                usernames,
                namespaces: GrantNamespaces { names, selector },
                region: None,
                role_arn: None,
                external_id: None,
            };
            Arc::new(Grant::parse(&spec).expect("valid"))
        });
        proptest::option::weighted(0.9, grant)
    }

    /// How many grants are asked for a namespace with these labels, where any may name the user.
    fn candidates(index: &GrantIndex<u8>, of_namespace: &[(u8, u8)]) -> usize {
        let labels = labels(of_namespace);
        let candidates = index.naming_namespace(Namespace {
            name: "team",
            labels: &labels,
        });
        candidates.into_iter().map(BTreeSet::len).sum()
    }

    #[test]
    fn a_label_that_all_grants_require_does_not_make_all_of_them_candidates() {
        let mut index = GrantIndex::default();
        for team in 0..100 {
            let selector = NamespaceSelector {
                match_labels: labels(&[(0, 0), (1, team)]),
                match_expressions: Vec::new(),
            };
            index.insert(team, Some(selecting(&["*"], selector)));
        }
        // The first one had the choice between labels that nobody else required.
        assert!(candidates(&index, &[(0, 0), (1, 7)]) <= 2);
    }

    #[test]
    fn a_namespace_is_found_by_each_value_that_an_expression_lets_a_label_have() {
        let mut index = GrantIndex::default();
        for team in 0..100 {
            let one_of = [2 * team, 2 * team + 1];
            let selector = NamespaceSelector {
                match_labels: labels(&[(0, 0)]),
                match_expressions: vec![
                    expression(1, LabelOperator::In, &one_of),
                    expression(2, LabelOperator::NotIn, &[0]),
                ],
            };
            index.insert(team, Some(selecting(&["*"], selector)));
        }
        for value in [14, 15] {
            let found = candidates(&index, &[(0, 0), (1, value)]);
            assert!((1..=2).contains(&found), "{found}");
        }
        assert!(candidates(&index, &[(1, 200)]) == 0);
    }

    #[test]
    fn a_namespace_is_found_by_a_label_of_which_any_value_will_do() {
        let mut index = GrantIndex::default();
        for team in 0..100 {
            let selector = NamespaceSelector {
                match_labels: BTreeMap::new(),
                match_expressions: vec![expression(team, LabelOperator::Exists, &[])],
            };
            index.insert(team, Some(selecting(&["*"], selector)));
        }
        assert_eq!(candidates(&index, &[(7, 3)]), 1);
    }

    proptest! {
        /// Compared with asking each grant.
        #[test]
        fn exactly_the_grants_that_let_a_resource_in_are_found(
            changes in proptest::collection::vec((0_u8..6, proptest::option::weighted(0.8, grant())), 1..20),
            asked in proptest::collection::vec(("[ab]{1,4}", "[abc]", proptest::collection::vec((0_u8..2, 0_u8..3), 0..3)), 1..8),
        ) {
            let mut index = GrantIndex::default();
            let mut all = BTreeMap::new();
            for (name, grant) in changes {
                if let Some(grant) = grant {
                    index.insert(name, grant.clone());
                    all.insert(name, grant);
                } else {
                    index.remove(&name);
                    all.remove(&name);
                }
                prop_assert_eq!(index.grants.len(), all.len());
            }
            for (username, namespace, of_namespace) in asked {
                let target = Target::parse("eu-west-1_a", &username).expect("valid");
                let of_namespace = labels(&of_namespace);
                let namespace = Namespace { name: &namespace, labels: &of_namespace };
                let found = index.fitting(&target, namespace);
                let found: Vec<u8> = found.into_keys().copied().collect();
                let fits = |grant: &Option<Arc<Grant>>| grant.as_ref().is_some_and(|grant| grant.lets_in(&target, namespace));
                let wanted: Vec<u8> = all.iter().filter(|(_, grant)| fits(grant)).map(|(name, _)| *name).collect();
                prop_assert_eq!(found, wanted);
            }
            for name in 0..6 {
                index.remove(&name);
            }
            prop_assert!(index.is_empty() && index.by_username.is_empty() && index.by_prefix.is_empty());
            prop_assert!(index.prefix_lengths.is_empty() && index.by_namespace.is_empty());
            prop_assert!(index.by_label.is_empty() && index.requirements.is_empty());
            prop_assert!(index.by_other_selector.is_empty());
        }
    }
}
