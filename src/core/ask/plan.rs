//! The plan of a `set`: which resources are asked, which are spared, and how long the calls take.

use super::{
    budget::{Budget, about},
    observed::ObservedResource,
};
use crate::{
    api::{Condition, ConditionType, Reason},
    core::text::legible,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Why a resource is not asked for a set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spared {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// One word: `Suspended`, `Temporary`, `Deleting`, or the resource's reason, such as `NotGranted`.
    pub reason: String,
    /// Why, and what to do.
    pub message: String,
}

/// The calls in one Region.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionPlan {
    /// The Region that the pools' ids name.
    pub region: String,
    /// The sets.
    pub sets: usize,
    /// The sign-outs that follow.
    pub sign_outs: usize,
    /// The time by the budget, in seconds.
    pub seconds: u64,
}

/// What a `set` does.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The resources that are asked.
    pub asked: Vec<ObservedResource>,
    /// The resources that are not asked.
    pub spared: Vec<Spared>,
    /// The calls by Region, in the order of the Regions' names.
    pub regions: Vec<RegionPlan>,
    /// The time until the last call, in seconds. Regions don't wait for each other.
    pub seconds: u64,
}

impl Plan {
    /// The plan for these resources. Resources with a temporary password are spared, unless they are included:
    /// their users would have to choose a password once more.
    #[must_use]
    pub fn of(resources: Vec<ObservedResource>, include_temporary: bool, budget: &Budget) -> Self {
        let (mut asked, mut spared) = (Vec::new(), Vec::new());
        for resource in resources {
            match why_spared(&resource, include_temporary) {
                None => asked.push(resource),
                Some((reason, message)) => spared.push(Spared {
                    namespace: resource.namespace,
                    name: resource.name,
                    reason,
                    message,
                }),
            }
        }
        let mut calls: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for resource in &asked {
            let (sets, sign_outs) = calls.entry(region(&resource.user_pool_id)).or_default();
            *sets += 1;
            *sign_outs += usize::from(resource.revoke_sessions);
        }
        let regions: Vec<_> = calls
            .into_iter()
            .map(|(region, (sets, sign_outs))| RegionPlan {
                region: legible(region, 64),
                sets,
                sign_outs,
                seconds: budget.seconds(sets, sign_outs),
            })
            .collect();
        let seconds = regions.iter().map(|it| it.seconds).max();
        Self {
            asked,
            spared,
            regions,
            seconds: seconds.unwrap_or_default(),
        }
    }

    /// The plan in one paragraph: how many calls, and how long.
    #[must_use]
    pub fn summary(&self, budget: &Budget) -> String {
        if self.asked.is_empty() {
            return "no resource is asked, so no call is made".to_owned();
        }
        let sets: Vec<_> = self
            .regions
            .iter()
            .map(|it| format!("{} in {}", calls(it.sets, "set"), it.region))
            .collect();
        let sign_outs: usize = self.regions.iter().map(|it| it.sign_outs).sum();
        let sign_outs = match sign_outs {
            0 => String::new(),
            count => format!(", and {}", calls(count, "sign-out")),
        };
        let source = match &budget.assumed_because {
            None => "by the operator's settings".to_owned(),
            Some(why) => format!("by the default settings, because {why}"),
        };
        format!(
            "{}{sign_outs}; about {}, at {} a second and {} at once {source}",
            sets.join(", "),
            about(self.seconds),
            budget.rps,
            budget.burst,
        )
    }
}

