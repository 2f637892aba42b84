//! The ARNs that grants and policies name, parsed once. An ARN with a wildcard is invalid: a policy with a
//! wildcard would grant more than the administrator asked for.

use super::target::{Account, PoolId};
use std::fmt;

/// The ARN of a user pool.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PoolArn(String);

/// The ARN of an IAM role.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RoleArn(String);

/// The ARN of the IAM OIDC provider of an EKS cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OidcProviderArn(String);

/// The ARN of an EKS cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterArn(String);

/// Why a text isn't an ARN of the required kind.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidArn {
    /// The text isn't the ARN of a user pool.
    #[error(
        "the ARN of a user pool is needed, such as arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123"
    )]
    Pool,
    /// A pool's ARN contains the Region twice, and the two differ.
    #[error("the ARN names the Region {named}, but the pool's id that of {of_id}")]
    Region {
        /// The Region that the ARN names.
        named: String,
        /// The Region in the pool's id.
        of_id: String,
    },
    /// The ARN names a partition that the Region isn't in.
    #[error("the Region {region} is in the partition {partition}: arn:{partition}:...")]
    Partition {
        /// The Region that the ARN names.
        region: String,
        /// The partition of the Region.
        partition: &'static str,
    },
    /// The text isn't the ARN of a role.
    #[error(
        "the ARN of a role is needed, such as arn:aws:iam::111122223333:role/cognito-password-operator"
    )]
    Role,
    /// The text isn't the ARN of an OIDC provider.
    #[error(
        "the ARN of an IAM OIDC provider is needed, such as arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
    )]
    OidcProvider,
    /// The text isn't the ARN of a cluster.
    #[error(
        "the ARN of an EKS cluster is needed, such as arn:aws:eks:eu-west-1:111122223333:cluster/my-cluster"
    )]
    Cluster,
}

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`
struct Parts<'a> {
    partition: &'a str,
    service: &'a str,
    region: &'a str,
    resource: &'a str,
}

impl<'a> Parts<'a> {
    /// The parts of an ARN. `None` unless the partition is one of AWS and the account has twelve digits.
    fn of(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let mut next = || parts.next();
        let (arn, partition, service) = (next()?, next()?, next()?);
        let (region, account, resource) = (next()?, next()?, next()?);
        let of_aws = partition
            .strip_prefix("aws")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            && partition
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '-');
        let digits = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
        (arn == "arn" && of_aws && digits).then_some(Self {
            partition,
            service,
            region,
            resource,
        })
    }

    /// Checks that the Region belongs to the partition.
    ///
    /// # Errors
    /// [`InvalidArn::Partition`] if the Region belongs to another partition.
    fn check_partition(&self) -> Result<(), InvalidArn> {
        let partition = match self.region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            // Only the Regions of `aws-cn` and `aws-us-gov` are known by their prefix. Between other
            // partitions, such as `aws` and `aws-eusc`, nothing is checked.
            _ if !matches!(self.partition, "aws-cn" | "aws-us-gov") => return Ok(()),
            _ => "aws",
        };
        if partition == self.partition {
            return Ok(());
        }
        Err(InvalidArn::Partition {
            region: self.region.to_owned(),
            partition,
        })
    }
}

impl PoolArn {
    /// Parses the ARN of a pool.
    ///
    /// # Errors
    /// [`InvalidArn`], also if the ARN's Region, its partition and the pool's id don't agree.
    pub fn parse(text: &str) -> Result<Self, InvalidArn> {
        let parts = Parts::of(text).filter(|parts| parts.service == "cognito-idp");
        let parts = parts.ok_or(InvalidArn::Pool)?;
        let id = parts.resource.strip_prefix("userpool/");
        let id = id.and_then(|id| PoolId::parse(id).ok());
        let of_id = id.ok_or(InvalidArn::Pool)?.region();
        if of_id.as_str() != parts.region {
            return Err(InvalidArn::Region {
                named: parts.region.to_owned(),
                of_id: of_id.as_str().to_owned(),
            });
        }
        parts.check_partition()?;
        Ok(Self(text.to_owned()))
    }

    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RoleArn {
    /// Parses the ARN of a role.
    ///
    /// # Errors
    /// [`InvalidArn::Role`], also for the ARN of a session (`assumed-role`).
    pub fn parse(text: &str) -> Result<Self, InvalidArn> {
        let fits = Parts::of(text).is_some_and(|parts| {
            let path = parts.resource.strip_prefix("role/");
            parts.service == "iam"
                && parts.region.is_empty()
                && parts.resource.len() <= 512
                && path.is_some_and(|path| path.split('/').all(is_name))
                && path
                    .and_then(|path| path.rsplit('/').next())
                    .is_some_and(|name| name.len() <= 64)
        });
        fits.then(|| Self(text.to_owned())).ok_or(InvalidArn::Role)
    }

    /// The ARN as text.
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

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl OidcProviderArn {
    /// Parses the ARN of an OIDC provider.
    ///
    /// # Errors
    /// [`InvalidArn::OidcProvider`], also for the issuer's URL alone.
    pub fn parse(text: &str) -> Result<Self, InvalidArn> {
        let fits = Parts::of(text).is_some_and(|parts| {
            let issuer = parts.resource.strip_prefix("oidc-provider/");
            parts.service == "iam"
                && parts.region.is_empty()
                && parts.resource.len() <= 512
                && issuer.is_some_and(|issuer| issuer.split('/').all(is_name))
        });
        fits.then(|| Self(text.to_owned()))
            .ok_or(InvalidArn::OidcProvider)
    }

    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The issuer without `https://`. The condition keys on the provider's tokens begin with the issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        let issuer = self.0.split_once(":oidc-provider/");
        issuer.map_or("", |(_, issuer)| issuer)
    }
}

