//! Authorities: the identity that calls Cognito, and the Region of the call. The identity is the operator's
//! own or a role that a grant names.

use crate::core::names::{arn::RoleArn, target::Region};
use std::{fmt, sync::Arc};

/// The identity that calls Cognito, and the Region of the call. Each authority has its own credentials and
/// its own credential gate.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Authority {
    /// The role to assume, or `None` for the operator's own identity.
    pub role: Option<Arc<Role>>,
    /// The Region in which the operator calls Cognito.
    pub region: Region,
}

/// A role, and the external id that its trust policy may require.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Role {
    /// The ARN of the role.
    pub arn: RoleArn,
    /// `sts:ExternalId`, which names the party on whose behalf the role is assumed. Not a secret.
    pub external_id: Option<ExternalId>,
}

/// An external id: 2 to 1224 characters, each a letter, a digit or one of `_+=,.@:/-`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ExternalId(String);

/// Why a role in a grant is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRole {
    /// `spec.roleArn` is not the ARN of a role, or is missing although `spec.externalId` is set.
    #[error(
        "spec.roleArn must be the ARN of an IAM role, such as arn:aws:iam::111122223333:role/cognito-passwords"
    )]
    Arn,
    /// `spec.externalId` is not what STS accepts as an external id.
    #[error("spec.externalId must be 2 to 1224 letters, digits and _+=,.@:/-")]
    ExternalId,
}

impl Authority {
    /// The operator's own identity in `region`.
    #[must_use]
    pub const fn own(region: Region) -> Self {
        Self { role: None, region }
    }
}

impl ExternalId {
    /// Parses an external id.
    ///
    /// # Errors
    /// [`InvalidRole::ExternalId`] if STS would not accept the id.
    pub fn parse(text: &str) -> Result<Self, InvalidRole> {
        let fits = (2..=1_224).contains(&text.len())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c));
        fits.then(|| Self(text.to_owned()))
            .ok_or(InvalidRole::ExternalId)
    }

    /// The id as STS gets the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `eu-west-1`, or `eu-west-1 as arn:aws:iam::111122223333:role/cognito-passwords`.
impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            Some(role) => write!(f, "{} as {}", self.region, role.arn),
            None => write!(f, "{}", self.region),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::target::Account;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("team-a", true)]
    #[case("a1_+=,.@:/-", true)]
    #[case("a", false)]
    #[case("two words", false)]
    #[case("", false)]
    fn an_external_id_is_what_sts_takes(#[case] text: &str, #[case] fits: bool) {
        assert_eq!(ExternalId::parse(text).is_ok(), fits);
        assert!(ExternalId::parse(&"a".repeat(1_224)).is_ok());
        assert!(ExternalId::parse(&"a".repeat(1_225)).is_err());
    }

    proptest! {
        #[test]
        fn a_role_is_of_its_account(
            account in "[0-9]{12}",
            path in "([a-z]{1,5}/){0,3}",
            name in "[a-zA-Z0-9_+=,.@-]{1,20}",
        ) {
            let text = format!("arn:aws:iam::{account}:role/{path}{name}");
            let arn = RoleArn::parse(&text).expect("an ARN");
            prop_assert_eq!(arn.account(), Account::Id(account));
        }

        #[test]
        fn whatever_is_taken_for_a_role_or_an_external_id_is_plain(
            text in ".{0,60}|arn:aws(-.{0,4})?:iam:.?:[0-9]{11,13}:role/.{0,20}",
        ) {
            let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
            if let Ok(arn) = RoleArn::parse(&text) {
                prop_assert!(plain(&text) && arn.as_str() == text);
            }
            if let Ok(id) = ExternalId::parse(&text) {
                prop_assert!(plain(&text) && id.as_str() == text);
            }
        }
    }
}
