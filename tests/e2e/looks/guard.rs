//! The first set waits for one look, because the name may belong to a stranger.

use serde_json::json;

use super::{
    FIRST, LIST, SECOND, User, add_user, apply, sent, start, user, wait_ready, wait_verified,
};
use crate::support::{Fault, FaultServer, Origin, UserStatus};
use crate::world::{POOL, World};

const SIGNED_UP: User = user("signed-up", POOL, "Report");
const CONFIRMED: User = user("confirmed", POOL, "Report");
const FEDERATED: User = user("federated", POOL, "Correct");
/// Somebody mends this user after the guard has refused the set.
const MENDED: User = user("mended", POOL, "Report");
const UNGUARDED: User = user("unguarded", POOL, "");
const UNSEEN: User = user("unseen", POOL, "Report");
const MISSING: [User; 3] = [
    user("missing-then-signed-up", POOL, "Report"),
    user("missing-then-confirmed", POOL, "Report"),
    user("missing-then-made", POOL, "Report"),
];
const DENIED: User = user("denied", "eu-west-1_Denied", "Report");
const THROTTLED: User = user("throttled", "eu-north-1_Throttled", "Report");
const HANGING: User = user("hanging", "eu-central-1_Hanging", "Report");

fn status(cognito: &FaultServer, user: &User) -> Option<UserStatus> {
    let state = cognito.user_state(user.pool, user.name)?;
    Some(state.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_set_is_not_made_for_a_user_who_may_be_a_stranger() {
    let world = World::new("guard").await;
    let cognito = &world.cognito;
    cognito.add_pool(POOL);
    for user in [SIGNED_UP, MENDED, UNGUARDED] {
        cognito.recreate_user(user.pool, user.name, Origin::SignUp);
    }
    cognito.recreate_user(POOL, CONFIRMED.name, Origin::ConfirmedSignUp);
    for user in [FEDERATED, UNSEEN, DENIED, THROTTLED, HANGING] {
        add_user(&world, user.key());
    }
    cognito.make_federated(POOL, FEDERATED.name);
    cognito.of(LIST).always_in(DENIED.pool, Fault::denied(LIST));
    cognito
        .of(LIST)
        .always_in(THROTTLED.pool, Fault::throttled());
    cognito.of(LIST).always_in(HANGING.pool, Fault::HangBefore);
    cognito.of(LIST).next_for(UNSEEN.key(), [Fault::DropAfter]);
    let all = [
        SIGNED_UP, MENDED, CONFIRMED, FEDERATED, UNGUARDED, UNSEEN, DENIED, THROTTLED, HANGING,
    ];
    for user in all.iter().chain(&MISSING) {
        apply(&world, user, |_| ()).await;
    }
    let _operator = start(&world, &[]).await;

    // Who signed up and is not confirmed would be confirmed by a set.
    wait_ready(&world, SIGNED_UP.name, "False", "UserUnconfirmed").await;
    wait_ready(&world, FEDERATED.name, "False", "FederatedUser").await;
    // With Ignore, nobody looks.
    wait_ready(&world, UNGUARDED.name, "True", "PasswordSet").await;
    assert_eq!(status(cognito, &UNGUARDED), Some(UserStatus::Confirmed));
    // Nothing tells a user who signed up and confirmed long ago from a user of this resource.
    wait_ready(&world, CONFIRMED.name, "True", "PasswordSet").await;
    // The guard is no lock: a look that fails holds no first set back.
    for user in [UNSEEN, DENIED, THROTTLED, HANGING] {
        wait_ready(&world, user.name, "True", "PasswordSet").await;
    }
    let said = wait_verified(&world, DENIED.name, "Unknown", "AccessDenied").await;
    assert!(
        said.contains("cognito-idp:ListUsers on the user pool"),
        "{said}"
    );
    wait_verified(&world, THROTTLED.name, "Unknown", "TooManyRequests").await;
    wait_verified(&world, HANGING.name, "Unknown", "Unreachable").await;
    for user in &MISSING {
        wait_ready(&world, user.name, "False", "UserNotFound").await;
    }

    // Nobody is asked again without a reason: not for another value, which a program may have written, and not for
    // a changed spec, which leads to a look.
    world.apply_secret(SIGNED_UP.name, "password", SECOND).await;
    world.fence().await;
    assert_eq!(sent(&world, SIGNED_UP.key()), [""; 0]);
    assert_eq!(status(cognito, &SIGNED_UP), Some(UserStatus::Unconfirmed));
    world.request(FEDERATED.name, "one").await;
    world.fence().await;
    assert_eq!(sent(&world, FEDERATED.key()), [""; 0], "no request helps");

    // A request is a person's word for a user who isn't confirmed, once.
    world.request(SIGNED_UP.name, "one").await;
    wait_ready(&world, SIGNED_UP.name, "True", "PasswordSet").await;
    assert_eq!(sent(&world, SIGNED_UP.key()), [SECOND]);
    assert_eq!(status(cognito, &SIGNED_UP), Some(UserStatus::Confirmed));
    let allow = json!({ "spec": { "federatedUser": "Allow" } });
    world.patch_resource(FEDERATED.name, allow.clone()).await;
    wait_ready(&world, FEDERATED.name, "True", "PasswordSet").await;
    assert_eq!(sent(&world, FEDERATED.key()), [FIRST]);

    // The lookup of the refusal doesn't count after a changed spec: the operator sees that the user was mended.
    wait_ready(&world, MENDED.name, "False", "UserUnconfirmed").await;
    world.fence().await;
    cognito.set_status(MENDED.key(), UserStatus::Confirmed);
    world.patch_resource(MENDED.name, allow.clone()).await;
    wait_ready(&world, MENDED.name, "True", "PasswordSet").await;

    // A stranger may take a name that was free. The change of the spec is what leads to the retry.
    let origins = [
        Origin::SignUp,
        Origin::ConfirmedSignUp,
        Origin::Administrator,
    ];
    for (user, origin) in MISSING.iter().zip(origins) {
        cognito.recreate_user(POOL, user.name, origin);
        world.patch_resource(user.name, allow.clone()).await;
    }
    let [signed_up, confirmed, made] = &MISSING;
    wait_ready(&world, signed_up.name, "False", "UserUnconfirmed").await;
    wait_ready(&world, confirmed.name, "False", "UserRecreated").await;
    wait_ready(&world, made.name, "True", "PasswordSet").await;
    for (user, origin) in [
        (signed_up, UserStatus::Unconfirmed),
        (confirmed, UserStatus::Confirmed),
    ] {
        assert_eq!(status(cognito, user), Some(origin), "{}", user.name);
        assert_eq!(cognito.password_log(POOL, user.name), [], "{}", user.name);
        world.apply_secret(user.name, "password", SECOND).await;
    }
    world.fence().await;
    for user in [signed_up, confirmed] {
        assert_eq!(
            sent(&world, user.key()),
            [FIRST],
            "the call without an effect"
        );
    }
    world.request(confirmed.name, "one").await;
    wait_ready(&world, confirmed.name, "True", "PasswordSet").await;
}
