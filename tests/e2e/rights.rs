//! The operator uses all rights of deploy/, lacks none, and has no other. People have the rights that deploy/
//! aggregates into view and edit, which do not include writes of the status.

use std::collections::BTreeSet;

use hyper::Request;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::Api;
use serde_json::{Value, json};

use crate::grants::wait_for_grant;
use crate::support::{Fault, operator};
use crate::world::{POOL, SOON, World};

#[tokio::test]
async fn the_whole_main_job_uses_these_rights_and_is_refused_nothing() {
    let (world, _turn) = World::alone("rights").await;
    // The state right after an installation.
    let home = ["-n", operator::NAMESPACE, "--ignore-not-found"];
    for made in [
        "lease/cognito-password-operator",
        "secret/cognito-password-operator-fingerprint",
    ] {
        world
            .plane
            .kubectl(&[&["delete", made][..], &home].concat());
    }
    world.revoke().await;
    let mark = world.mark();
    let operator = world.cluster_wide().leader_elect().start().await;
    operator.wait_ready(SOON).await;
    world.cognito.add_user(POOL, "bot");
    world.apply_resource("bot", |_| ()).await;
    world.wait("bot", "False", "NotGranted").await;
    world.grant(|_| ()).await;
    world.wait("bot", "False", "SecretNotFound").await;
    world
        .apply_secret("bot", "password", "First-Passw0rd")
        .await;
    world.wait_set("bot", "First-Passw0rd").await;
    // The resource changes during the set: the status write conflicts, and the operator reads the resource
    // again.
    world.cognito.next_for((POOL, "bot"), [Fault::HangBefore]);
    world
        .apply_secret("bot", "password", "Second-Passw0rd")
        .await;
    world.cognito.wait_for_calls(2, SOON).await;
    let label = json!({ "metadata": { "labels": { "moved": "yes" } } });
    world.patch_resource("bot", label).await;
    world.cognito.release();
    world.wait_set("bot", "Second-Passw0rd").await;
    world
        .assert_calls("bot", &["First-Passw0rd", "Second-Passw0rd"])
        .await;
    world.delete_resource("bot").await;
    wait_for_grant(&world, ("True", "Accepted", 0)).await;
    // The operator writes Events after the status, and drops Events if the API server is slow. A repeated
    // Event is a patch.
    let is_patch = |request: &Value| {
        request["verb"] == "patch"
            && request.pointer("/objectRef/resource") == Some(&"events".into())
    };
    let patched = async {
        for number in 1.. {
            world.in_sync("last", &format!("Passw0rd-{number}")).await;
            if world.requests(mark).iter().any(is_patch) {
                return;
            }
        }
    };
    let patched = tokio::time::timeout(SOON, patched).await;
    assert!(patched.is_ok(), "no event was repeated");
    assert!(operator.terminate(SOON).await.success());

    // An operator that watches every namespace asks no question, because no right would be too much.
    assert_eq!(world.questions(mark), Vec::<Value>::new());
    let requests = world.requests(mark);
    let mut used = BTreeSet::new();
    for request in &requests {
        let code = &request["responseStatus"]["code"];
        assert!(code != 401 && code != 403, "{request:#}");
        let part = |pointer| {
            let text = request.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default()
        };
        let mut what = part("/objectRef/resource").to_owned();
        if !part("/objectRef/subresource").is_empty() {
            what = format!("{what}/{}", part("/objectRef/subresource"));
        }
        let group = part("/objectRef/apiGroup");
        used.insert(
            format!("{} {what} {group}", part("/verb"))
                .trim()
                .to_owned(),
        );
    }
    let group = "cognito-password-operator.io";
    // The right to list these two kinds serves API servers that can't stream lists.
    let wanted = [
        format!("get cognitouserpasswords {group}"),
        format!("watch cognitouserpasswords {group}"),
        format!("patch cognitouserpasswords/status {group}"),
        format!("list cognitouserpoolgrants {group}"),
        format!("watch cognitouserpoolgrants {group}"),
        format!("patch cognitouserpoolgrants/status {group}"),
        "list namespaces".to_owned(),
        "watch namespaces".to_owned(),
        // The fingerprint key.
        "create secrets".to_owned(),
        "get secrets".to_owned(),
        "watch secrets".to_owned(),
        "create events events.k8s.io".to_owned(),
        "patch events events.k8s.io".to_owned(),
        "create leases coordination.k8s.io".to_owned(),
        "get leases coordination.k8s.io".to_owned(),
        "update leases coordination.k8s.io".to_owned(),
    ];
    assert_eq!(used, wanted.into(), "{requests:#?}");
}

