//! The address of Cognito: a custom endpoint behind a private CA, and Regions that AWS doesn't have.

use serde_json::{Value, json};

use crate::support::{Moto, SignIn, TlsFront};
use crate::world::{POOL, SOON, World};

/// The example of docs/network.md: the emulator has TLS, and its CA is in `AWS_CA_BUNDLE`.
#[tokio::test]
async fn an_emulator_behind_tls_works_with_its_ca_in_aws_ca_bundle() {
    let world = World::new("emulator-tls").await;
    let moto = Moto::shared().await;
    let front = TlsFront::start(world.plane, &moto.url());
    let (pool, application) = moto.create_pool(&world.namespace, 8).await;
    moto.create_user(&pool, "ci-bot").await;
    let builder = world.builder().cognito(front.url());
    let operator = builder.env("AWS_CA_BUNDLE", front.ca()).start().await;
    operator.wait_ready(SOON).await;

    world
        .apply_secret("ci-bot", "password", "Behind-Tls-Passw0rd")
        .await;
    let of_pool = |resource: &mut Value| resource["spec"]["userPoolId"] = json!(pool);
    world.apply_resource("ci-bot", of_pool).await;
    world.wait("ci-bot", "True", "PasswordSet").await;
    let signed_in = moto.sign_in(&pool, &application, "ci-bot", "Behind-Tls-Passw0rd");
    assert_eq!(signed_in.await, SignIn::Ok);
}

#[tokio::test]
async fn an_endpoint_whose_ca_is_not_trusted_receives_no_request() {
    let world = World::new("stranger").await;
    let front = TlsFront::start(world.plane, &world.cognito.url());
    let operator = world.builder().cognito(front.url()).start().await;
    operator.wait_ready(SOON).await;
    world.cognito.add_user(POOL, "bot");
    world.apply_secret("bot", "password", "Kept-Passw0rd").await;
    world.apply_resource("bot", |_| ()).await;
    let resource = world.wait("bot", "False", "Unreachable").await;
    let said = resource.data["status"]["conditions"][0]["message"].to_string();
    assert!(said.contains("UnknownIssuer"), "{said}");
    world.assert_calls("bot", &[]).await;
}

/// Without a custom endpoint, a pool's Region must be a Region of AWS.
#[tokio::test]
async fn a_pool_in_no_region_is_stalled_and_costs_neither_a_read_nor_a_call() {
    let world = World::new("no-region").await;
    let builder = world
        .builder()
        .env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    world
        .apply_secret("bot", "password", "Unread-Passw0rd")
        .await;
    let mark = world.mark();
    for (name, pool) in [("made-up", "made-up-17_a"), ("local", "local_2aBcDeF")] {
        let change = |resource: &mut Value| {
            resource["spec"]["userPoolId"] = json!(pool);
            resource["spec"]["passwordSecretRef"]["name"] = json!("bot");
        };
        world.apply_resource(name, change).await;
        let resource = world.wait(name, "False", "UnknownRegion").await;
        let stalled = |it: &Value| it["type"] == "Stalled" && it["status"] == "True";
        let conditions = resource.data["status"]["conditions"].as_array();
        assert!(conditions.expect("conditions").iter().any(stalled));
    }
    let traffic = world.traffic(mark);
    assert!(!traffic.contains("get secrets bot"), "{traffic:#?}");
}

/// With a custom endpoint, the operator calls the same pools like any others.
#[tokio::test]
async fn an_emulators_pool_needs_no_region_of_aws() {
    const LOCAL: &str = "local_2aBcDeF";
    let world = World::new("local-pool").await;
    let _operator = world.operator().await;
    world.cognito.add_user(LOCAL, "bot");
    world
        .apply_secret("bot", "password", "Local-Passw0rd")
        .await;
    let of_pool = |resource: &mut Value| resource["spec"]["userPoolId"] = json!(LOCAL);
    world.apply_resource("bot", of_pool).await;
    world.wait("bot", "True", "PasswordSet").await;
    let set = world.cognito.password_of(LOCAL, "bot");
    assert_eq!(set.as_deref(), Some("Local-Passw0rd"));
}
