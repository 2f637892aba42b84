//! Names on the command line: of Kubernetes objects, labels and pools. A name becomes a segment of a URL's path, so `ci-bot/status` or
//! `ci-bot?x` would be a request about something else.

use crate::{cluster::selector, core::names::target::PoolId};

/// The words before the slash of kubectl's TYPE/NAME.
const TYPES: [&str; 4] = [
    "cup",
    "cognitouserpassword",
    "cognitouserpasswords",
    "cognitouserpasswords.cognito-password-operator.io",
];

/// A resource as NAME, NAMESPACE/NAME, or kubectl's TYPE/NAME, of which the name stays.
pub(super) fn resource(text: &str) -> Result<String, String> {
    let of_type = text
        .split_once('/')
        .filter(|(type_, _)| TYPES.contains(type_));
    if let Some((_, name)) = of_type {
        return checked(name);
    }
    let is_well = text
        .split_once('/')
        .is_some_and(|(namespace, name)| fits(namespace) && fits(name));
    if is_well {
        return Ok(text.to_owned());
    }
    checked(text)
}

/// The name of a namespace: an RFC 1123 label.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    is_namespace(text).then(|| text.to_owned()).ok_or_else(|| {
        "a namespace's name has 1 to 63 lower case letters, digits and '-', and begins and ends with a letter or digit".to_owned()
    })
}

/// The name of a `ServiceAccount`: an RFC 1123 subdomain.
pub(super) fn service_account(text: &str) -> Result<String, String> {
    fits(text).then(|| text.to_owned()).ok_or_else(|| {
        "a ServiceAccount's name has lower case letters, digits, '-' and '.', and begins and ends with a letter or digit".to_owned()
    })
}

/// The name of a Lease: an RFC 1123 subdomain.
#[cfg(feature = "operator")]
pub(crate) fn lease_name(text: &str) -> Result<String, String> {
    fits(text).then(|| text.to_owned()).ok_or_else(|| {
        "a Lease's name has lower case letters, digits, '-' and '.', and begins and ends with a letter or digit".to_owned()
    })
}

/// Whether the text is an RFC 1123 label: the name of a namespace.
pub(crate) fn is_namespace(text: &str) -> bool {
    text.len() <= 63 && is_label(text)
}

/// A label selector in kubectl's syntax.
pub(super) fn label_selector(text: &str) -> Result<String, String> {
    selector::check(text).map(|()| text.to_owned())
}

/// The id of a user pool.
pub(super) fn pool(text: &str) -> Result<String, String> {
    PoolId::parse(text)
        .map(|_| text.to_owned())
        .map_err(|_| POOL.to_owned())
}

const POOL: &str = "a user pool's id is needed, such as eu-west-1_AbCdEf123: the Region, an underscore, then letters and digits";

fn checked(text: &str) -> Result<String, String> {
    fits(text).then(|| text.to_owned()).ok_or_else(|| {
        "a name has lower case letters, digits, '-' and '.', and begins and ends with a letter or digit"
            .to_owned()
    })
}

fn fits(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Whether the text is a label, of any length.
fn is_label(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::name("ci-bot.2", true)]
    #[case::with_namespace("team-a/ci-bot", true)]
    #[case::with_type("cup/ci-bot", true)]
    #[case::with_type_and_path("cup/ci-bot/status", false)]
    #[case::two_slashes("team-a/ci-bot/status", false)]
    #[case::no_name("team-a/", false)]
    #[case::no_namespace("/ci-bot", false)]
    #[case::path("../ci-bot", false)]
    #[case::query("ci-bot?watch=1", false)]
    #[case::upper_case("CI", false)]
    #[case::hyphen("ci-", false)]
    #[case::empty("", false)]
    fn only_a_name_becomes_a_part_of_a_path(#[case] text: &str, #[case] is_name: bool) {
        assert_eq!(resource(text).is_ok(), is_name);
    }

    #[test]
    fn kubectls_type_is_no_namespace() {
        for type_ in TYPES {
            assert_eq!(
                resource(&format!("{type_}/ci-bot")).as_deref(),
                Ok("ci-bot")
            );
        }
    }

    #[rstest]
    #[case("team-a", true)]
    #[case("team.a", false)]
    #[case("team-a/b", false)]
    #[case("team?a", false)]
    #[case("", false)]
    fn a_namespace_is_one_label(#[case] text: &str, #[case] is_well: bool) {
        assert_eq!(namespace(text).is_ok(), is_well);
    }
}
