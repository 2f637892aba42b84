//! Compares each document in full, so that a reviewer of these tests sees exactly the policy that IAM gets.

use super::*;
use serde_json::{Value, json};

const POOL: &str = "arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123";
const OTHER_POOL: &str = "arn:aws:cognito-idp:us-east-1:111122223333:userpool/us-east-1_GhIjKl456";
const ROLE: &str = "arn:aws:iam::444455556666:role/team-a-passwords";
const OWN_ROLE: &str = "arn:aws:iam::111122223333:role/cognito-password-operator";

fn pools(arns: &[&str]) -> BTreeSet<PoolArn> {
    let parse = |arn: &&str| PoolArn::parse(arn).expect("a pool's");
    arns.iter().map(parse).collect()
}

fn role(arn: &str) -> RoleArn {
    RoleArn::parse(arn).expect("a role's")
}

fn operator() -> ServiceAccount {
    ServiceAccount {
        namespace: "auth".to_owned(),
        name: "passwords".to_owned(),
    }
}

#[track_caller]
fn assert_says(document: &Document, statements: &Value) {
    let said: Value = serde_json::from_str(&document.to_string()).expect("JSON");
    assert_eq!(
        said,
        json!({ "Version": "2012-10-17", "Statement": statements })
    );
}

#[test]
fn pools_give_the_right_to_set_passwords_in_them_and_nowhere_else() {
    let permissions = Permissions {
        pools: pools(&[OTHER_POOL, POOL]),
        // Session tags add nothing without roles.
        session_tags: true,
        ..Permissions::default()
    };
    assert_says(
        &permissions.document(),
        &json!([{
            "Sid": "SetPasswords",
            "Effect": "Allow",
            "Action": ["cognito-idp:AdminSetUserPassword"],
            "Resource": [POOL, OTHER_POOL],
        }]),
    );
}

/// The statement of `sid` with this action in [`POOL`].
fn in_pool(sid: &str, action: &str) -> Value {
    json!({
        "Sid": sid,
        "Effect": "Allow",
        "Action": [action],
        "Resource": [POOL],
    })
}

#[test]
fn each_switch_adds_one_statement_of_its_own_and_no_switch_adds_none() {
    let set = in_pool("SetPasswords", "cognito-idp:AdminSetUserPassword");
    let see = in_pool("SeeUsers", "cognito-idp:ListUsers");
    let revoke = in_pool("RevokeSessions", "cognito-idp:AdminUserGlobalSignOut");
    let read = in_pool("ReadPool", "cognito-idp:DescribeUserPool");
    let both = [true, false];
    for see_users in both {
        for revoke_sessions in both {
            for read_pool in both {
                let permissions = Permissions {
                    pools: pools(&[POOL]),
                    switches: PoolSwitches {
                        see_users,
                        revoke_sessions,
                        read_pool,
                    },
                    ..Permissions::default()
                };
                let switched = [
                    (true, &set),
                    (see_users, &see),
                    (revoke_sessions, &revoke),
                    (read_pool, &read),
                ];
                let on = switched.iter().filter(|(on, _)| *on);
                let statements: Vec<_> = on.map(|(_, statement)| *statement).collect();
                assert_says(&permissions.document(), &json!(statements));
            }
        }
    }
}

#[test]
fn switches_are_about_pools_and_come_before_the_roles() {
    let mut permissions = Permissions {
        roles: [role(ROLE)].into(),
        switches: PoolSwitches {
            see_users: true,
            revoke_sessions: true,
            read_pool: true,
        },
        ..Permissions::default()
    };
    let assume = json!({
        "Sid": "AssumeRoles",
        "Effect": "Allow",
        "Action": ["sts:AssumeRole"],
        "Resource": [ROLE],
    });
    assert_says(&permissions.document(), &json!([assume]));
    permissions.pools = pools(&[POOL]);
    assert_says(
        &permissions.document(),
        &json!([
            in_pool("SetPasswords", "cognito-idp:AdminSetUserPassword"),
            in_pool("SeeUsers", "cognito-idp:ListUsers"),
            in_pool("RevokeSessions", "cognito-idp:AdminUserGlobalSignOut"),
            in_pool("ReadPool", "cognito-idp:DescribeUserPool"),
            assume,
        ]),
    );
}

#[test]
fn without_switches_the_bytes_are_those_of_a_policy_that_knows_no_switch() {
    let permissions = Permissions {
        pools: pools(&[POOL]),
        ..Permissions::default()
    };
    let bytes = format!(
        r#"{{
  "Version": "2012-10-17",
  "Statement": [
    {{
      "Sid": "SetPasswords",
      "Effect": "Allow",
      "Action": [
        "cognito-idp:AdminSetUserPassword"
      ],
      "Resource": [
        "{POOL}"
      ]
    }}
  ]
}}"#
    );
    assert_eq!(permissions.document().to_string(), bytes);
}

