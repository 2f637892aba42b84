//! Without the fields, nothing of the looks is there: no call, no right, no field, no write.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{FIRST, SECOND, User, add_user, apply, backdate, start, user, wait_passes, wait_ready};
use crate::support::{Operation, Origin, condition};
use crate::world::{POOL, World};

/// The only resource with a field of the looks, in a pool of its own.
const LOOKED_AT: User = user("looked-at", "eu-west-1_LookedAt", "Report");

#[tokio::test(flavor = "multi_thread")]
async fn without_the_fields_no_call_no_status_field_and_no_write_is_new() {
    const BOTS: [&str; 4] = ["kept", "rotated", "temporary", "ignored"];
    let world = World::new("silence").await;
    let cognito = &world.cognito;
    let operator = start(&world, &[]).await;
    let mark = world.mark();
    for name in BOTS {
        add_user(&world, (POOL, name));
        let drift = if name == "ignored" { "Ignore" } else { "" };
        let temporary = |resource: &mut Value| {
            resource["spec"]["permanent"] = json!(name != "temporary");
        };
        apply(&world, &user(name, POOL, drift), temporary).await;
        wait_ready(&world, name, "True", "PasswordSet").await;
    }
    world.apply_secret("rotated", "password", SECOND).await;
    world.wait_set("rotated", SECOND).await;
    world.request("rotated", "one").await;
    world
        .wait_for("rotated", "the request answered", |bot| {
            bot.data["status"]["lastHandledReconcileAt"] == "one"
                && condition(bot, "Ready").is_some_and(|ready| ready["status"] == "True")
        })
        .await;
    world.fence().await;
    let sets = BOTS.len() + 2;
    let writes = world.status_writes(mark);
    assert_eq!(writes.len(), 2 * sets, "{writes:#?}");
    drop(operator);

    // Whatever others do, nobody looks: in the time in which the operator looks at another pool.
    for name in BOTS {
        backdate(
            &world,
            name,
            (POOL, name),
            SignedDuration::from_hours(24 * 8),
        )
        .await;
    }
    cognito.reset_user(POOL, "kept");
    cognito.recreate_user(POOL, "rotated", Origin::SignUp);
    cognito.delete_user(POOL, "ignored");
    let set = "cognito-idp:AdminSetUserPassword";
    let own = "sts:GetCallerIdentity";
    let actions = cognito.actions();
    assert!(actions.contains(set), "{actions:?}");
    assert!(
        actions.iter().all(|action| action == set || action == own),
        "{actions:?}"
    );
    add_user(&world, LOOKED_AT.key());
    apply(&world, &LOOKED_AT, |_| ()).await;
    let operator = start(&world, &[]).await;
    wait_ready(&world, LOOKED_AT.name, "True", "PasswordSet").await;
    backdate(
        &world,
        LOOKED_AT.name,
        LOOKED_AT.key(),
        SignedDuration::from_hours(1),
    )
    .await;
    let mark = world.mark();
    wait_passes(&operator, &[LOOKED_AT.pool]).await;
    world.fence().await;
    let elsewhere: Vec<_> = (cognito.list_calls().into_iter())
        .filter(|call| call.pool != LOOKED_AT.pool)
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    assert_eq!(cognito.count_of(Operation::AdminUserGlobalSignOut), 0);
    assert_eq!(cognito.count_of(Operation::DescribeUserPool), 0);
    let names = |write: &Value| write.pointer("/objectRef/name") != Some(&json!(LOOKED_AT.name));
    let mut writes = world.status_writes(mark);
    writes.retain(names);
    assert!(writes.is_empty(), "{writes:#?}");
    let known = [
        "conditions",
        "observedGeneration",
        "synced",
        "lastHandledReconcileAt",
        "retired",
    ];
    for name in BOTS {
        let resource = wait_ready(&world, name, "True", "PasswordSet").await;
        let status = resource.data["status"]
            .as_object()
            .expect("a status")
            .clone();
        let new: Vec<_> = status
            .keys()
            .filter(|key| !known.contains(&&***key))
            .collect();
        assert!(new.is_empty(), "{name}: {new:?}");
        assert!(condition(&resource, "Verified").is_none(), "{name}");
        let value = if name == "rotated" { SECOND } else { FIRST };
        let log = cognito.calls_for(POOL, name);
        assert!(log.iter().any(|call| call.password == value), "{name}");
    }
}
