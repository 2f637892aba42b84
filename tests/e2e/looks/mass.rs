//! A reset of a whole pool looks deliberate, so `Correct` does not undo it.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{FIRST, TWO_LOOKS, add_user, all, backdate, message, start, wait_ready};
use crate::support::eventually;
use crate::world::World;

const OWN_POOL: &str = "eu-west-1_MassReset";
const USERS: usize = 500;

/// How many users of a pool the operator corrects within an hour.
const CORRECTIONS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn of_500_users_who_were_reset_ten_are_corrected_and_the_rest_waits_for_a_person() {
    let world = World::new("mass-reset").await;
    let cognito = &world.cognito;
    let names: Vec<_> = (0..USERS)
        .map(|number| format!("bot-{number:03}"))
        .collect();
    world.apply_secret("shared", "password", FIRST).await;
    for batch in names.chunks(50) {
        all(batch.iter().map(async |name| {
            add_user(&world, (OWN_POOL, name));
            let change = |resource: &mut Value| {
                resource["spec"]["userPoolId"] = json!(OWN_POOL);
                resource["spec"]["passwordSecretRef"]["name"] = json!("shared");
            };
            world.apply_resource(name, change).await;
        }))
        .await;
    }
    let operator = start(&world, &[]).await;
    for name in &names {
        wait_ready(&world, name, "True", "PasswordSet").await;
    }
    drop(operator);
    for batch in names.chunks(50) {
        let ago = SignedDuration::from_hours(1);
        all(batch
            .iter()
            .map(|name| backdate(&world, name, (OWN_POOL, name), ago)))
        .await;
    }
    for name in &names {
        cognito.reset_user(OWN_POOL, name);
    }
    let operator = start(&world, &["--drift=correct"]).await;
    let corrected = "cognito_password_operator_corrections_total";
    let ready = "cognito_password_operator_resources";
    eventually(TWO_LOOKS, async || {
        let reset = operator.metric(ready, &[("reason", "PasswordReset")]).await;
        let made = operator.metric(corrected, &[]).await;
        let (reset, made) = (reset.to_string(), made.to_string());
        let wanted = (USERS - CORRECTIONS, CORRECTIONS);
        if (reset.clone(), made.clone()) == (wanted.0.to_string(), wanted.1.to_string()) {
            return Ok(());
        }
        Err(format!("{reset} are reset, and {made} were corrected"))
    })
    .await;
    world.fence().await;
    assert_eq!(
        cognito.call_count(),
        USERS + CORRECTIONS + 2,
        "the fence's two"
    );

    let sets = |name: &str| cognito.calls_for(OWN_POOL, name).len();
    let (again, left): (Vec<_>, Vec<_>) = names.iter().partition(|name| sets(name) == 2);
    assert_eq!(
        (again.len(), left.len()),
        (CORRECTIONS, USERS - CORRECTIONS)
    );
    for name in again {
        wait_ready(&world, name, "True", "PasswordSet").await;
        assert!(cognito.can_sign_in((OWN_POOL, name), FIRST), "{name}");
    }
    for name in &left {
        let resource = wait_ready(&world, name, "False", "PasswordReset").await;
        let said = message(&resource, "Ready");
        assert!(said.contains("looks deliberate"), "{said}");
        assert_eq!(cognito.password_of(OWN_POOL, name), None);
    }
    // Who asks for a set gets one.
    world.request(left[0], "one").await;
    wait_ready(&world, left[0], "True", "PasswordSet").await;
    assert_eq!(sets(left[0]), 2);
}