#[test]
fn every_feature_has_a_sid_and_actions_that_no_other_feature_has() {
    let sids: BTreeSet<_> = Feature::ALL.iter().map(|feature| feature.sid()).collect();
    assert_eq!(sids.len(), Feature::ALL.len());
    let actions = || Feature::ALL.iter().flat_map(|feature| feature.actions());
    assert_eq!(actions().collect::<BTreeSet<_>>().len(), actions().count());
}

#[test]
fn roles_give_the_right_to_assume_them_and_with_pod_identity_to_pass_its_tags() {
    let mut permissions = Permissions {
        roles: [role(ROLE)].into(),
        ..Permissions::default()
    };
    let assume = json!({
        "Sid": "AssumeRoles",
        "Effect": "Allow",
        "Action": ["sts:AssumeRole"],
        "Resource": [ROLE],
    });
    assert_says(&permissions.document(), &json!([assume]));
    permissions.session_tags = true;
    let tags = json!({
        "Sid": "PassSessionTags",
        "Effect": "Allow",
        "Action": ["sts:TagSession"],
        "Resource": [ROLE],
    });
    assert_says(&permissions.document(), &json!([assume, tags]));
}

#[test]
fn equal_rights_are_the_same_bytes() {
    let document = |arns: &[&str]| {
        let permissions = Permissions {
            pools: pools(arns),
            ..Permissions::default()
        };
        permissions.document().to_string()
    };
    assert_eq!(
        document(&[POOL, OTHER_POOL]),
        document(&[OTHER_POOL, POOL, POOL])
    );
}

#[test]
fn irsa_trusts_one_service_account_by_subject_and_audience() {
    let issuer = "oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE";
    let provider = format!("arn:aws:iam::111122223333:oidc-provider/{issuer}");
    let trust = Trust::Irsa {
        provider: OidcProviderArn::parse(&provider).expect("a provider's"),
        service_account: operator(),
    };
    let mut conditions = serde_json::Map::new();
    conditions.insert(
        format!("{issuer}:sub"),
        json!("system:serviceaccount:auth:passwords"),
    );
    conditions.insert(format!("{issuer}:aud"), json!("sts.amazonaws.com"));
    assert_says(
        &trust.document(),
        &json!([{
            "Sid": "TrustServiceAccount",
            "Effect": "Allow",
            "Principal": { "Federated": provider },
            "Action": ["sts:AssumeRoleWithWebIdentity"],
            "Condition": { "StringEquals": conditions },
        }]),
    );
}

#[test]
fn pod_identity_is_trusted_for_one_service_account_and_where_asked_one_cluster() {
    let cluster = "arn:aws:eks:eu-west-1:111122223333:cluster/one";
    let says = |conditions: Value| {
        json!([{
            "Sid": "TrustPodIdentity",
            "Effect": "Allow",
            "Principal": { "Service": "pods.eks.amazonaws.com" },
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": { "StringEquals": conditions },
        }])
    };
    let trust = |cluster| Trust::PodIdentity {
        service_account: operator(),
        cluster,
    };
    assert_says(
        &trust(None).document(),
        &says(json!({
            "aws:RequestTag/kubernetes-namespace": "auth",
            "aws:RequestTag/kubernetes-service-account": "passwords",
        })),
    );
    let one = ClusterArn::parse(cluster).expect("a cluster's");
    assert_says(
        &trust(Some(one)).document(),
        &says(json!({
            "aws:RequestTag/eks-cluster-arn": cluster,
            "aws:RequestTag/kubernetes-namespace": "auth",
            "aws:RequestTag/kubernetes-service-account": "passwords",
        })),
    );
}

#[test]
fn a_grants_role_trusts_the_operators_by_session_name_and_external_id() {
    let trust = |external_id: Option<&str>, session_tags| Trust::Operator {
        role: role(OWN_ROLE),
        external_id: external_id.map(str::to_owned),
        session_tags,
    };
    let assume = |conditions: Value| {
        json!({
            "Sid": "TrustOperator",
            "Effect": "Allow",
            "Principal": { "AWS": OWN_ROLE },
            "Action": ["sts:AssumeRole"],
            "Condition": { "StringEquals": conditions },
        })
    };
    let session = json!({ "sts:RoleSessionName": "cognito-password-operator" });
    assert_says(&trust(None, false).document(), &json!([assume(session)]));
    let both = json!({
        "sts:ExternalId": "team-a",
        "sts:RoleSessionName": "cognito-password-operator",
    });
    let tags = json!({
        "Sid": "TakeSessionTags",
        "Effect": "Allow",
        "Principal": { "AWS": OWN_ROLE },
        "Action": ["sts:TagSession"],
    });
    assert_says(
        &trust(Some("team-a"), true).document(),
        &json!([assume(both), tags]),
    );
}
