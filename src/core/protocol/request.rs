//! A request to set now: the annotation `requestedAt`. A user with write access to the resource may write the
//! annotation. The operator answers in the status.

use crate::core::{credential::fingerprint::hex, text::is_unseen};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The longest request, in characters, that the status repeats verbatim.
const MAX: usize = 128;

/// The form in which the status records a request: the annotation's value. A value of more than 128
/// characters (an annotation may have 256 KiB), or with invisible characters, is recorded as `sha256:` and 64
/// hex digits.
#[must_use]
pub fn known_by(requested_at: &str) -> Cow<'_, str> {
    if requested_at.chars().count() <= MAX && !requested_at.chars().any(is_unseen) {
        return Cow::Borrowed(requested_at);
    }
    let digest = hex(&Sha256::digest(requested_at));
    Cow::Owned(format!("sha256:{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_value_that_people_write_is_recorded_as_it_is() {
        let longest = "é".repeat(MAX);
        for value in ["", "now", "1760781600", "2026-01-01T00:00:00Z", &longest] {
            assert_eq!(known_by(value), value);
        }
    }

    #[test]
    fn any_other_request_value_is_recorded_as_its_digest() {
        assert_eq!(
            known_by(&"a".repeat(129)),
            "sha256:c12cb024a2e5551cca0e08fce8f1c5e314555cc3fef6329ee994a3db752166ae"
        );
        assert_eq!(known_by("now\u{202e}").len(), "sha256:".len() + 64);
    }

    proptest! {
        #[test]
        fn the_recorded_request_is_short_and_stable(value in "\\PC{0,300}|.{0,300}|[\\x00-\\x7f]{0,300}") {
            let known = known_by(&value);
            prop_assert!(known.chars().count() <= MAX && !known.chars().any(is_unseen));
            prop_assert_eq!(known_by(&known), known.clone());
        }

        #[test]
        fn different_values_are_different_requests(one in ".{0,200}", two in ".{0,200}") {
            prop_assert_eq!(known_by(&one) == known_by(&two), one == two);
        }
    }
}
