//! The operator's identity, its rights, and its way to AWS.

use cognito_password_operator::api::Reason;
use serde_json::{Value, json};

use super::scene::{OLD, Scene, admit, claim};
use crate::closed_port::ClosedPort;
use crate::support::{Fault, OWN_ACCOUNT, pool_arn};

/// In Regions of their own: refused credentials stop all calls in a Region for a while.
const DENIED: &str = "eu-west-3_Denied";
const EXPIRED: &str = "eu-north-1_Expired";
const BY_ROLE: &str = "eu-south-1_ByRole";
const AWAY: &str = "eu-central-1_Away";

/// In no Region of AWS.
const LOCAL: &str = "local_2aBcDeF";

/// The pools of these stories.
pub(super) fn prepare(scene: &Scene) {
    for pool in [DENIED, EXPIRED, AWAY] {
        admit(&scene.world, pool, |_| ());
    }
}

/// The proxy refuses connections. Of what opens it again, no command can be printed.
pub(super) async fn unreachable(scene: &Scene, port: ClosedPort) {
    scene.user("away", AWAY, |_| ()).await;
    let case = scene.case("away", Reason::Unreachable);
    let case = case
        .explained(&["can't reach Cognito", "Connection refused"])
        .await;
    case.says("reach cognito-idp.eu-central-1.amazonaws.com:443");
    case.apply(&["kubectl get networkpolicies", "kubectl set env"])
        .await;
    assert_eq!(scene.world.cognito.password_of(AWAY, "away"), None);
    scene.open(port);
    case.cured().await;
}

/// No grant names the pool, and the operator needs none for such a pool. A person knows the Region.
pub(super) async fn no_region(scene: &Scene) {
    scene.user("local", LOCAL, |_| ()).await;
    let case = scene.case("local", Reason::UnknownRegion);
    let words = "local_2aBcDeF names no AWS Region";
    let case = case.explained(&[words]).await;
    case.fill_in("kubectl create -f -", ("REGION", "eu-west-1"))
        .await;
    case.cured().await;
    let calls = scene.world.cognito.calls_for(LOCAL, "local");
    assert!(
        calls.iter().all(|it| it.region == "eu-west-1"),
        "{calls:#?}"
    );
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;

/// IAM refuses the set. The cure adds a policy to the role that AWS's words name. moto keeps the role; Cognito accepts
/// the set as soon as a policy of the role allows it on the pool.
pub(super) async fn no_right(scene: &Scene) {
    let user = (DENIED, "denied");
    let role = format!("passwords-{}", scene.world.namespace);
    make_role(scene, &role).await;
    let arn = pool_arn(DENIED);
    let action = "cognito-idp:AdminSetUserPassword";
    let words = format!(
        "User: arn:aws:sts::123456789012:assumed-role/{role}/session is not authorized to perform: \
         {action} on resource: {arn} because no identity-based policy allows the {action} action"
    );
    let fault = Fault::error("AccessDeniedException", &words);
    scene.world.cognito.always_for(user, fault);
    scene.user(user.1, user.0, |_| ()).await;
    let case = scene.case(user.1, Reason::AccessDenied);
    let case = case.explained(&[action, &role]).await;
    assert!(!allows(scene, &role, action, &arn).await, "not yet");
    case.apply(&["aws iam put-role-policy"]).await;
    assert!(allows(scene, &role, action, &arn).await, "by the cure");
    scene.script().heal_for(user);
    case.apply(&["requestedAt="]).await;
    case.cured().await;
}

async fn make_role(scene: &Scene, role: &str) {
    let trust = [("RoleName", role), ("AssumeRolePolicyDocument", TRUST)];
    scene.moto.iam("CreateRole", &trust).await;
}

/// Whether a policy of moto's role allows the action on this resource.
async fn allows(scene: &Scene, role: &str, action: &str, resource: &str) -> bool {
    let list = format!("aws iam list-role-policies --role-name {role} --query PolicyNames");
    let names: Vec<String> = serde_json::from_str(&scene.run(&list).await).expect("a list");
    let has = |field: &Value, wanted: &str| match field {
        Value::Array(all) => all.iter().any(|it| it == wanted),
        one => one == wanted,
    };
    for name in names {
        let get = format!(
            "aws iam get-role-policy --role-name {role} --policy-name {name} --query PolicyDocument"
        );
        let policy: Value = serde_json::from_str(&scene.run(&get).await).expect("a policy");
        let statements = policy["Statement"].as_array().into_iter().flatten();
        let mut allowing = statements.filter(|it| {
            it["Effect"] == "Allow" && has(&it["Action"], action) && has(&it["Resource"], resource)
        });
        if allowing.next().is_some() {
            return true;
        }
    }
    false
}

/// The operator's own credentials have expired. Of what gives a pod new credentials, no command can run here: there
/// are no pods.
pub(super) async fn expired(scene: &Scene) {
    let user = (EXPIRED, "expired");
    let fault = Fault::error("ExpiredTokenException", "The token is expired");
    scene.world.cognito.always_for(user, fault);
    scene.user(user.1, user.0, |_| ()).await;
    let case = scene.case(user.1, Reason::InvalidCredentials);
    let words = "ExpiredTokenException: The token is expired";
    let case = case.explained(&[words]).await;
    let role = ("ROLE_ARN", "arn:aws:iam::999988887777:role/operator");
    case.fill_in("kubectl annotate serviceaccount", role).await;
    case.apply(&["kubectl rollout restart deployment/cognito-password-operator"])
        .await;
    scene.script().heal_for(user);
    case.cured().await;
}

/// The trust policy of a grant's role doesn't name the operator. moto keeps the role; STS lets the operator assume the
/// role as soon as the trust policy names the operator's own role.
pub(super) async fn no_trust(scene: &Scene) {
    let world = scene.world.neighbour("cures-role").await;
    let name = format!("team-{}", world.namespace);
    let own = format!("operator-{}", world.namespace);
    let (role, operator) = (
        format!("arn:aws:iam::111122223333:role/{name}"),
        format!("arn:aws:iam::{OWN_ACCOUNT}:role/{own}"),
    );
    make_role(scene, &name).await;
    make_role(scene, &own).await;
    let words = format!(
        "User: arn:aws:sts::{OWN_ACCOUNT}:assumed-role/{own}/session is not authorized to perform: \
         sts:AssumeRole on resource: {role}"
    );
    world.cognito.refuse_role(&role, "AccessDenied", &words);
    admit(&world, BY_ROLE, |it| it["spec"]["roleArn"] = json!(role));
    world.cognito.add_user(BY_ROLE, "by-role");
    claim(&world, "by-role", BY_ROLE, |_| ()).await;
    let case = scene.case_in(&world, "by-role", Reason::InvalidCredentials);
    let case = case
        .explained(&["sts:AssumeRole", &role, "trust policy"])
        .await;
    case.apply(&[
        "aws iam update-assume-role-policy",
        "aws iam put-role-policy",
    ])
    .await;
    assert!(allows(scene, &own, "sts:AssumeRole", &role).await);
    let trust =
        format!("aws iam get-role --role-name {name} --query Role.AssumeRolePolicyDocument");
    let trust = scene.run(&trust).await;
    assert!(trust.contains(&operator), "{trust}");
    world.cognito.allow_role(&role, None);
    case.cured().await;
    let set = world.cognito.password_of(BY_ROLE, "by-role");
    assert_eq!(set.as_deref(), Some(OLD));
}
