//! The namespaces in which the operator acts: all, or only those of `--watch-namespaces`.

use crate::world::{POOL, SOON, World, line};

#[tokio::test]
async fn only_the_named_namespaces_are_watched() {
    let one = World::new("one").await;
    let two = one.neighbour("two").await;
    let other = one.neighbour("other").await;
    let operator = one
        .cluster_wide()
        .namespaces(&[&one.namespace, &two.namespace])
        .start()
        .await;
    operator.wait_ready(SOON).await;
    let mark = one.mark();
    for (world, name) in [(&other, "stranger"), (&one, "bot-one"), (&two, "bot-two")] {
        world.cognito.add_user(POOL, name);
        world.apply_secret(name, "password", "First-Passw0rd").await;
        world.apply_resource(name, |_| ()).await;
    }
    for (world, name) in [(&one, "bot-one"), (&two, "bot-two")] {
        world.wait_set(name, "First-Passw0rd").await;
        world
            .apply_secret(name, "password", "Second-Passw0rd")
            .await;
        world.wait_set(name, "Second-Passw0rd").await;
    }

    other.assert_calls("stranger", &[]).await;
    let mut requests = one.requests(mark);
    requests.retain(|request| {
        let namespace = request.pointer("/objectRef/namespace");
        namespace != Some(&one.namespace.clone().into())
            && namespace != Some(&two.namespace.clone().into())
    });
    let requests: Vec<_> = requests.iter().map(line).collect();
    assert_eq!(requests, Vec::<String>::new(), "outside of the two");
}

#[tokio::test]
async fn all_namespaces_and_later_ones_are_watched_if_none_is_named() {
    let (before, _turn) = World::alone("before").await;
    before.cognito.add_user(POOL, "bot-before");
    before
        .apply_secret("bot-before", "password", "First-Passw0rd")
        .await;
    before.apply_resource("bot-before", |_| ()).await;
    let operator = before.cluster_wide().start().await;
    operator.wait_ready(SOON).await;
    before.wait_set("bot-before", "First-Passw0rd").await;

    let after = before.neighbour("after").await;
    after.in_sync("bot-after", "First-Passw0rd").await;
    for (world, name) in [(&before, "bot-before"), (&after, "bot-after")] {
        world
            .apply_secret(name, "password", "Second-Passw0rd")
            .await;
        world.wait_set(name, "Second-Passw0rd").await;
    }
    // Resources of the same name in two namespaces do not affect each other.
    let twin = before.neighbour("twin").await;
    twin.apply_secret("bot-after", "password", "Of-A-Namesake")
        .await;
    before.fence().await;
    after
        .assert_calls("bot-after", &["First-Passw0rd", "Second-Passw0rd"])
        .await;
}
