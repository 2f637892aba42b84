//! Error texts of Cognito and of STS that are too long, or contain characters that mislead a reader.

use super::{assert_legible, assert_unharmed};
use crate::support::{Failure, Fault, condition, eventually, grants};
use crate::world::{POOL, SOON, World};

const ROLE: &str = "arn:aws:iam::111122223333:role/words";

/// A text of a million bytes with control characters, which contains the password.
fn words() -> String {
    let mark = "\u{202e}\u{7}\r\n\u{200b}told-1-Pw é";
    mark.repeat(980_000 / mark.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_million_characters_from_cognito_is_truncated() {
    let world = World::new("words").await;
    let operator = world.operator().await;
    let failure = Failure::new(400, "InvalidParameterException", &words());
    let odd = Failure::new(400, &"\u{202e}Odd#:\n".repeat(500), &words());
    for (name, failure, status, reason) in [
        ("stalled", failure, "False", "InvalidParameter"),
        ("odd", odd, "Unknown", "UnhandledError"),
    ] {
        world.cognito.add_user(POOL, name);
        world
            .cognito
            .always_for((POOL, name), Fault::Error(failure));
        world.apply_secret(name, "password", "told-1-Pw").await;
        world.apply_resource(name, |_| ()).await;
        let said = world.wait(name, status, reason).await;
        let ready = condition(&said, "Ready").expect("it is there");
        assert_legible(ready["message"].as_str().expect("a text"), 8_192);
        let events = eventually(SOON, async || {
            let events = world.events(name, reason).await;
            if events.is_empty() {
                Err("no event")
            } else {
                Ok(events)
            }
            .map_err(str::to_owned)
        });
        for event in events.await {
            assert_legible(event.message.as_deref().expect("a text"), 1_024);
        }
    }
    world.in_sync("bot", "bot-1-Pw").await;
    assert_unharmed(&operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_million_characters_from_sts_is_truncated() {
    let (world, _turn) = World::alone("words-of-sts").await;
    world
        .cognito
        .refuse_role(ROLE, "\u{202e}AccessDenied", &words());
    world
        .grant(|grant| grant["spec"]["roleArn"] = ROLE.into())
        .await;
    let operator = world.cluster_wide().start().await;
    operator.wait_ready(SOON).await;
    world
        .apply_secret("without-role", "password", "told-1-Pw")
        .await;
    world.apply_resource("without-role", |_| ()).await;
    let said = world
        .wait("without-role", "False", "InvalidCredentials")
        .await;
    let ready = condition(&said, "Ready").expect("it is there");
    assert_legible(ready["message"].as_str().expect("a text"), 8_192);
    let told = eventually(SOON, async || {
        let grant = grants(&world.client).get(&world.namespace).await;
        let grant = grant.map_err(|error| error.to_string())?;
        let ready = condition(&grant, "Ready").filter(|ready| ready["status"] == "False");
        let message = ready.and_then(|ready| ready["message"].as_str().map(str::to_owned));
        message.ok_or_else(|| grant.data["status"].to_string())
    });
    assert_legible(&told.await, 8_192);
    assert!(world.cognito.calls().is_empty());
    assert_unharmed(&operator).await;
    world.revoke().await;
}
