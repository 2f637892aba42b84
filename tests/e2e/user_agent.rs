//! The user agent by which the API server's audit log shows the operator's requests.

use super::world::World;

#[tokio::test]
async fn the_audit_log_names_the_operator_and_its_version() {
    let world = World::new("user-agent").await;
    let since = world.mark();
    let operator = world.operator().await;
    world.in_sync("bot", "First-Passw0rd").await;
    let requests = world.requests(since);
    for verb in ["watch", "get", "patch"] {
        let some = requests.iter().any(|request| request["verb"] == verb);
        assert!(some, "no {verb}: {requests:#?}");
    }
    let agent = concat!("cognito-password-operator/", env!("CARGO_PKG_VERSION"));
    for request in requests {
        assert_eq!(request["userAgent"], agent, "{request:#}");
    }
    drop(operator);
}
