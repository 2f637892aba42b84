//! Which names can be Regions of AWS.
//!
//! A pattern decides, because AWS opens new Regions and a list would be out of date. The pattern is the one
//! by which the SDK finds the partition of a Region: `regionRegex` of each partition in `endpoint_lib.rs`
//! of aws-sdk-cognitoidentityprovider 1.144. Two parts are narrower here. The place consists of lower-case
//! letters, where the SDK accepts any word characters. The number has at most two digits.

use super::target::Region;

/// The words with which the names of Regions begin. A place and a number follow: `us-gov`, `west`, `1`.
const PARTITIONS: [&[&str]; 16] = [
    &["us"],
    &["eu"],
    &["ap"],
    &["sa"],
    &["ca"],
    &["me"],
    &["af"],
    &["il"],
    &["mx"],
    &["cn"],
    &["eusc", "de"],
    &["us", "gov"],
    &["us", "iso"],
    &["us", "isob"],
    &["us", "isof"],
    &["eu", "isoe"],
];

/// The Regions in which the operator calls Cognito.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Regions {
    /// Only Regions of AWS. The Region decides which host is called.
    #[default]
    OfAws,
    /// Any Region. One endpoint serves every Region, mostly an emulator's.
    Any,
}

impl Regions {
    /// Whether the operator calls Cognito in this Region.
    #[must_use]
    pub fn include(self, region: &Region) -> bool {
        match self {
            Self::OfAws => is_of_aws(region.as_str()),
            Self::Any => true,
        }
    }
}

/// Whether the name can be the name of an AWS Region, including a Region that AWS opens later.
fn is_of_aws(name: &str) -> bool {
    let mut words = name.rsplitn(3, '-');
    let (Some(number), Some(place), Some(partition)) = (words.next(), words.next(), words.next())
    else {
        return false;
    };
    is_number(number)
        && !place.is_empty()
        && place.chars().all(|c| c.is_ascii_lowercase())
        && PARTITIONS.iter().any(|words| words.join("-") == partition)
}

/// One or two digits, without a leading zero.
fn is_number(text: &str) -> bool {
    (1..=2).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_digit())
        && !text.starts_with('0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::target::PoolId;
    use proptest::prelude::*;
    use rstest::rstest;

    /// Every Region that the SDK's partitions list, except pseudo-Regions such as `aws-global`.
    const REAL: &str = "af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 \
        ap-south-1 ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 \
        ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 \
        eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 \
        me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2 \
        cn-north-1 cn-northwest-1 eusc-de-east-1 us-iso-east-1 us-iso-west-1 us-isob-east-1 \
        us-isob-west-1 eu-isoe-west-1 us-isof-east-1 us-isof-south-1 us-gov-east-1 us-gov-west-1";

    #[test]
    fn every_region_of_aws_is_known() {
        for name in REAL.split_whitespace() {
            assert!(is_of_aws(name), "{name}");
        }
        assert_eq!(REAL.split_whitespace().count(), 46);
    }

    #[rstest]
    #[case("eu-west-4")]
    #[case("ap-southeast-12")]
    #[case("us-central-1")]
    #[case("mx-north-1")]
    #[case("eusc-de-west-2")]
    #[case("us-gov-central-1")]
    fn a_region_that_aws_may_open_is_accepted(#[case] name: &str) {
        assert!(is_of_aws(name));
    }

    #[rstest]
    #[case("")]
    #[case("local")]
    #[case("eu-west")]
    #[case("west-1")]
    #[case("-west-1")]
    #[case("eu--1")]
    #[case("eu-west-")]
    #[case("eu-west-0")]
    #[case("eu-west-01")]
    #[case("eu-west-100")]
    #[case("eu-west-1a")]
    #[case("eu-west-1-1")]
    #[case("eu-west1-1")]
    #[case("EU-west-1")]
    #[case("eu-WEST-1")]
    #[case("eu_west_1")]
    #[case("zz-west-1")]
    #[case("de-west-1")]
    #[case("eusc-east-1")]
    #[case("eusc-fr-east-1")]
    #[case("us-isox-east-1")]
    #[case("eu-gov-west-1")]
    #[case("made-up-17")]
    #[case("aws-global")]
    #[case("eu-west-1\n")]
    #[case("eu-wést-1")]
    #[case("eu-west-１")]
    fn an_invented_region_is_refused(#[case] name: &str) {
        assert!(!is_of_aws(name), "{name}");
    }

    #[rstest]
    #[case("eu-west-1_AbC", true, true)]
    #[case("local_2aBcDeF", false, true)]
    #[case("made-up-17_AbC", false, true)]
    fn any_region_is_accepted_if_one_endpoint_serves_all(
        #[case] pool: &str,
        #[case] of_aws: bool,
        #[case] any: bool,
    ) {
        let region = PoolId::parse(pool).expect("a pool").region();
        assert_eq!(Regions::OfAws.include(&region), of_aws);
        assert_eq!(Regions::Any.include(&region), any);
    }

    proptest! {
        /// Checks `is_of_aws` against an independent split of the name.
        #[test]
        fn a_name_fits_if_and_only_if_its_parts_do(
            partition in proptest::sample::select(PARTITIONS.to_vec()),
            place in "[a-z]{1,12}",
            number in 1..=99_u8,
            other in "[a-z0-9-]{0,20}",
        ) {
            let partition = partition.join("-");
            let name = format!("{partition}-{place}-{number}");
            prop_assert!(is_of_aws(&name), "{}", name);
            if is_of_aws(&other) {
                let (rest, number) = other.rsplit_once('-').expect("a number");
                prop_assert!(number.parse::<u8>().is_ok_and(|number| (1..=99).contains(&number)));
                let (partition, place) = rest.rsplit_once('-').expect("a place");
                prop_assert!(place.chars().all(char::is_alphabetic));
                prop_assert!(PARTITIONS.iter().any(|words| words.join("-") == partition));
            }
        }
    }
}
