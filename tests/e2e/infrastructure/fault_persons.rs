//! The fault server's operations of persons, called by the real SDK, and the rules of single pools.

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::ProvideErrorMetadata;
use aws_sdk_cognitoidentityprovider::types::UserStatusType;

use super::sdk::{POOL, USER, kind, server, set, single_attempt_sdk};
use crate::support::{FaultServer, Operation, Subject, pool_arn};

/// The code of the refusal, or `Ok`.
async fn ask(client: &Client, operation: Operation, (pool, username): (&str, &str)) -> String {
    macro_rules! word {
        ($call:ident) => {{
            let call = client.$call().user_pool_id(pool).username(username);
            let reply = call.send().await;
            let refused = reply.err().map(|error| error.code().map(str::to_owned));
            refused.map_or_else(|| "Ok".to_owned(), |code| code.expect("a code"))
        }};
    }
    match operation {
        Operation::AdminGetUser => word!(admin_get_user),
        Operation::AdminEnableUser => word!(admin_enable_user),
        Operation::AdminCreateUser => word!(admin_create_user),
        Operation::AdminDeleteUser => word!(admin_delete_user),
        other => panic!("{} is not a person's operation", other.name()),
    }
}

const PERSONS: [Operation; 4] = [
    Operation::AdminGetUser,
    Operation::AdminEnableUser,
    Operation::AdminCreateUser,
    Operation::AdminDeleteUser,
];

#[tokio::test]
async fn a_person_finds_enables_deletes_and_creates_a_user() {
    let server = server();
    let sdk = single_attempt_sdk(&server);
    server.add_alias((POOL, USER), "ci@example.com");
    server.disable_user(POOL, USER);
    let before = server.user_state(POOL, USER).expect("the user");
    for name in [USER, &before.sub, "ci@example.com"] {
        let found = sdk.admin_get_user().user_pool_id(POOL).username(name);
        let found = found.send().await.expect("a user");
        assert_eq!(found.username(), USER, "{name}");
        assert!(!found.enabled());
        let status = UserStatusType::ForceChangePassword;
        assert_eq!(found.user_status(), Some(&status));
        assert_eq!(found.user_attributes()[0].value(), Some(&*before.sub));
    }

    let get = Operation::AdminGetUser;
    assert_eq!(
        ask(&sdk, Operation::AdminEnableUser, (POOL, USER)).await,
        "Ok"
    );
    let enabled = server.user_state(POOL, USER).expect("the user");
    assert!(enabled.enabled && enabled.modified >= before.modified);
    let create = Operation::AdminCreateUser;
    let exists = "UsernameExistsException";
    assert_eq!(ask(&sdk, create, (POOL, USER)).await, exists);
    assert_eq!(
        ask(&sdk, Operation::AdminDeleteUser, (POOL, USER)).await,
        "Ok"
    );
    assert_eq!(server.user_state(POOL, USER), None);
    assert_eq!(ask(&sdk, get, (POOL, USER)).await, "UserNotFoundException");
    assert_eq!(ask(&sdk, create, (POOL, USER)).await, "Ok");
    let anew = server.user_state(POOL, USER).expect("the user");
    assert_ne!(anew.sub, before.sub, "another user");
    let calls = server.calls_of(get);
    let subject = Subject::User(USER.to_owned());
    assert_eq!(calls.last().map(|call| call.subject.clone()), Some(subject));
}

#[tokio::test]
async fn a_person_finds_no_user_and_no_pool_that_is_not_there() {
    let server = server();
    let sdk = single_attempt_sdk(&server);
    for operation in PERSONS {
        let elsewhere = ask(&sdk, operation, ("eu-west-1_Unknown", USER)).await;
        assert_eq!(elsewhere, "ResourceNotFoundException", "{operation:?}");
        if operation != Operation::AdminCreateUser {
            let nobody = ask(&sdk, operation, (POOL, "nobody")).await;
            assert_eq!(nobody, "UserNotFoundException", "{operation:?}");
        }
    }
    assert_eq!(server.user_state("eu-west-1_Unknown", USER), None);
}

/// Sets the password of the user of this pool; returns the SDK's kind of reply.
async fn set_in(server: &FaultServer, pool: &str, password: &str) -> String {
    let sdk = single_attempt_sdk(server);
    let call = sdk.admin_set_user_password().user_pool_id(pool);
    let call = call.username(USER).password(password).permanent(true);
    kind(&call.send().await).to_owned()
}

#[tokio::test]
async fn a_pool_has_rules_of_its_own() {
    const OWN: &str = "eu-west-1_Own";
    let server = server();
    server.add_user(OWN, USER);
    server.set_history_of(OWN, 1);
    server.set_minimum_length_of(OWN, 10);
    server.refuse_value(OWN, "refused-password");
    let sdk = single_attempt_sdk(&server);
    for (password, of_own) in [
        ("short", "InvalidPasswordException"),
        ("refused-password", "InvalidParameterException"),
        ("good-password", "Ok"),
        ("good-password", "PasswordHistoryPolicyViolationException"),
    ] {
        assert_eq!(set_in(&server, OWN, password).await, of_own, "{password}");
        assert_eq!(kind(&set(&sdk, USER, password).await), "Ok", "{password}");
    }
    let pool = sdk.describe_user_pool().user_pool_id(OWN).send().await;
    let pool = pool.expect("a pool");
    let pool = pool.user_pool().expect("a pool");
    assert_eq!(pool.arn(), Some(&*pool_arn(OWN)));
    let policies = pool.policies().expect("policies");
    let policy = policies.password_policy().expect("a policy");
    assert_eq!(policy.minimum_length(), Some(10));
}
