//! The target of a password: pool, username and Region. Parsing makes them valid once and for all.
//!
//! The patterns are the patterns of the API model of `AdminSetUserPassword`. The CRD refuses the same
//! values at `kubectl apply`. The operator parses them again, because a schema can be edited, and an object
//! can be older than its schema.

use crate::core::text::is_unseen;
use std::{fmt, sync::Arc};

/// A Cognito user pool id: `^[\w-]+_[0-9a-zA-Z]+$`, 1 to 55 characters, e.g. `eu-west-1_AbCdEf123`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PoolId(Arc<str>);

/// An AWS Region as the pool id names it, e.g. `eu-west-1`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Region(Arc<str>);

/// An AWS account, against whose quota calls count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Account {
    /// The account with this id of twelve digits.
    Id(String),
    /// The account of the operator's own credentials. The credentials don't contain the id.
    OfSource,
}

/// A username as Cognito stores the username, or the user's sub, but no alias. 1 to 128 Unicode scalars:
/// letters, marks, symbols, numbers and punctuation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Username(Arc<str>);

/// One user of one pool.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Target {
    /// The pool. The id of the pool also names a Region.
    pub pool: PoolId,
    /// The username.
    pub username: Username,
}

/// The identity of a user: the pool's id, and the lower-case username. A pool's usernames may be
/// case-insensitive, so the case of a username is ignored.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct User {
    pool: PoolId,
    folded: Arc<str>,
}

/// Why a target is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidTarget {
    /// The pool's id does not match `^[\w-]+_[0-9a-zA-Z]+$`, or is longer than 55 characters.
    #[error(
        "spec.userPoolId must be a user pool id such as eu-west-1_AbCdEf123: the Region, an underscore, then letters and digits, at most 55 characters"
    )]
    PoolId,
    /// The username is empty, longer than 128, or has white space or invisible characters.
    #[error(
        "spec.username must be 1 to 128 letters, marks, symbols, numbers or punctuation characters, without white space"
    )]
    Username,
}

impl PoolId {
    /// Parses a pool's id.
    ///
    /// # Errors
    /// [`InvalidTarget::PoolId`] for what the API model's pattern refuses.
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        match text.rsplit_once('_') {
            Some((region, id))
                if text.len() <= 55
                    && !region.is_empty()
                    && region.chars().all(word)
                    && !id.is_empty()
                    && id.chars().all(|c| c.is_ascii_alphanumeric()) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(InvalidTarget::PoolId),
        }
    }

    /// The id as AWS writes the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Region of the pool: the text before the last underscore.
    #[must_use]
    pub fn region(&self) -> Region {
        let region = self.0.rsplit_once('_').map_or("", |(region, _)| region);
        Region(region.into())
    }
}

