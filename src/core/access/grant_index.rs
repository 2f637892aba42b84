//! The grants of one pool, indexed by username and by namespace. The grants that admit a resource are found
//! without a scan of all grants.

use super::grant::{Grant, Label, Namespace};
use crate::core::names::target::Target;
use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

/// The grants of one pool; see the module. `N` is the name of a grant.
#[derive(Debug)]
pub struct GrantIndex<N> {
    /// All grants that name the pool. `None` for an invalid grant, which admits no resource.
    grants: BTreeMap<N, Option<Arc<Grant>>>,
    by_username: HashMap<String, BTreeSet<N>>,
    /// Grants by the literal prefix of a glob: the characters before the first wildcard.
    by_prefix: HashMap<String, BTreeSet<N>>,
    /// The number of different prefixes of each length in bytes.
    prefix_lengths: BTreeMap<usize, usize>,
    by_namespace: HashMap<String, BTreeSet<N>>,
    /// Grants by the labels of one requirement. A namespace must have one of these labels. Of several
    /// requirements, the index uses the rarest one at the time when the grant was inserted: all grants of a
    /// cluster may require the same first label.
    by_label: HashMap<Label, BTreeSet<N>>,
    /// The number of the requirement by which each grant is in `by_label`.
    requirements: BTreeMap<N, usize>,
    /// The grants whose selector requires no label. These grants are candidates for every namespace.
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
    /// Adds a grant of the pool, or replaces the grant of this name. `None` stands for an invalid grant,
    /// which names the pool and admits no resource.
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

    /// Removes the grant of this name, if the index has one.
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
            .filter(|(_, grant)| grant.admits(target, namespace))
            .collect()
    }

    /// The requirement of the grant by which the fewest other grants are found, with its number.
    fn rarest_requirement<'a>(&self, grant: &'a Grant) -> Option<(usize, &'a [Label])> {
        let found_by = |label| self.by_label.get(label).map_or(0, BTreeSet::len);
        let requirements = grant.required_labels.iter().map(Vec::as_slice).enumerate();
        // A namespace has one value of a label, so a lookup costs at most the largest set.
        requirements.min_by_key(|(_, labels)| {
            let largest = labels.iter().map(found_by).max();
            (largest.unwrap_or_default(), labels.len())
        })
    }

    /// The grants whose usernames may match: by full name or by literal prefix.
    fn naming_user(&self, username: &str) -> Vec<&BTreeSet<N>> {
        let lengths = self.prefix_lengths.keys();
        let prefixes = lengths.filter_map(|length| username.get(..*length));
        let by_prefix = prefixes.filter_map(|prefix| self.by_prefix.get(prefix));
        let by_username = self.by_username.get(username);
        by_username.into_iter().chain(by_prefix).collect()
    }

    /// The grants that may admit a namespace: by name or by label.
    fn naming_namespace(&self, namespace: Namespace<'_>) -> Vec<&BTreeSet<N>> {
        // If no grant requires a label, skip the loop: each lookup copies the label and its value.
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

/// Adds `name` to the set of `key`. Returns whether the set is new.
fn add<K: Eq + Hash, N: Ord + Clone>(sets: &mut HashMap<K, BTreeSet<N>>, key: K, name: &N) -> bool {
    let set = sets.entry(key).or_default();
    let is_new = set.is_empty();
    set.insert(name.clone());
    is_new
}

/// Removes `name` from the set of `key`. Returns whether the set became empty and was removed.
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

    /// The number of candidates for a namespace with these labels, if any grant may match the user.
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
        // Two: when the first grant was inserted, all of its labels were equally rare. So the first grant may
        // be under the label that all grants require.
        assert!(candidates(&index, &[(0, 0), (1, 7)]) <= 2);
    }

    #[test]
    fn a_grant_is_found_by_each_label_value_that_its_expression_allows() {
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
    fn a_grant_is_found_by_a_label_of_which_any_value_fits() {
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
        /// Compares the index with a scan of all grants.
        #[test]
        fn the_index_finds_exactly_the_grants_that_admit_a_resource(
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
                let fits = |grant: &Option<Arc<Grant>>| grant.as_ref().is_some_and(|grant| grant.admits(&target, namespace));
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
