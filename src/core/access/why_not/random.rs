//! Random grants, for the properties of what reads grants.

use super::ListedGrant;
use crate::api::{
    CognitoUserPoolGrantSpec, GrantNamespaces, LabelOperator, LabelRequirement, NamespaceSelector,
};
use proptest::prelude::*;

fn requirement() -> impl Strategy<Value = LabelRequirement> {
    let values = proptest::collection::vec("[xy]", 1..3);
    ("[kl]", values, 0_usize..4).prop_map(|(key, values, operator)| {
        let operators = [
            LabelOperator::In,
            LabelOperator::NotIn,
            LabelOperator::Exists,
            LabelOperator::DoesNotExist,
        ];
        let has_values = operator < 2;
        LabelRequirement {
            key,
            operator: operators[operator],
            values: if has_values { values } else { Vec::new() },
        }
    })
}

/// Any grant, valid or not, of one of two pools.
pub(crate) fn any_grant() -> impl Strategy<Value = ListedGrant> {
    let selector = (
        proptest::collection::btree_map("[kl]", "[xy]", 0..2),
        proptest::collection::vec(requirement(), 0..3),
    );
    let selector = selector.prop_map(|(match_labels, match_expressions)| NamespaceSelector {
        match_labels,
        match_expressions,
    });
    let spec = (
        "eu-west-1_[ab]|mars_a|bad",
        proptest::collection::vec("[abAB]{0,2}[*?]?", 1..3),
        proptest::option::of(proptest::collection::vec("[mn]", 1..3)),
        proptest::option::of(selector),
        proptest::option::weighted(0.3, "eu-west-2|Bad|moon-1"),
        proptest::option::weighted(0.3, "arn:aws:iam::111122223333:role/[pq]|bad"),
    );
    let spec = spec.prop_map(
        |(user_pool_id, usernames, names, selector, region, role_arn)| CognitoUserPoolGrantSpec {
            user_pool_id,
            usernames,
            namespaces: GrantNamespaces { names, selector },
            region,
            role_arn,
            external_id: None,
        },
    );
    (spec, 0_u8..10).prop_map(|(spec, kind)| match kind {
        0 => ListedGrant::Deleting(spec),
        1 => ListedGrant::Unreadable("why".to_owned()),
        _ => ListedGrant::Spec(spec),
    })
}