impl Region {
    /// Parses a Region: lower-case words joined by hyphens, at most 32 characters. `None` for anything
    /// else. The Region becomes part of a host's name, so nothing else is accepted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split('-');
        let first = words.next().unwrap_or_default();
        let rest: Vec<_> = words.collect();
        let letters = |c: char| c.is_ascii_lowercase();
        let fits = text.len() <= 32
            && first.len() >= 2
            && first.chars().all(letters)
            && !rest.is_empty()
            && rest.iter().all(|word| {
                !word.is_empty() && word.chars().all(|c| letters(c) || c.is_ascii_digit())
            });
        fits.then(|| Self(text.into()))
    }

    /// The Region's name, e.g. `eu-west-1`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Username {
    /// Parses a username.
    ///
    /// # Errors
    /// [`InvalidTarget::Username`] for a wrong length, white space, or an invisible character. The rest of
    /// `\p{L}\p{M}\p{S}\p{N}\p{P}` is checked by the CRD's pattern and by Cognito.
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        let length = text.chars().count();
        let unfit = |c: char| c.is_whitespace() || is_unseen(c);
        if (1..=128).contains(&length) && !text.chars().any(unfit) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidTarget::Username)
        }
    }

    /// The username as Cognito stores the username.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, shared with this username.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl Target {
    /// Parses a target.
    ///
    /// # Errors
    /// [`InvalidTarget`], which names the invalid field and the valid form.
    pub fn parse(pool: &str, username: &str) -> Result<Self, InvalidTarget> {
        Ok(Self {
            pool: PoolId::parse(pool)?,
            username: Username::parse(username)?,
        })
    }

    /// The user, the same for every case in which the username is written.
    #[must_use]
    pub fn user(&self) -> User {
        let folded = self.username.as_str().to_lowercase();
        User {
            pool: self.pool.clone(),
            // Most usernames are lower-case already, and share the allocation.
            folded: if folded == self.username.as_str() {
                self.username.0.clone()
            } else {
                folded.into()
            },
        }
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("eu-west-1_AbCdEf123", Some("eu-west-1"))]
    #[case("us-gov-west-1_x", Some("us-gov-west-1"))]
    #[case("a_b_C9", Some("a_b"))]
    #[case("eu-west-1_", None)]
    #[case("_abc", None)]
    #[case("eu-west-1", None)]
    #[case("eu-west-1_abc\n", None)]
    #[case("eu.west_abc", None)]
    #[case("evil.example/_abc", None)]
    #[case("", None)]
    fn a_pool_id_names_its_region(#[case] text: &str, #[case] region: Option<&str>) {
        let parsed = PoolId::parse(text).ok().map(|pool| pool.region());
        assert_eq!(parsed.as_ref().map(Region::as_str), region);
    }

    #[rstest]
    #[case("eu-west-1", true)]
    #[case("us-gov-west-1", true)]
    #[case("us-isob-east-1", true)]
    #[case("eu", false)]
    #[case("eu-", false)]
    #[case("-west-1", false)]
    #[case("EU-west-1", false)]
    #[case("evil.example/", false)]
    #[case("eu-west-1\n", false)]
    #[case("", false)]
    fn a_region_is_lower_case_words(#[case] text: &str, #[case] fits: bool) {
        assert_eq!(Region::parse(text).is_some(), fits);
    }

    #[test]
    fn a_pool_id_has_at_most_55_characters() {
        let of_length = |length: usize| format!("eu-west-1_{}", "a".repeat(length - 10));
        assert!(PoolId::parse(&of_length(55)).is_ok());
        assert!(PoolId::parse(&of_length(56)).is_err());
    }

    #[rstest]
    #[case("ci-bot", true)]
    #[case("jürgen@example.com", true)]
    #[case("日本", true)]
    #[case("", false)]
    #[case("two words", false)]
    #[case("ci-bot\n", false)]
    #[case("nul\0", false)]
    #[case("ci\u{200b}-bot", false)]
    #[case("\u{202e}tob-ic", false)]
    fn a_username_has_no_white_space(#[case] text: &str, #[case] fits: bool) {
        assert_eq!(Username::parse(text).is_ok(), fits);
    }

    #[rstest]
    #[case("eu-west-1_a", "CI-Bot", true)]
    #[case("eu-west-1_a", "ci-bot", true)]
    #[case("eu-west-1_a", "ci-bot2", false)]
    #[case("eu-west-1_A", "ci-bot", false)]
    fn users_are_distinguished_by_pool_and_name_regardless_of_case(
        #[case] pool: &str,
        #[case] username: &str,
        #[case] same: bool,
    ) {
        let user = |pool, username| Target::parse(pool, username).expect("valid").user();
        assert_eq!(user("eu-west-1_a", "ci-bot") == user(pool, username), same);
        assert_eq!(user("eu-west-1_a", "JÜRGEN"), user("eu-west-1_a", "jürgen"));
    }

    #[test]
    fn a_username_has_at_most_128_unicode_scalars() {
        assert!(Username::parse(&"ü".repeat(128)).is_ok());
        assert!(Username::parse(&"ü".repeat(129)).is_err());
    }

    proptest! {
        #[test]
        fn the_pool_ids_of_the_api_models_pattern_are_accepted(text in "[A-Za-z0-9_-]{1,20}_[0-9A-Za-z]{1,34}") {
            prop_assert_eq!(PoolId::parse(&text).map(|pool| pool.to_string()), Ok(text));
        }

        /// A Region must be safe as part of a host's name.
        #[test]
        fn other_texts_are_no_pool_ids(text in ".{0,60}|[a-z0-9_.:/@?#-]{0,60}|[\\w-]{0,56}_[\\w-]{0,56}\n?") {
            if let Ok(pool) = PoolId::parse(&text) {
                let word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
                prop_assert!(pool.as_str().chars().all(word) && pool.as_str().len() <= 55);
                prop_assert_eq!(pool.as_str(), &*text);
                prop_assert!(!pool.region().as_str().is_empty());
            }
            if let Some(region) = Region::parse(&text) {
                let host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                prop_assert!(region.as_str().chars().all(host) && region.as_str().len() <= 32);
                prop_assert_eq!(region.as_str(), &*text);
            }
        }

        #[test]
        fn a_username_is_kept_as_it_is_written(text in any::<String>(), letters in "\\pL{1,128}") {
            prop_assert_eq!(Username::parse(&letters).map(|name| name.to_string()), Ok(letters));
            if let Ok(name) = Username::parse(&text) {
                prop_assert_eq!(name.as_str(), &*text);
                prop_assert!((1..=128).contains(&text.chars().count()));
                prop_assert!(!text.chars().any(|c| c.is_whitespace() || is_unseen(c)));
            }
        }
    }
}
