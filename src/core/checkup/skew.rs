//! Compares the version of this program with other versions.

use serde::Serialize;
use std::cmp::Ordering;

/// How another version relates to the version of this program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Skew {
    /// The same version.
    Same,
    /// Another patch release of the same minor version: nothing that people see differs.
    Patch,
    /// This program is older.
    ThisIsOlder,
    /// This program is newer.
    ThisIsNewer,
    /// The other version is not a version number.
    Unknown,
}

/// Compares versions such as `0.1.0`.
#[must_use]
pub fn skew(this: &str, other: &str) -> Skew {
    let (Some(a), Some(b)) = (parse(this), parse(other)) else {
        return Skew::Unknown;
    };
    match (a.0, a.1).cmp(&(b.0, b.1)) {
        Ordering::Less => Skew::ThisIsOlder,
        Ordering::Greater => Skew::ThisIsNewer,
        Ordering::Equal if a == b => Skew::Same,
        Ordering::Equal => Skew::Patch,
    }
}

/// Major, minor, and the rest: patch, and what follows a hyphen or a plus sign.
fn parse(version: &str) -> Option<(u64, u64, &str)> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let (major, rest) = version.split_once('.')?;
    let (minor, patch) = rest.split_once('.')?;
    let has_patch = patch.starts_with(|it: char| it.is_ascii_digit());
    has_patch.then_some((major.parse().ok()?, minor.parse().ok()?, patch))
}

/// The version that the tag of an image names. None for a digest alone, for no tag, and for a tag that is no
/// version, such as `latest`.
#[must_use]
pub fn version_of_image(image: &str) -> Option<&str> {
    let image = image.split('@').next()?;
    // A colon before the last slash belongs to the registry's port.
    let name = image.rsplit('/').next()?;
    let (_, tag) = name.split_once(':')?;
    parse(tag).is_some().then_some(tag)
}

/// The version of an operator: the tag of its image, or else the label `app.kubernetes.io/version`.
#[must_use]
pub fn version_of<'a>(image: &'a str, label: Option<&'a str>) -> Option<&'a str> {
    version_of_image(image).or(label.filter(|it| !it.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0.2.0", "0.2.0", Skew::Same)]
    #[case("0.2.0", "v0.2.0", Skew::Same)]
    #[case("0.2.0", "0.2.1", Skew::Patch)]
    #[case("0.2.0", "0.2.0-rc.1", Skew::Patch)]
    #[case("0.2.9", "0.10.0", Skew::ThisIsOlder)]
    #[case("1.0.0", "0.10.0", Skew::ThisIsNewer)]
    #[case("0.2.0", "latest", Skew::Unknown)]
    #[case("0.2.0", "0.2", Skew::Unknown)]
    #[case("0.2.0", "", Skew::Unknown)]
    fn two_versions_have_a_verdict(#[case] this: &str, #[case] other: &str, #[case] wanted: Skew) {
        assert_eq!(skew(this, other), wanted);
    }

    #[test]
    fn a_verdict_is_upper_camel_case_for_programs() {
        let skew = serde_json::to_value(Skew::ThisIsOlder).expect("JSON");
        assert_eq!(skew, "ThisIsOlder");
    }

    #[rstest]
    #[case("registry.example.com:5000/a/operator:0.1.0", Some("0.1.0"))]
    #[case("operator:v0.1.0@sha256:abc", Some("v0.1.0"))]
    #[case("registry.example.com:5000/operator", None)]
    #[case("operator:latest", None)]
    #[case("operator@sha256:abc", None)]
    #[case("", None)]
    fn the_tag_of_an_image_is_a_version_or_nothing(
        #[case] image: &str,
        #[case] wanted: Option<&str>,
    ) {
        assert_eq!(version_of_image(image), wanted);
    }

    #[test]
    fn the_label_counts_where_the_tag_says_nothing() {
        assert_eq!(version_of("a:0.1.0", Some("0.2.0")), Some("0.1.0"));
        assert_eq!(version_of("a:latest", Some("0.2.0")), Some("0.2.0"));
        assert_eq!(version_of("a", None), None);
    }
}