impl ClusterArn {
    /// Parses the ARN of a cluster.
    ///
    /// # Errors
    /// [`InvalidArn::Cluster`], or [`InvalidArn::Partition`] if the Region belongs to another partition.
    pub fn parse(text: &str) -> Result<Self, InvalidArn> {
        let parts = Parts::of(text).filter(|parts| {
            let name = parts.resource.strip_prefix("cluster/");
            parts.service == "eks" && is_name(parts.region) && name.is_some_and(is_name)
        });
        parts.ok_or(InvalidArn::Cluster)?.check_partition()?;
        Ok(Self(text.to_owned()))
    }

    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether IAM accepts the text as a name. A name has no wildcard, no slash, and nothing that JSON would
/// escape.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    !text.is_empty() && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123")]
    #[case("arn:aws-cn:cognito-idp:cn-north-1:111122223333:userpool/cn-north-1_AbCdEf123")]
    #[case("arn:aws-us-gov:cognito-idp:us-gov-west-1:111122223333:userpool/us-gov-west-1_A1")]
    #[case("arn:aws-eusc:cognito-idp:eusc-de-east-1:111122223333:userpool/eusc-de-east-1_A1")]
    fn a_pools_arn_is_accepted_in_every_partition(#[case] arn: &str) {
        assert_eq!(PoolArn::parse(arn).as_ref().map(PoolArn::as_str), Ok(arn));
    }

    #[rstest]
    #[case("eu-west-1_AbCdEf123")]
    #[case("")]
    #[case("*")]
    #[case("arn:aws:cognito-idp:eu-west-1:111122223333:userpool/*")]
    #[case("arn:aws:cognito-idp:eu-west-1:*:userpool/eu-west-1_AbCdEf123")]
    #[case("arn:aws:cognito-idp:eu-west-1:11112222333:userpool/eu-west-1_AbCdEf123")]
    #[case("arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123/x")]
    #[case("arn:aws:cognito-idp:eu-west-1:111122223333:identitypool/eu-west-1_AbCdEf123")]
    #[case("arn:aws:cognito-identity:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123")]
    #[case("arn:azure:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123")]
    #[case("arn:awsome:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123")]
    #[case(" arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123")]
    #[case("arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123\n")]
    fn an_invalid_pool_arn_is_refused(#[case] arn: &str) {
        assert_eq!(PoolArn::parse(arn), Err(InvalidArn::Pool));
    }

