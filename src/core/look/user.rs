//! Users as `ListUsers` shows them. Of a user's attributes only the sub is asked for and kept.

use jiff::Timestamp;

/// Maximum number of users in a page: the API allows no more.
pub const PAGE_MAX: u8 = 60;

/// The only attribute that a look asks for. Every user has a sub, and Cognito refuses a request for an attribute
/// that a user lacks.
pub const SUB: &str = "sub";

/// One user of a pool. `ListUsers` is eventually consistent, so the user may have changed meanwhile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// The username as Cognito stores the username.
    pub username: String,
    /// The user's sub, a UUID; None if the reply did not have the attribute.
    pub sub: Option<String>,
    /// The user's status.
    pub state: UserState,
    /// Whether the user may sign in at all. An administrator enables and disables a user.
    pub enabled: bool,
    /// When the user was created, by AWS's clock.
    pub created: Option<Timestamp>,
    /// When something about the user last changed, by AWS's clock. AWS does not document which changes move
    /// this time, so the time is a hint and no proof.
    pub modified: Option<Timestamp>,
}

/// The status of a user: `UserStatus` in the API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UserState {
    /// `UNCONFIRMED`: registered by a sign-up, and not confirmed yet.
    Unconfirmed,
    /// `CONFIRMED`: the user has a password that lasts.
    Confirmed,
    /// `EXTERNAL_PROVIDER`: the user signs in with another identity provider.
    ExternalProvider,
    /// `RESET_REQUIRED`: the user's password is disabled until somebody sets another one.
    ResetRequired,
    /// `FORCE_CHANGE_PASSWORD`: the user has a temporary password.
    ForceChangePassword,
    /// A status that this version does not know, or none at all.
    Other,
}

impl UserState {
    /// The state with this name in the API; [`UserState::Other`] for every other text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "UNCONFIRMED" => Self::Unconfirmed,
            "CONFIRMED" => Self::Confirmed,
            "EXTERNAL_PROVIDER" => Self::ExternalProvider,
            "RESET_REQUIRED" => Self::ResetRequired,
            "FORCE_CHANGE_PASSWORD" => Self::ForceChangePassword,
            _ => Self::Other,
        }
    }
}

/// Which users a look asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserQuery {
    /// One page of all users of the pool, in no particular order.
    Page {
        /// The token of the page before; None for the first page.
        token: Option<String>,
    },
    /// The user with this username. The API compares the case, and does not know aliases.
    Username(String),
    /// The user with this sub.
    Sub(String),
}

impl UserQuery {
    /// The `Filter` of `ListUsers`, e.g. `username = "ci-bot"`; None for a page.
    #[must_use]
    pub fn filter(&self) -> Option<String> {
        match self {
            Self::Page { .. } => None,
            Self::Username(username) => Some(equals("username", username)),
            Self::Sub(sub) => Some(equals(SUB, sub)),
        }
    }

    /// The `PaginationToken` of `ListUsers`; None for the first page and for a lookup of one user.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        match self {
            Self::Page { token } => token.as_deref(),
            Self::Username(_) | Self::Sub(_) => None,
        }
    }
}

/// One reply to a [`UserQuery`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserPage {
    /// The users, [`PAGE_MAX`] at most. A page may be empty although more pages follow.
    pub users: Vec<User>,
    /// The token of the next page; None after the last page.
    pub next_token: Option<String>,
}

/// A filter for an exact match. The API wants a backslash before each quotation mark in the value. A backslash
/// gets one too: otherwise a username that ends in a backslash would leave the value open.
fn equals(attribute: &str, value: &str) -> String {
    let value = value.replace('\\', r"\\").replace('"', r#"\""#);
    format!("{attribute} = \"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("UNCONFIRMED", UserState::Unconfirmed)]
    #[case("CONFIRMED", UserState::Confirmed)]
    #[case("EXTERNAL_PROVIDER", UserState::ExternalProvider)]
    #[case("RESET_REQUIRED", UserState::ResetRequired)]
    #[case("FORCE_CHANGE_PASSWORD", UserState::ForceChangePassword)]
    #[case("ARCHIVED", UserState::Other)]
    #[case("COMPROMISED", UserState::Other)]
    #[case("UNKNOWN", UserState::Other)]
    #[case("confirmed", UserState::Other)]
    #[case("A_STATUS_OF_TOMORROW", UserState::Other)]
    #[case("", UserState::Other)]
    fn a_status_is_read_by_its_name(#[case] text: &str, #[case] state: UserState) {
        assert_eq!(UserState::parse(text), state);
    }

    #[rstest]
    #[case("ci-bot", r#"username = "ci-bot""#)]
    #[case("jürgen@example.com", r#"username = "jürgen@example.com""#)]
    #[case(r#"a"b"#, r#"username = "a\"b""#)]
    #[case(r"a\b", r#"username = "a\\b""#)]
    #[case(r#"a\"b"#, r#"username = "a\\\"b""#)]
    #[case(r"end\", r#"username = "end\\""#)]
    #[case(r#"x" or "1"="1"#, r#"username = "x\" or \"1\"=\"1""#)]
    fn quotation_marks_and_backslashes_are_escaped(#[case] username: &str, #[case] filter: &str) {
        let query = UserQuery::Username(username.to_owned());
        assert_eq!(query.filter().as_deref(), Some(filter));
        assert_eq!(query.token(), None);
    }

    #[test]
    fn a_query_has_a_filter_or_a_token() {
        let sub = "6f1c2d3e-0000-4000-8000-000000000000";
        let filter = UserQuery::Sub(sub.to_owned()).filter();
        assert_eq!(filter, Some(format!("sub = \"{sub}\"")));
        let token = Some("next".to_owned());
        let page = UserQuery::Page { token };
        assert_eq!((page.filter(), page.token()), (None, Some("next")));
        let first = UserQuery::Page { token: None };
        assert_eq!((first.filter(), first.token()), (None, None));
    }

    /// Reads a quoted value as the API does, and fails if the value ends before the text does.
    fn unquoted(filter: &str) -> Option<String> {
        let mut rest = filter.strip_prefix("username = \"")?.chars();
        let mut value = String::new();
        loop {
            match rest.next()? {
                '"' => return rest.next().is_none().then_some(value),
                '\\' => value.push(rest.next()?),
                other => value.push(other),
            }
        }
    }

    proptest! {
        #[test]
        fn no_username_ends_the_quoted_value_early(username in "[\"\\\\a=]{0,12}|\\PC{0,40}") {
            let filter = UserQuery::Username(username.clone()).filter().expect("a filter");
            prop_assert_eq!(unquoted(&filter), Some(username));
        }
    }
}
