//! By whose authority a call is made, and in which Region: the operator's own identity, or a role
//! that a grant names.

use super::target::{Account, Region};
use std::fmt;

/// Who calls Cognito where. Credentials, connections and whatever is known of both belong to one of
/// these.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Authority {
    /// The role to assume; none for the operator's own identity.
    pub role: Option<Role>,
    /// Where Cognito is called.
    pub region: Region,
}

/// A role, and what its trust policy asks for.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Role {
    /// Which one.
    pub arn: RoleArn,
    /// `sts:ExternalId`: it tells on whose behalf the role is assumed, and is no secret.
    pub external_id: Option<ExternalId>,
}

/// The ARN of an IAM role, `arn:PARTITION:iam::ACCOUNT:role/[PATH/]NAME`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RoleArn(String);

/// An external id: 2 to 1224 of letters, digits and `_+=,.@:/-`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ExternalId(String);

/// Why a role can't be one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRole {
    /// Not the ARN of a role.
    #[error(
        "spec.roleArn must be the ARN of an IAM role, such as arn:aws:iam::111122223333:role/cognito-passwords"
    )]
    Arn,
    /// Not what STS takes as an external id.
    #[error("spec.externalId must be 2 to 1224 letters, digits and _+=,.@:/-")]
    ExternalId,
}

impl Authority {
    /// The operator's own identity.
    #[must_use]
    pub const fn own(region: Region) -> Self {
        Self { role: None, region }
    }
}

impl RoleArn {
    /// # Errors
    /// [`InvalidRole::Arn`]
    pub fn parse(text: &str) -> Result<Self, InvalidRole> {
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let &["arn", partition, "iam", "", account, resource] = &parts[..] else {
            return Err(InvalidRole::Arn);
        };
        let name = resource.strip_prefix("role/").unwrap_or_default();
        let fits = text.len() <= 2_048
            && (partition == "aws" || partition.starts_with("aws-"))
            && partition
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && account.len() == 12
            && account.chars().all(|c| c.is_ascii_digit())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_+=,.@/-".contains(c))
            && name.rsplit('/').next().is_some_and(|last| !last.is_empty());
        fits.then(|| Self(text.to_owned())).ok_or(InvalidRole::Arn)
    }

    /// The ARN as AWS writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The account that the role belongs to.
    #[must_use]
    pub fn account(&self) -> Account {
        let account = self.0.split(':').nth(4).unwrap_or_default();
        Account::Id(account.to_owned())
    }
}

impl ExternalId {
    /// # Errors
    /// [`InvalidRole::ExternalId`]
    pub fn parse(text: &str) -> Result<Self, InvalidRole> {
        let fits = (2..=1_224).contains(&text.len())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c));
        fits.then(|| Self(text.to_owned()))
            .ok_or(InvalidRole::ExternalId)
    }

    /// The id as STS is told it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    use rstest::rstest;

    #[rstest]
    #[case("arn:aws:iam::111122223333:role/cognito-passwords", true)]
    #[case("arn:aws-us-gov:iam::111122223333:role/teams/a/x_+=,.@-1", true)]
    #[case("arn:aws-cn:iam::111122223333:role/a", true)]
    #[case("arn:aws:iam::111122223333:role/", false)]
    #[case("arn:aws:iam::111122223333:role/a/", false)]
    #[case("arn:aws:iam::111122223333:user/a", false)]
    #[case("arn:aws:iam::11112222333:role/a", false)]
    #[case("arn:aws:iam::1111222233334:role/a", false)]
    #[case("arn:aws:iam::１１１１２２２２３３３３:role/a", false)]
    #[case("arn:aws:iam:eu-west-1:111122223333:role/a", false)]
    #[case("arn:aws:sts::111122223333:role/a", false)]
    #[case("arn:evil:iam::111122223333:role/a", false)]
    #[case("arn:aws:iam::111122223333:role/a\n", false)]
    #[case("arn:aws:iam::111122223333:role/a b", false)]
    #[case("arn:aws:iam::111122223333:role/a:b", false)]
    #[case("", false)]
    fn a_role_is_named_by_its_arn(#[case] text: &str, #[case] fits: bool) {
        let parsed = RoleArn::parse(text);
        assert_eq!(parsed.is_ok(), fits);
        if let Ok(arn) = parsed {
            assert_eq!(arn.as_str(), text);
            assert_eq!(arn.account(), Account::Id("111122223333".to_owned()));
        }
    }

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
}
