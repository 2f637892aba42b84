//! The policies that `iam-policy` prints are what the operator needs. An IAM enforces them: with these rights
//! the operator sets passwords, and uses each of the rights. Each [`World`] checks at its end that no other
//! action was called.

use std::collections::BTreeSet;
use std::process::Command;

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};

use crate::looks::backdate;
use crate::support::{AccessKey, Moto, Operator, OperatorBuilder, SignIn, condition, scratch};
use crate::world::World;

/// moto's only account.
const ACCOUNT: &str = "123456789012";

/// A document of `iam-policy`.
fn printed(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_cognito-password-operator"))
        .arg("iam-policy")
        .args(args)
        .output()
        .expect("it can be started");
    assert!(output.status.success(), "{args:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

/// The policy without the pools, because moto's IAM has no pools as resources.
fn for_moto(mut policy: Value) -> String {
    for statement in policy["Statement"].as_array_mut().into_iter().flatten() {
        let of_pools = ["SetPasswords", "SeeUsers", "RevokeSessions", "ReadPool"];
        if of_pools.iter().any(|sid| statement["Sid"] == *sid) {
            statement["Resource"] = json!("*");
        }
    }
    policy.to_string()
}

fn actions(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().into_iter().flatten();
    statements
        .flat_map(|statement| statement["Action"].as_array().into_iter().flatten())
        .filter_map(|action| action.as_str().map(str::to_owned))
        .collect()
}

/// A moto with one user in one pool, and a resource for that user.
struct Scene {
    moto: Moto,
    world: World<'static>,
    pool: String,
    application: String,
}

impl Scene {
    async fn new(prefix: &str) -> Self {
        Self::on(World::new(prefix).await).await
    }

    async fn on(world: World<'static>) -> Self {
        Self::with(world, |_| ()).await
    }

    /// A scene whose resource has this change.
    async fn with(world: World<'static>, change: impl FnOnce(&mut Value)) -> Self {
        let moto = Moto::start().await;
        let (pool, application) = moto.create_pool(&world.namespace, 8).await;
        moto.create_user(&pool, "ci-bot").await;
        world
            .apply_secret("ci-bot", "password", "First-Passw0rd")
            .await;
        let in_pool = |resource: &mut Value| {
            resource["spec"]["userPoolId"] = json!(pool);
            change(resource);
        };
        world.apply_resource("ci-bot", in_pool).await;
        Self {
            moto,
            world,
            pool,
            application,
        }
    }

    fn pool_arn(&self) -> String {
        format!(
            "arn:aws:cognito-idp:us-east-1:{ACCOUNT}:userpool/{}",
            self.pool
        )
    }

    /// Starts an operator whose only identity is this profile file.
    async fn operator(&self, builder: OperatorBuilder<'_>, profiles: &str) -> Operator {
        let file = scratch("profiles").join("config");
        std::fs::write(&file, profiles).expect("a file");
        let builder = builder.no_credentials();
        let builder = builder.env("AWS_CONFIG_FILE", file.to_string_lossy());
        builder
            .cognito(self.moto.url())
            .env("AWS_ENDPOINT_URL_STS", self.moto.url())
            .start()
            .await
    }

    async fn signs_in_with(&self, password: &str) -> SignIn {
        let (pool, application) = (&self.pool, &self.application);
        self.moto
            .sign_in(pool, application, "ci-bot", password)
            .await
    }

    /// The actions that the operator called. `GetCallerIdentity` is left out, because every identity may call
    /// that action.
    async fn asked(&self) -> BTreeSet<String> {
        let asked = self.moto.asked().await.into_iter();
        asked
            .filter(|asked| asked.access_key != "test")
            .map(|asked| asked.action)
            .filter(|action| action != "sts:GetCallerIdentity")
            .collect()
    }
}

fn profile(key: &AccessKey) -> String {
    let AccessKey { id, secret } = key;
    format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
}

#[tokio::test]
async fn with_the_rights_that_are_printed_passwords_are_set_and_each_right_is_used() {
    let scene = Scene::new("iam-policy").await;
    let policy = printed(&["--pool-arn", &scene.pool_arn()]);
    let rights = for_moto(policy.clone());
    let key = scene.moto.iam_user("operator", &rights).await;
    scene.moto.enforce_iam().await;
    let profile = format!("[default]\n{}", profile(&key));
    let _operator = scene.operator(scene.world.builder(), &profile).await;
    scene.world.wait("ci-bot", "True", "PasswordSet").await;
    assert_eq!(scene.signs_in_with("First-Passw0rd").await, SignIn::Ok);
    assert_eq!(scene.asked().await, actions(&policy));
}

#[rstest]
#[case::drift("--drift", json!({ "drift": "Report" }), "ListUsers")]
#[case::sessions("--revoke-sessions", json!({ "revokeSessions": true }), "AdminUserGlobalSignOut")]
#[tokio::test]
async fn each_switch_gives_the_right_that_its_field_needs(
    #[case] switch: &str,
    #[case] fields: Value,
    #[case] action: &str,
) {
    let world = World::new("iam-switch").await;
    let with_fields = |resource: &mut Value| {
        for (field, value) in fields.as_object().into_iter().flatten() {
            resource["spec"][field] = value.clone();
        }
    };
    let scene = Scene::with(world, with_fields).await;
    let without = printed(&["--pool-arn", &scene.pool_arn()]);
    let policy = printed(&["--pool-arn", &scene.pool_arn(), switch]);
    let more: Vec<_> = actions(&policy)
        .difference(&actions(&without))
        .cloned()
        .collect();
    assert_eq!(more, [format!("cognito-idp:{action}")]);
    let rights = for_moto(policy.clone());
    let key = scene.moto.iam_user("operator", &rights).await;
    scene.moto.enforce_iam().await;
    let profile = format!("[default]\n{}", profile(&key));
    let _operator = scene.operator(scene.world.builder(), &profile).await;
    scene.world.wait("ci-bot", "True", "PasswordSet").await;
    assert_eq!(scene.signs_in_with("First-Passw0rd").await, SignIn::Ok);
    assert_eq!(scene.asked().await, actions(&policy));
}

/// The policy of a pool is read only for a temporary password that is older than a day.
#[tokio::test]
async fn two_switches_give_the_rights_to_look_at_a_temporary_password_that_may_have_expired() {
    let world = World::new("iam-expiry").await;
    let temporary = |resource: &mut Value| {
        resource["spec"]["drift"] = json!("Report");
        resource["spec"]["permanent"] = json!(false);
    };
    let scene = Scene::with(world, temporary).await;
    let switches = ["--drift", "--temporary-expiry"];
    let policy = printed(&[&["--pool-arn", &scene.pool_arn()][..], &switches].concat());
    let rights = for_moto(policy.clone());
    let key = scene.moto.iam_user("operator", &rights).await;
    scene.moto.enforce_iam().await;
    let profile = format!("[default]\n{}", profile(&key));
    let world = &scene.world;
    let operator = scene.operator(world.builder(), &profile).await;
    world.wait("ci-bot", "True", "PasswordSet").await;
    assert_ne!(scene.asked().await, actions(&policy), "not yet");
    drop(operator);
    backdate(world, "ci-bot", SignedDuration::from_hours(48)).await;
    let _operator = scene.operator(world.builder(), &profile).await;
    world
        .wait_for("ci-bot", "looked at", |bot| {
            condition(bot, "Verified").is_some_and(|verified| verified["status"] == "True")
        })
        .await;
    assert_eq!(scene.asked().await, actions(&policy));
}

#[tokio::test]
async fn without_the_right_to_set_passwords_none_is_set() {
    let scene = Scene::new("iam-denied").await;
    let role = format!("arn:aws:iam::{ACCOUNT}:role/other");
    let rights = printed(&["--assume-role-arn", &role]).to_string();
    let key = scene.moto.iam_user("operator", &rights).await;
    scene.moto.enforce_iam().await;
    let profile = format!("[default]\n{}", profile(&key));
    let _operator = scene.operator(scene.world.builder(), &profile).await;
    // moto refuses in XML, and Cognito's protocol is JSON.
    let world = &scene.world;
    world.wait("ci-bot", "Unknown", "UnhandledError").await;
    assert_ne!(scene.signs_in_with("First-Passw0rd").await, SignIn::Ok);
}

#[tokio::test]
async fn with_the_rights_that_are_printed_for_roles_one_is_assumed_and_each_right_is_used() {
    let (world, _turn) = World::alone("iam-roles").await;
    let scene = Scene::on(world).await;
    let moto = &scene.moto;
    // A trust policy needs an existing principal. The operator's policy needs the ARN of the role, which is
    // known beforehand.
    let role = format!("arn:aws:iam::{ACCOUNT}:role/passwords");
    let own = printed(&["--assume-role-arn", &role]);
    let key = moto.iam_user("operator", &own.to_string()).await;
    let operator = format!("arn:aws:iam::{ACCOUNT}:role/operator");
    let trust = [
        "trust",
        "operator",
        "--operator-role-arn",
        &operator,
        "--external-id",
        "team-a",
    ];
    // Without EKS, the operator is a user here; `iam-policy` prints trust for a role.
    let mut trust = printed(&trust);
    let user = format!("arn:aws:iam::{ACCOUNT}:user/operator");
    trust["Statement"][0]["Principal"]["AWS"] = json!(user);
    let pools = printed(&["--pool-arn", &scene.pool_arn()]);
    let rights = for_moto(pools.clone());
    let made = moto
        .iam_role("passwords", &trust.to_string(), &rights)
        .await;
    assert_eq!(made, role);
    moto.enforce_iam().await;
    let by_role = |grant: &mut Value| {
        grant["spec"]["userPoolId"] = json!(scene.pool);
        grant["spec"]["roleArn"] = json!(role);
        grant["spec"]["externalId"] = json!("team-a");
    };
    scene.world.grant(by_role).await;
    let profile = format!("[default]\n{}", profile(&key));
    let _operator = scene.operator(scene.world.cluster_wide(), &profile).await;
    scene.world.wait("ci-bot", "True", "PasswordSet").await;
    assert_eq!(scene.signs_in_with("First-Passw0rd").await, SignIn::Ok);
    let rights: BTreeSet<_> = actions(&own).union(&actions(&pools)).cloned().collect();
    assert_eq!(scene.asked().await, rights);
}
