//! Words that the outputs for people share: ages, lists and counts.

use jiff::SignedDuration;
use std::{
    fmt::Write as _,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Applies the CRDs of the plugin's version. Helm, or whoever changed the CRDs last, would be in conflict.
pub const APPLY_CRDS: &str =
    "kubectl cognito-password crd | kubectl apply --server-side --force-conflicts -f -";

/// Why nothing of the operator's API can be read, and what mends that: no CRD serves the API.
pub const WITHOUT_CRDS: &str = "the operator's CRDs aren't installed: `kubectl cognito-password crd | kubectl apply --server-side --force-conflicts -f -` installs the CRDs";

/// A span in the largest unit of which there are two: `9d`, `3h`, `12m` or `75s`. A span of less than a second, or a
/// negative one, is `0s`.
#[must_use]
pub fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The first items, separated, and how many more there are: `a; b; and 3 more`.
#[must_use]
pub fn first(items: &[String], most: usize, separator: &str) -> String {
    some_of(&items[..items.len().min(most)], items.len(), separator)
}

/// These of `total` items, separated, and how many more there are.
#[must_use]
pub fn some_of(shown: &[String], total: usize, separator: &str) -> String {
    let mut text = shown.join(separator);
    if total > shown.len() {
        // A String takes any text.
        let _ = write!(text, "{separator}and {} more", total - shown.len());
    }
    text
}

/// Eight hexadecimal digits that tell texts apart.
#[must_use]
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = DefaultHasher::new();
    for text in texts {
        text.hash(&mut hasher);
    }
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}

/// A number and its noun: `1 grant`, `2 grants`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(-3, "0s")]
    #[case(119, "119s")]
    #[case(120, "2m")]
    #[case(7_199, "119m")]
    #[case(7_200, "2h")]
    #[case(172_799, "47h")]
    #[case(86_400 * 9 + 5, "9d")]
    fn a_span_has_the_largest_unit_of_which_there_are_two(
        #[case] seconds: i64,
        #[case] words: &str,
    ) {
        assert_eq!(span(SignedDuration::from_secs(seconds)), words);
    }

    #[test]
    fn a_long_list_ends_with_how_many_more_there_are() {
        let items: Vec<_> = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(first(&items, 3, ", "), "a, b, c");
        assert_eq!(first(&items, 1, "; "), "a; and 2 more");
        assert_eq!(first(&[], 1, "; "), "");
    }

    #[test]
    fn one_has_no_plural() {
        assert_eq!(count(1, "grant"), "1 grant");
        assert_eq!(count(0, "grant"), "0 grants");
    }
}
