//! Reads the outputs of Cognito's operations. Each operation has a check of the body of an HTTP 200, because a
//! proxy or captive portal may answer 200 too. The content type doesn't count, because proxies change the
//! content type at will.

use crate::core::look::user::{SUB, User, UserPage, UserState};
use aws_sdk_cognitoidentityprovider::{
    operation::list_users::ListUsersOutput,
    types::{UserPoolType, UserType},
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The body of an operation without output: empty, or a JSON object.
pub(super) fn is_nothing(body: &[u8]) -> bool {
    body.is_empty() || is_object(body)
}

/// The body of an operation with an output: a JSON object.
pub(super) fn is_object(body: &[u8]) -> bool {
    serde_json::from_slice::<Map<String, Value>>(body).is_ok()
}

/// The body of `ListUsers`. Each user must say whether the user is enabled: the SDK's output has `false` both for
/// a disabled user and for a user without the field.
pub(super) fn is_user_page(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Page {
        #[serde(rename = "Users")]
        _users: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "Enabled")]
        _enabled: bool,
    }
    // A struct may also be read from an array.
    is_object(body) && serde_json::from_slice::<Page>(body).is_ok()
}

/// The users of a page; None if the reply has no list of users, or a user without name. Such a reply must not
/// say that a user is gone.
pub(super) fn user_page(output: ListUsersOutput) -> Option<UserPage> {
    let users = output.users?.into_iter().map(user);
    Some(UserPage {
        users: users.collect::<Option<_>>()?,
        next_token: output.pagination_token.filter(|token| !token.is_empty()),
    })
}

fn user(user: UserType) -> Option<User> {
    let attributes = user.attributes.unwrap_or_default();
    let sub = attributes
        .into_iter()
        .find(|attribute| attribute.name == SUB);
    Some(User {
        username: user.username?,
        sub: sub.and_then(|sub| sub.value),
        state: user
            .user_status
            .map_or(UserState::Other, |state| UserState::parse(state.as_str())),
        enabled: user.enabled,
        created: user.user_create_date.as_ref().and_then(timestamp),
        modified: user.user_last_modified_date.as_ref().and_then(timestamp),
    })
}

/// How many days a temporary password of the pool is valid; None if the policy does not say. The API and the
/// SDK's output have 0 for that.
pub(super) fn validity_days(pool: &UserPoolType) -> Option<u32> {
    let policy = pool.policies.as_ref()?.password_policy.as_ref()?;
    let days = u32::try_from(policy.temporary_password_validity_days).ok()?;
    (days > 0).then_some(days)
}

/// The time that the SDK read; None if the time is outside of the years that can be written.
pub(super) fn timestamp(time: &DateTime) -> Option<Timestamp> {
    let nanoseconds = i32::try_from(time.subsec_nanos()).ok()?;
    Timestamp::new(time.secs(), nanoseconds).ok()
}
