//! Grants and resources for the tests of this folder.

use super::{
    book::{ListedGrants, NamespaceLabels},
    who::{ListedResource, Namespaces},
};
use crate::{
    api::{CognitoUserPoolGrantSpec, GrantNamespaces, NamespaceSelector},
    core::{access::why_not::ListedGrant, names::target::Target},
};
use jiff::Timestamp;

pub(super) const POOL: &str = "eu-west-1_a";
pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/passwords";

/// A grant of ci-* to these namespaces.
pub(super) fn grant(
    names: &[&str],
    change: impl FnOnce(&mut CognitoUserPoolGrantSpec),
) -> ListedGrant {
    let names: Vec<_> = names.iter().map(|&it| it.to_owned()).collect();
    let mut spec = CognitoUserPoolGrantSpec {
        user_pool_id: POOL.to_owned(),
        usernames: vec!["ci-*".to_owned()],
        namespaces: GrantNamespaces {
            names: Some(names).filter(|names| !names.is_empty()),
            selector: None,
        },
        region: None,
        role_arn: None,
        external_id: None,
    };
    change(&mut spec);
    ListedGrant::Spec(spec)
}

/// Chooses the namespaces with tier=prod.
pub(super) fn by_tier(spec: &mut CognitoUserPoolGrantSpec) {
    spec.namespaces.selector = Some(NamespaceSelector {
        match_labels: labels(&[("tier", "prod")]),
        match_expressions: Vec::new(),
    });
}

pub(super) fn listed<const N: usize>(grants: [(&str, ListedGrant); N]) -> ListedGrants {
    grants.map(|(name, grant)| (name.to_owned(), grant)).into()
}

pub(super) fn labels(labels: &[(&str, &str)]) -> NamespaceLabels {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    labels.iter().map(owned).collect()
}

pub(super) fn namespaces(all: &[(&str, &[(&str, &str)])]) -> Namespaces {
    let owned = |(name, of): &(&str, &[(&str, &str)])| ((*name).to_owned(), labels(of));
    all.iter().map(owned).collect()
}

pub(super) fn user(name: &str) -> Target {
    Target::parse(POOL, name).expect("valid")
}

/// A resource for a user, made at this second.
pub(super) fn resource(namespace: &str, name: &str, username: &str, second: i64) -> ListedResource {
    ListedResource {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: format!("{namespace}-{name}"),
        created: Timestamp::from_second(second).expect("a time"),
        target: Some(user(username)),
        reason: "PasswordSet".to_owned(),
    }
}