fn calls(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The Region that the id of a pool names.
fn region(pool: &str) -> &str {
    pool.rsplit_once('_').map_or("?", |(region, _)| region)
}

fn why_spared(resource: &ObservedResource, include_temporary: bool) -> Option<(String, String)> {
    let spared = |reason: &str, message: String| Some((reason.to_owned(), message));
    if resource.is_deleting {
        return spared("Deleting", "somebody deleted the resource".to_owned());
    }
    if resource.suspend {
        let because = resource.suspended_because.as_deref();
        let because = because.map(|it| format!("{}; ", legible(it, 256)));
        let because = because.unwrap_or_default();
        let message = format!("{because}a request waits until the resource is resumed");
        return spared("Suspended", message);
    }
    let ready = resource.current(ConditionType::Ready);
    let reason = ready.and_then(Condition::known_reason);
    if let Some(reason) = reason.filter(|it| makes_no_call(*it)) {
        let message = ready.map(|it| legible(&it.message, 1000));
        return spared(reason.as_str(), message.unwrap_or_default());
    }
    if !resource.permanent && !include_temporary {
        let message = "a temporary password: the user would have to choose a password once more (--include-temporary asks all the same)";
        return spared("Temporary", message.to_owned());
    }
    None
}

/// Whether the operator makes no call for a resource with this reason, whatever is asked.
fn makes_no_call(reason: Reason) -> bool {
    reason.is_about_grants() || reason == Reason::DuplicateUser
}

#[cfg(test)]
mod tests {
    use super::{
        super::observed::tests::{condition, resource},
        *,
    };
    use crate::{api::SUSPENDED_BECAUSE, core::checkup::seen::Seen};
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn budget() -> Budget {
        Budget {
            rps: 10.0,
            burst: 10,
            assumed_because: None,
        }
    }

    fn ready(reason: &str, generation: i64) -> Value {
        json!({ "conditions": [condition("Ready", "False", reason, generation)] })
    }

    #[rstest]
    #[case(|_: &mut Value| (), None)]
    #[case(|it: &mut Value| it["spec"]["suspend"] = json!(true), Some("Suspended"))]
    #[case(|it: &mut Value| it["spec"]["permanent"] = json!(false), Some("Temporary"))]
    #[case(|it: &mut Value| it["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"), Some("Deleting"))]
    #[case(|it: &mut Value| it["status"] = ready("NotGranted", 3), Some("NotGranted"))]
    #[case(|it: &mut Value| it["status"] = ready("AmbiguousGrant", 3), Some("AmbiguousGrant"))]
    #[case(|it: &mut Value| it["status"] = ready("UnknownRegion", 3), Some("UnknownRegion"))]
    #[case(|it: &mut Value| it["status"] = ready("DuplicateUser", 3), Some("DuplicateUser"))]
    // The status is about another spec.
    #[case(|it: &mut Value| it["status"] = ready("NotGranted", 2), None)]
    // A request is what ends these waits.
    #[case(|it: &mut Value| it["status"] = ready("UserNotFound", 3), None)]
    #[case(|it: &mut Value| it["status"] = ready("InvalidPassword", 3), None)]
    fn a_resource_that_would_get_no_call_is_spared(
        #[case] change: fn(&mut Value),
        #[case] reason: Option<&str>,
    ) {
        let plan = Plan::of(vec![resource(change)], false, &budget());
        let spared = plan.spared.first().map(|it| &*it.reason);
        assert_eq!(spared, reason);
        assert_eq!(plan.asked.len(), usize::from(reason.is_none()));
    }

    #[test]
    fn temporary_passwords_can_be_included_and_suspended_resources_never() {
        let temporary = resource(|it| it["spec"]["permanent"] = json!(false));
        let suspended = resource(|it| {
            it["spec"] = json!({ "suspend": true, "permanent": false });
            it["metadata"]["annotations"][SUSPENDED_BECAUSE] = json!("INC-4711\u{7}");
        });
        let plan = Plan::of(vec![temporary, suspended], true, &budget());
        assert_eq!(plan.asked.len(), 1);
        let message = "INC-4711 ; a request waits until the resource is resumed";
        assert_eq!(plan.spared[0].message, message);
    }

    #[test]
    fn the_summary_counts_calls_by_region() {
        let at = |pool: &str, revoke: bool| {
            resource(|it| {
                it["spec"]["userPoolId"] = json!(pool);
                it["spec"]["revokeSessions"] = json!(revoke);
            })
        };
        let mut resources = vec![at("us-east-1_a", false); 30];
        resources.push(at("eu-west-1_b", true));
        let plan = Plan::of(resources, false, &budget());
        assert_eq!(
            plan.summary(&budget()),
            "1 set in eu-west-1, 30 sets in us-east-1, and 1 sign-out; about 2 s, at 10 a second and 10 at once by the operator's settings"
        );
        let assumed = Budget::of(&Seen::Failed("nobody answers".to_owned()), &[]);
        let summary = plan.summary(&assumed);
        assert!(
            summary.ends_with("by the default settings, because nobody answers"),
            "{summary}"
        );
        let none = Plan::of(vec![], false, &budget());
        assert_eq!(
            none.summary(&budget()),
            "no resource is asked, so no call is made"
        );
    }

    proptest! {
        #[test]
        fn every_resource_is_asked_or_spared_and_every_asked_one_is_counted(
            given in prop::collection::vec((any::<bool>(), any::<bool>(), "[a-z]{2}-[a-z]{4}-[1-3]_[a-z]{3}|[a-z_]{0,5}"), 0..40),
            include in any::<bool>(),
        ) {
            let resources: Vec<_> = given
                .iter()
                .map(|(suspend, permanent, pool)| resource(|it| {
                    it["spec"] = json!({ "suspend": suspend, "permanent": permanent, "userPoolId": pool });
                }))
                .collect();
            let plan = Plan::of(resources, include, &budget());
            prop_assert_eq!(plan.asked.len() + plan.spared.len(), given.len());
            prop_assert_eq!(plan.regions.iter().map(|it| it.sets).sum::<usize>(), plan.asked.len());
            prop_assert!(plan.asked.iter().all(|it| !it.suspend && (it.permanent || include)));
            let slowest = plan.regions.iter().map(|it| it.seconds).max().unwrap_or_default();
            prop_assert_eq!(plan.seconds, slowest);
        }
    }
}