    #[rstest]
    #[case(
        "arn:aws:cognito-idp:eu-west-2:111122223333:userpool/eu-west-1_A1",
        "eu-west-2"
    )]
    #[case("arn:aws:cognito-idp::111122223333:userpool/eu-west-1_A1", "")]
    fn a_region_that_is_not_that_of_the_pool_is_refused(#[case] arn: &str, #[case] named: &str) {
        let of_id = "eu-west-1".to_owned();
        let named = named.to_owned();
        assert_eq!(
            PoolArn::parse(arn),
            Err(InvalidArn::Region { named, of_id })
        );
    }

    #[rstest]
    #[case("aws", "cn-north-1", "aws-cn")]
    #[case("aws", "us-gov-east-1", "aws-us-gov")]
    #[case("aws-cn", "eu-west-1", "aws")]
    fn a_region_of_another_partition_is_refused(
        #[case] named: &str,
        #[case] region: &str,
        #[case] partition: &'static str,
    ) {
        let wrong = InvalidArn::Partition {
            region: region.to_owned(),
            partition,
        };
        let pool = format!("arn:{named}:cognito-idp:{region}:111122223333:userpool/{region}_A1");
        assert_eq!(PoolArn::parse(&pool), Err(wrong.clone()));
        let cluster = format!("arn:{named}:eks:{region}:111122223333:cluster/one");
        assert_eq!(ClusterArn::parse(&cluster), Err(wrong));
    }

    #[test]
    fn a_role_has_a_name_perhaps_a_path_and_no_wildcard() {
        for arn in [
            "arn:aws:iam::111122223333:role/cognito-password-operator",
            "arn:aws-cn:iam::111122223333:role/path/to/a+b=c,d.e@f-g_h",
        ] {
            assert_eq!(RoleArn::parse(arn).as_ref().map(RoleArn::as_str), Ok(arn));
        }
        for arn in [
            "arn:aws:iam::111122223333:role/*",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role//a",
            "arn:aws:iam::111122223333:user/a",
            "arn:aws:iam::111122223333:root",
            "arn:aws:iam:eu-west-1:111122223333:role/a",
            "arn:aws:sts::111122223333:assumed-role/a/session",
            &format!("arn:aws:iam::111122223333:role/{}", "a".repeat(65)),
        ] {
            assert_eq!(RoleArn::parse(arn), Err(InvalidArn::Role), "{arn}");
        }
    }

    #[test]
    fn an_oidc_provider_tells_its_issuer() {
        let issuer = "oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE";
        let arn = format!("arn:aws:iam::111122223333:oidc-provider/{issuer}");
        let provider = OidcProviderArn::parse(&arn);
        assert_eq!(provider.as_ref().map(OidcProviderArn::issuer), Ok(issuer));
        for arn in [
            format!("https://{issuer}"),
            "arn:aws:iam::111122223333:oidc-provider/*".to_owned(),
            format!("arn:aws:iam::111122223333:oidc-provider/https://{issuer}"),
        ] {
            assert_eq!(OidcProviderArn::parse(&arn), Err(InvalidArn::OidcProvider));
        }
    }

    #[test]
    fn a_roles_arn_tells_its_account() {
        let arn = RoleArn::parse("arn:aws-us-gov:iam::111122223333:role/teams/a");
        let account = arn.map(|arn| arn.account());
        assert_eq!(account, Ok(Account::Id("111122223333".to_owned())));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_wildcard_passes(
            text in ".{0,60}",
            odd in "(arn|aws|:|/|[*?]|role|userpool|iam|1{12}|_|a){0,20}",
        ) {
            for text in [&text, &odd] {
                let taken = [
                    PoolArn::parse(text).is_ok(),
                    RoleArn::parse(text).is_ok(),
                    OidcProviderArn::parse(text).is_ok(),
                    ClusterArn::parse(text).is_ok(),
                ];
                prop_assert!(!taken.contains(&true) || !text.contains(['*', '?']), "{}", text);
            }
        }
    }
}