#[tokio::test]
async fn the_operator_has_no_right_beyond_these() {
    let world = World::new("rules").await;
    let everywhere: BTreeSet<_> = set(&WATCHED).union(&set(&OF_CLUSTER)).cloned().collect();
    assert_eq!(rights(&world, &world.namespace).await, everywhere);
    let at_home = everywhere.union(&set(&AT_HOME)).cloned().collect();
    assert_eq!(rights(&world, operator::NAMESPACE).await, at_home);
}

/// The rights in a namespace whose resources the operator watches.
pub(crate) const WATCHED: [&str; 9] = [
    "cognito-password-operator.io cognitouserpasswords get",
    "cognito-password-operator.io cognitouserpasswords list",
    "cognito-password-operator.io cognitouserpasswords watch",
    "cognito-password-operator.io cognitouserpasswords/status patch",
    " secrets get",
    " secrets list",
    " secrets watch",
    "events.k8s.io events create",
    "events.k8s.io events patch",
];

/// The rights on cluster-scoped objects, if the operator watches all namespaces and grants.
const OF_CLUSTER: [&str; 5] = [
    "cognito-password-operator.io cognitouserpoolgrants list",
    "cognito-password-operator.io cognitouserpoolgrants watch",
    "cognito-password-operator.io cognitouserpoolgrants/status patch",
    " namespaces list",
    " namespaces watch",
];

/// The rights in the operator's own namespace.
pub(crate) const AT_HOME: [&str; 5] = [
    " secrets create",
    " secrets get cognito-password-operator-fingerprint",
    "coordination.k8s.io leases create",
    "coordination.k8s.io leases get cognito-password-operator",
    "coordination.k8s.io leases update cognito-password-operator",
];

pub(crate) fn set(rights: &[&str]) -> BTreeSet<String> {
    rights.iter().map(|right| (*right).to_owned()).collect()
}

/// The operator's rights in a namespace, as `GROUP RESOURCE VERB [NAME]`, without the rights of every
/// service account.
pub(crate) async fn rights(world: &World<'_>, namespace: &str) -> BTreeSet<String> {
    let nobody = "system:serviceaccount:default:nobody";
    let anyones = rules(world, nobody, namespace).await;
    let mut rights = rules(world, operator::USER, namespace).await;
    rights.retain(|right| !anyones.contains(right));
    rights
}

async fn rules(world: &World<'_>, user: &str, namespace: &str) -> BTreeSet<String> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": { "namespace": namespace },
    });
    let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews")
        .header("Content-Type", "application/json")
        .header("Impersonate-User", user)
        .body(review.to_string().into_bytes())
        .expect("the request is well-formed");
    let review: Value = world
        .client
        .request(request)
        .await
        .unwrap_or_else(|error| panic!("no rules of {user}: {error}"));
    let status = &review["status"];
    assert_eq!(status["incomplete"], false, "{review:#}");
    let rules: Vec<PolicyRule> =
        serde_json::from_value(status["resourceRules"].clone()).expect("rules");
    let mut rights = BTreeSet::new();
    for rule in rules {
        rights.extend(each(&rule));
    }
    // Rights on URLs that are no resources.
    for rule in status["nonResourceRules"].as_array().into_iter().flatten() {
        rights.insert(rule.to_string());
    }
    rights
}

/// Each single right of a rule.
fn each(rule: &PolicyRule) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    let or_any = |names: &Option<Vec<String>>| match names.as_deref() {
        None | Some([]) => vec![String::new()],
        Some(names) => names.to_vec(),
    };
    for group in or_any(&rule.api_groups) {
        for resource in or_any(&rule.resources) {
            for verb in &rule.verbs {
                for name in or_any(&rule.resource_names) {
                    let right = format!("{group} {resource} {verb} {name}");
                    rights.insert(right.trim_end().to_owned());
                }
            }
        }
    }
    rights
}

#[tokio::test]
async fn viewers_may_read_resources_editors_may_write_them_and_neither_may_write_status_or_grants()
{
    let world = World::new("users").await;
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    let granted = async |aggregated_to: &str| {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{aggregated_to}");
        let all = roles.list(&kube::api::ListParams::default()).await;
        let mut rights = BTreeSet::new();
        for role in all.expect("the administrator may") {
            let labels = role.metadata.labels.unwrap_or_default();
            if labels.get(&label).is_some_and(|value| value == "true") {
                rights.extend(role.rules.iter().flatten().flat_map(each));
            }
        }
        rights.retain(|right| right.starts_with("cognito-password-operator.io "));
        rights
    };
    let of = |verbs: &[&str]| {
        let right = |verb| format!("cognito-password-operator.io cognitouserpasswords {verb}");
        verbs.iter().map(right).collect::<BTreeSet<_>>()
    };
    let write = ["create", "update", "patch", "delete", "deletecollection"];
    assert_eq!(granted("view").await, of(&["get", "list", "watch"]));
    assert_eq!(granted("edit").await, of(&write));
    assert_eq!(granted("admin").await, of(&write));
}
